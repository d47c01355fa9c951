"""How good a mask probably is, asked of a process beside; calibrated by what people made of others.

A mask that a model proposed for a scan which nobody had touched, and that a person then confirmed,
is a case whose truth is known and which never taught the model that proposed it. Its signs and its
Dice are kept, as numbers under a hash: they calibrate the next predicted Dice at no cost. Where
they are too few, what the model keeps of the cases that examined it is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_medseg.active.predicted import FEWEST, Guess, Judge, Known, calibrated
from napari_medseg.active.signs import Signs
from napari_medseg.correction.record import Box, Labels, Source
from napari_medseg.correction.whole import whole
from napari_medseg.errors import MedsegError
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.opinion import Opinion
from napari_medseg.jobs import Child, Job
from napari_medseg.models.card import ModelCard
from napari_medseg.workbench.case import Case

if TYPE_CHECKING:
    from napari_medseg.inference.config import PredictConfig

OPINION = "napari_medseg.inference.second_look:opinion_file"
MEMORY = "napari_medseg.inference.second_look:memory_file"
PASSES = 8  # predictions that an opinion costs, about
ENOUGH = 9  # cases: the fewest from which an interval for nine of ten follows
MOST_KEPT = 200  # cases
CONFIRMED = 0.9  # of a structure: from here on the mask counts as its truth


class Basis(StrEnum):
    """What a predicted Dice rests on."""

    CORRECTED = "cases corrected here"
    MEMORY = "what the model keeps of cases that examined it"
    NOTHING = "the model's own opinion"


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was found out of the mask that a model proposed for a case.

    Attributes
    ----------
    guesses
        Predicted Dice by label value.
    basis, judge
        What they rest on.
    box, labels, wrong
        On canonical axes: where there is anything to say, the mask as it was proposed, and how
        likely it is wrong, float16 in [0, 1].
    fair
        Whether nobody had touched the case: what becomes of it may calibrate later ones.
    """

    case: Case
    family: str
    box: Box
    labels: Labels
    wrong: npt.NDArray[np.float16]
    signs: Mapping[int, Signs]
    judge: Judge
    basis: Basis
    fair: bool
    guesses: Mapping[int, Guess] = field(init=False)

    def __post_init__(self) -> None:
        guesses = {label: self.judge.guess(one, label) for label, one in self.signs.items()}
        object.__setattr__(self, "guesses", guesses)


class Critic:
    """Gives its opinion of one case at a time; keeps what calibrates it in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._child = Child()

    def ask(self, case: Case, card: ModelCard, config: PredictConfig, family: str) -> Job[Verdict]:
        """The job that judges what a model gives for a case; its process ends with it.

        A `Verdict` that is not calibrated comes on the way, the calibrated one is the result.

        Raises
        ------
        MedsegError
            The model cannot say, or its process died.
        """
        fair = not case.tracker.touched
        return self._ask(case, card, config, family, fair)

    def _ask(
        self, case: Case, card: ModelCard, config: PredictConfig, family: str, fair: bool
    ) -> Job[Verdict]:
        try:
            found: Opinion = yield from self._child.run(OPINION, case.scan, card.path, config)
            box, labels = case.canonical(BoxDone(found.start, found.labels))
            wrong = case.turn.apply(found.wrong)
            first = Verdict(
                case, family, box, labels, wrong, found.signs, Judge(), Basis.NOTHING, fair
            )
            yield first
            judge, basis = yield from self._judge(card, config, family, case.key)
            return replace(first, judge=judge, basis=basis)
        finally:
            self._child.close()

    def _judge(
        self, card: ModelCard, config: PredictConfig, family: str, but: str
    ) -> Job[tuple[Judge, Basis]]:
        """By corrected cases where they are enough, else by memory, else by the few there are."""
        own = [one for one in _read(self._corrected(family)) if one.case != but]
        if _cases(own) >= ENOUGH:
            return calibrated(own), Basis.CORRECTED
        known = yield from self._remembered(card, config)
        if _cases(known) >= FEWEST:
            return calibrated(known), Basis.MEMORY
        basis = Basis.CORRECTED if _cases(own) >= FEWEST else Basis.NOTHING
        return calibrated(own), basis

    def _remembered(self, card: ModelCard, config: PredictConfig) -> Job[Sequence[Known]]:
        """Asked once of each version."""
        file = self._folder / f"memory-{card.version}.json"
        if file.exists():
            return _read(file)
        known: tuple[Known, ...] = yield from self._child.run(MEMORY, card.path, config)
        with suppress(OSError):  # asked again the next time
            _write(file, known)
        return known

    def learn(self, verdict: Verdict) -> bool:
        """Keep what a person made of a mask, of the structures that they confirmed nearly whole.

        False where that tells nothing, or the disk takes nothing.
        """
        known = tuple(_confirmed(verdict)) if verdict.fair else ()
        if not known:
            return False
        file = self._corrected(verdict.family)
        others = [one for one in _read(file) if one.case != verdict.case.key]
        kept = list(dict.fromkeys(one.case for one in others))[-MOST_KEPT + 1 :]
        with suppress(OSError):  # no mask depends on it
            _write(file, [*(one for one in others if one.case in set(kept)), *known])
            return True
        return False

    def close(self) -> None:
        """End the process, within two seconds."""
        self._child.close()

    def _corrected(self, family: str) -> Path:
        return self._folder / f"corrected-{family or 'none'}.json"


def words_of(error: MedsegError) -> str:
    """Why there is no opinion, without what to do about it."""
    return error.message.split(";")[0]


def _confirmed(verdict: Verdict) -> Iterator[Known]:
    """A structure that the model found and a person confirmed, with its Dice."""
    case, box = verdict.case, verdict.box
    now, sure = case.labels[box], case.source[box] == Source.CONFIRMED
    seen = {*np.unique(now[sure]).tolist(), *np.unique(verdict.labels[sure]).tolist()}
    for label, signs in verdict.signs.items():
        if label not in seen:  # nobody confirmed any of it
            continue
        theirs, ours = verdict.labels == label, now == label
        either = theirs | ours
        total = int(np.count_nonzero(theirs)) + int(case.tracker.counts[label])
        if total and np.count_nonzero(either & sure) >= CONFIRMED * np.count_nonzero(either):
            dice = 2.0 * np.count_nonzero(theirs & ours) / total
            yield Known(case.key, label, signs, float(dice))


def _cases(known: Sequence[Known]) -> int:
    return len({one.case for one in known})


def _read(file: Path) -> tuple[Known, ...]:
    """What was kept; nothing where the file is missing or damaged."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        return tuple(_known(row) for row in rows)
    except (OSError, ValueError, LookupError, TypeError):
        return ()


def _known(row: Mapping[str, object]) -> Known:
    signs = dict(row["signs"])  # type: ignore[call-overload]
    for name in ("agreed", "grown"):
        signs[name] = tuple(float(one) for one in signs[name])
    return Known(str(row["case"]), int(row["label"]), Signs(**signs), float(row["dice"]))  # type: ignore[call-overload,arg-type]


def _write(file: Path, known: Sequence[Known]) -> None:
    """Whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with whole(file) as stream:
        stream.write(json.dumps([asdict(one) for one in known]).encode())
