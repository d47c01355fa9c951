"""A model begun from the slices that were painted in the open case, in a process of its own.

>>> beginning = bench.begin(config)
>>> card = finish(beginning.job(), beginning.receive)
>>> beginning.keep(card)                     # or, where it was stopped: beginning.give_up()
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.correction.record import Box, Example, Labels, Source
from napari_medseg.correction.tracker import changed_box, whole
from napari_medseg.errors import InputError, WriteError
from napari_medseg.jobs import Job, Progress
from napari_medseg.models.card import ModelCard
from napari_medseg.training.begun import Draft, ScratchCard
from napari_medseg.volume import Mask
from napari_medseg.workbench.prediction import PIECE_VOXELS, Predictor
from napari_medseg.workbench.shelf import ENDING, Shelf

if TYPE_CHECKING:
    from napari_medseg.training.begun import ScratchConfig
    from napari_medseg.workbench.bench import Workbench
    from napari_medseg.workbench.case import Case

BEGIN = "napari_medseg.training.scratch:from_nothing_file"
STEP = "learned from slices"
LONGEST_NAME = 60


@dataclass(frozen=True, eq=False)
class Piece:
    """Labels in a box of the open case, on canonical axes; a `draft` is not final."""

    box: Box
    labels: Labels
    draft: bool


class Beginning:
    """One attempt: what it gives is in the mask at once, the model on the shelf at its end.

    Everything but the running of the job happens on the window's thread.

    Raises
    ------
    InputError
        No scan is open, or a prediction runs.
    """

    def __init__(
        self, bench: Workbench, predictor: Predictor, shelf: Shelf, config: ScratchConfig
    ) -> None:
        self._example = bench.example()
        if bench.case is None or bench.editor is None:
            raise InputError("a scan must be open, none is; open one first")
        self._bench, self._shelf, self._config = bench, shelf, config
        self._case, self._editor = bench.case, bench.editor
        self._folder = shelf.folder / f".begin-{secrets.token_hex(4)}"
        self._taken = {card.name for card in shelf.cards}
        predictor.refuse_second()
        self._predictor = predictor

    def job(self) -> Job[ModelCard]:
        """The work; give each event to `receive`.

        Raises
        ------
        TrainingError
            Nothing is painted, or the scan is a single slice.
        WriteError
            The model cannot be saved.
        """
        try:
            yield Progress(0, 0, "Reading the painted slices")
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            config = replace(self._config, name=self._name())
            out = self._folder / f"model{ENDING}"
            job: Job[ScratchCard] = self._predictor.alone(BEGIN, self._example, config, out)
            return (yield from _as_pieces(job, self._example))
        except OSError as error:
            self._sweep()
            raise WriteError(f"a new model cannot be saved: {error.strerror}") from error
        except BaseException:  # also where it is stopped
            self._sweep()
            raise

    def receive(self, event: object) -> None:
        """Write a piece of the mask, but never where a person painted or confirmed."""
        if not isinstance(event, Piece) or self._bench.case is not self._case:
            return
        if event.draft:
            self._editor.corrector.receive(event.box, event.labels, look=True)
        else:
            self._editor.fill(event.box, event.labels)

    def keep(self, card: ModelCard) -> ModelCard | None:
        """The model goes on the shelf and is in use; the rest of the mask is one step.

        The case teaches this model from now on. None where another scan is open by now.

        Raises
        ------
        WriteError
            The shelf does not take the model; the mask is as it was.
        """
        if self._bench.case is not self._case:
            self._sweep()
            return None
        try:
            home = self._shelf.first_path(card)
            card.path.replace(home)
        except OSError as error:
            self.give_up()
            raise WriteError(f"a new model cannot be saved: {error.strerror}") from error
        self._sweep()
        kept = self._bench.add_model(home)
        self._case.family = self._shelf.root(kept)
        self._editor.filled(STEP)
        self._bench.adopt(kept)
        return kept

    def give_up(self) -> None:
        """It was stopped or failed: the mask becomes what it was, and there is no model."""
        self._sweep()
        if self._bench.case is self._case:
            self._bench.drop_previews()
            self._editor.unfill()

    def _sweep(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _name(self) -> str:
        """What the model finds, and a number where there is such a model."""
        mask, known = self._example.mask, {one.value: one.name for one in self._example.mask.names}
        values = np.unique(mask.labels[self._example.confirmed])
        found = [known.get(int(value), f"label {value}") for value in values if value]
        name = (", ".join(found) or "model")[:LONGEST_NAME].strip()
        names = chain([name], (f"{name} {number}" for number in count(2)))
        return next(one for one in names if one not in self._taken)


def painted_slices(case: Case, touched: Iterable[int], enough: int) -> int:
    """How many slices show a structure that a person painted or confirmed, up to `enough`.

    Along the axis that has fewest of them; `touched` are the slices (Z) to look at.
    """
    rows, columns = (np.zeros(n, np.bool_) for n in case.labels.shape[1:])
    planes = found = 0
    for z in touched:
        mine = (case.source[z] != Source.MODEL) & (case.labels[z] != 0)
        if not mine.any():
            continue
        planes += 1
        rows |= mine.any(1)
        columns |= mine.any(0)
        found = min(enough, planes, int(rows.sum()), int(columns.sum()))
        if found == enough:
            break
    return found


def _as_pieces(job: Job[ScratchCard], example: Example) -> Job[ModelCard]:
    """The same job; its drafts and its mask come in small pieces, all of one box or a larger one.

    So that the last pieces replace whatever a draft showed.
    """
    before = example.mask.labels
    box: Box | None = None
    try:
        while True:
            event = next(job)
            if isinstance(event, Draft):
                labels = _over(before, event.mask)
                box = _around(box, changed_box(labels, before, whole(before.shape)))
                yield from _pieces(box, labels, draft=True)
            else:
                yield event
    except StopIteration as done:
        card: ScratchCard = done.value
    finally:
        job.close()
    labels = _over(before, card.mask)
    box = _around(box, changed_box(labels, before, whole(before.shape)))
    yield from _pieces(box, labels, draft=False)
    return card.model


def _over(before: Labels, mask: Mask) -> Labels:
    """The mask; where it has nothing the structures that it does not know stay."""
    others = np.ones(int(np.iinfo(before.dtype).max) + 1, np.bool_)
    others[[label.value for label in mask.names]] = False
    labels = mask.labels.astype(before.dtype, copy=False)
    return np.where((labels == 0) & others[before], before, labels)


def _around(one: Box | None, other: Box | None) -> Box | None:
    """The smallest box that holds both."""
    if one is None or other is None:
        return one or other
    z, y, x = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return z, y, x


def _pieces(box: Box | None, labels: Labels, draft: bool) -> Iterator[Piece]:
    """Slabs of at most `PIECE_VOXELS`, but one slice at least."""
    if box is None:
        return
    z, y, x = box
    step = max(1, PIECE_VOXELS // max(1, (y.stop - y.start) * (x.stop - x.start)))
    for first in range(z.start, z.stop, step):
        part = slice(first, min(first + step, z.stop)), y, x
        yield Piece(part, labels[part], draft)
