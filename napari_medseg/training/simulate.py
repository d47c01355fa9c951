"""A virtual person corrects case after case, the model learns, and held-back cases say how well.

>>> found = finish(simulate(segmenter, teaching, held, SimulateConfig()))
>>> found.rows[-1].dice                     # by label, on cases that nobody learned from

Held-back cases are only predicted: neither the learner nor its gate ever sees them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from napari_medseg.correction.record import Example
from napari_medseg.errors import DatasetError, TrainingError
from napari_medseg.evaluation.overlap import dice_by_label
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.inference.relay import Part, relayed
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models import checkpoint
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.annotator import Annotator
from napari_medseg.training.dataset import Case, read_case
from napari_medseg.training.events import StepDone
from napari_medseg.training.simulation import ANEW, CaseDone, Row, SimulateConfig, Strategy, mean_of
from napari_medseg.training.split import Split
from napari_medseg.training.strategies import STRATEGIES, Learned, Lesson, Round
from napari_medseg.volume import Mask, Volume, mask_to_canonical, to_canonical

R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Simulation:
    """What one strategy reached with one seed, and its last model."""

    rows: tuple[Row, ...]
    segmenter: Segmenter = field(repr=False)


def simulate(
    segmenter: Segmenter, cases: Sequence[Case], held: Sequence[Case], config: SimulateConfig
) -> Job[Simulation]:
    """Correct case after case and learn; yields `CaseDone` for each row.

    Cases of a subject that is held back are left out.

    Raises
    ------
    DatasetError
        No case is left to correct, or none is held back, or one cannot be read.
    """
    ordered = _ordered(cases, held, config)
    run = _Run(segmenter, held, config, len(ordered))
    yield from run.begin()
    for case in ordered:
        yield from run.visit(case)
    return Simulation(tuple(run.rows), run.now)


def compare_strategies(
    segmenter: Segmenter,
    cases: Sequence[Case],
    held: Sequence[Case],
    config: SimulateConfig,
    strategies: Sequence[Strategy],
    seeds: Sequence[int],
) -> Job[tuple[Row, ...]]:
    """The rows of each strategy with each seed; the order of the cases is the seed's alone.

    Raises
    ------
    DatasetError
        As `simulate`.
    """
    rows: list[Row] = []
    runs = list(itertools.product(seeds, strategies))
    for number, (seed, strategy) in enumerate(runs):
        part = Part("run", number, len(runs))
        one = replace(config, strategy=strategy, seed=seed)
        job = simulate(segmenter, cases, held, one)
        rows += (yield from relayed(job, partial(_of_all, part), lambda _: None)).rows
    return tuple(rows)


def _of_all(part: Part, event: object) -> object:
    return part.of_all(event) if isinstance(event, Progress) else event


def compare_with(
    model: Path,
    cases: Sequence[Case],
    held: Sequence[Case],
    config: SimulateConfig,
    strategies: Sequence[Strategy],
    seeds: Sequence[int],
) -> Job[tuple[Row, ...]]:
    """As `compare_strategies`, with a checkpoint; for a process of its own.

    Raises
    ------
    ModelError
        It cannot be loaded.
    """
    yield Progress(0, 0, "Loading the model")
    segmenter = checkpoint.load(Path(model))
    return (yield from compare_strategies(segmenter, cases, held, config, strategies, seeds))


class _Run:
    """One strategy at work."""

    def __init__(
        self, segmenter: Segmenter, held: Sequence[Case], config: SimulateConfig, total: int
    ) -> None:
        self.first = self.now = segmenter
        self.held, self.config, self.total = held, config, total
        self.values = {label.value: label.name for label in segmenter.recipe.labels}
        self.learning = replace(config.learning, seed=config.learning.seed + config.seed)
        self.lessons: list[Lesson] = []
        self.known = Split()
        self.aside: Segmenter | None = None
        self.rows: list[Row] = []
        self._scored: tuple[Segmenter, Mapping[str, float]] | None = None

    def begin(self) -> Job[None]:
        yield from self._close(Row(self.config.strategy, self.config.seed, 0))

    def visit(self, case: Case) -> Job[None]:
        """Predict a case, correct it, learn from it, and score the model at a check."""
        volume, truth = _canonical(case)
        given = yield from self._predicted(volume, case.name)
        row, example = self._corrected(case, volume, given, truth)
        if example.confirmed.any():
            self.lessons.insert(0, Lesson(case, example))
        began = time.process_time()
        learned = yield from self._learn(row.cases)
        spent = time.process_time() - began
        self.now, self.known, self.aside = learned.segmenter, learned.known, learned.aside
        row = replace(row, learning_s=spent, adopted=learned.adopted, why=learned.why)
        yield from self._close(row)

    def _corrected(
        self, case: Case, volume: Volume, given: Mask, truth: Mask
    ) -> tuple[Row, Example]:
        """The person's work on a case."""
        config, number = self.config, len(self.rows)
        person = replace(config.person, seed=1000 * config.seed + number)
        hand = Annotator(volume, given, truth, tuple(self.values), person)
        wrong, before = hand.wrong, hand.dice
        needed = 0 if before >= config.goal else None
        while hand.strokes < person.budget and hand.stroke():
            if needed is None and hand.dice >= config.goal:
                needed = hand.strokes
        if person.confirms:
            hand.confirm()
        example, after, strokes = hand.example(case.subject), hand.dice, hand.strokes
        seconds, confirmed = hand.seconds, len(hand.tracker.marks[0])
        row = Row(
            config.strategy,
            config.seed,
            number,
            case.name,
            strokes=strokes,
            needed=_needed(hand, config) if needed is None else needed,
            wrong=wrong,
            dice_before=before,
            dice_after=after,
            confirmed=confirmed,
            seconds=seconds,
        )
        return row, example

    def _learn(self, number: int) -> Job[Learned]:
        stays = Learned(self.now, False, "", self.known, self.aside)
        if self.config.strategy in ANEW and not self._is_check(number):
            return replace(stays, why="learns anew only before a check")
        if not self.lessons:
            return replace(stays, why="nothing was wrong, nothing is learned")
        config, steps = self.learning, self.config.scratch_steps
        lessons = tuple(self.lessons)
        now = Round(self.first, self.now, lessons, self.known, config, steps, self.aside)
        try:
            return (yield from self._told(STRATEGIES[self.config.strategy](now), "learning"))
        except TrainingError as error:  # as in the window: the person goes on with the old model
            return replace(stays, why=str(error))

    def _close(self, row: Row) -> Job[None]:
        """The row with its totals, and with the scores where they are due."""
        last = self.rows[-1] if self.rows else row
        row = replace(
            row,
            strokes_total=last.strokes_total + row.strokes,
            seconds_total=last.seconds_total + row.seconds,
            learning_s_total=last.learning_s_total + row.learning_s,
        )
        if self._is_check(row.cases):
            row = replace(row, dice=(yield from self._score()))
        self.rows.append(row)
        yield CaseDone(row)

    def _is_check(self, number: int) -> bool:
        return number in self.config.checks or number == self.total

    def _score(self) -> Job[Mapping[str, float]]:
        """Mean Dice of each label on the held-back cases."""
        if self._scored is not None and self._scored[0] is self.now:
            return self._scored[1]
        scores: dict[str, list[float]] = {name: [] for name in self.values.values()}
        for number, case in enumerate(self.held):
            yield self._progress(f"scoring {number + 1} of {len(self.held)} held-back cases")
            volume, truth = _canonical(case)
            found = yield from self._predicted(volume, case.name)
            for value, dice in dice_by_label(found.labels, truth.labels, self.values).items():
                scores[self.values[value]].append(dice)
        self._scored = self.now, {name: mean_of(each) for name, each in scores.items()}
        return self._scored[1]

    def _predicted(self, volume: Volume, name: str) -> Job[Mask]:
        how = PredictConfig(device=self.learning.device, scans=self.total * len(self.held))
        found = yield from self._told(predict(volume, self.now, how), f"predicting {name}")
        return found.mask

    def _told(self, job: Job[R], text: str) -> Job[R]:
        """A job's notices, and a sign of life for all else."""

        def shown(event: object) -> object:
            if isinstance(event, Notice):
                return event
            step = f", step {event.step}" if isinstance(event, StepDone) else ""
            return self._progress(text + step)

        return relayed(job, shown, lambda _: None)

    def _progress(self, text: str) -> Progress:
        done = max(0, len(self.rows) - 1)
        where = f"{self.config.strategy}, seed {self.config.seed}, case {len(self.rows)}"
        return Progress(done, self.total, f"{where} of {self.total}: {text}")


def _needed(hand: Annotator, config: SimulateConfig) -> int:
    """Strokes until the goal, going on beyond the budget."""
    while hand.strokes < config.most_strokes and hand.stroke():
        if hand.dice >= config.goal:
            break
    return hand.strokes


def _ordered(cases: Sequence[Case], held: Sequence[Case], config: SimulateConfig) -> list[Case]:
    """The cases to correct, in the order of the seed; none of a subject that is held back."""
    subjects, names = {case.subject for case in held}, {case.name for case in held}
    free = [case for case in cases if case.subject not in subjects and case.name not in names]
    if not held or not free:
        raise DatasetError(
            f"a simulation must have cases to correct and others that are held back, got "
            f"{len(free)} and {len(held)}; hold back another number",
            "simulate",
        )
    order = np.random.default_rng(config.seed).permutation(len(free))
    return [free[int(n)] for n in order[: config.cases]]


def _canonical(case: Case) -> tuple[Volume, Mask]:
    """A case with Z axial, as the window shows it."""
    volume, mask = read_case(case)
    turned, _ = to_canonical(volume)
    truth, _ = mask_to_canonical(mask)
    return replace(turned, name=case.name), truth
