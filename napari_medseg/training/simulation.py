"""What a simulation is set to and what it tells; read without torch."""

from __future__ import annotations

import csv
import io
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from napari_medseg.errors import WriteError
from napari_medseg.evaluation.chart import Line, Panel, write_chart
from napari_medseg.training.annotator import SimulatedPerson
from napari_medseg.training.config import FineTuneConfig, check_bounds

CHECKS = (0, 1, 2, 5, 10, 20)
SMOOTH = 5  # cases that a point of the effort curve is the mean of


class Strategy(StrEnum):
    """Who learns how."""

    OURS = "ours"  # goes on from the model in use, with replay, anchors and the gate
    NO_GATE = "no_gate"  # as RootPainter: goes on, keeps nothing of before, adopts whatever comes
    RESTART = "restart"  # as Cellpose: from the first model each time, on the masks as wholes
    SCRATCH = "scratch"  # as nnU-Net: a new network each time, on the masks as wholes
    NONE = "none"  # learns nothing: what the corrections alone would do


ANEW = (Strategy.RESTART, Strategy.SCRATCH)  # what they learned before is not built upon


@dataclass(frozen=True)
class SimulateConfig:
    """How a simulation runs.

    Attributes
    ----------
    cases
        How many are corrected at most.
    checks
        After how many of them the held-back cases are scored; the last one always is.
    goal
        Dice of a case at which it is good enough: how many strokes that takes is counted, also
        beyond the budget.
    most_strokes
        Counted at most.
    scratch_steps
        Optimiser steps of each training from scratch; 0: those of a fine-tune for each case so far,
        as many as who goes on has had. Who starts anew learns only before a check.
    seed
        Of the order of the cases, the hand and the learning.
    """

    strategy: Strategy = Strategy.OURS
    person: SimulatedPerson = field(default_factory=SimulatedPerson)
    learning: FineTuneConfig = field(default_factory=FineTuneConfig)
    cases: Annotated[int, {"min": 1, "max": 100_000}] = 20
    checks: tuple[int, ...] = CHECKS
    goal: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.9
    most_strokes: Annotated[int, {"min": 0, "max": 10_000}] = 100
    scratch_steps: Annotated[int, {"min": 0, "max": 1_000_000}] = 0
    seed: Annotated[int, {"min": 0, "max": 2**20}] = 0

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True)
class Row:
    """One corrected case; the first row of a run is the model as it came, with no case.

    Attributes
    ----------
    cases
        How many were corrected by now.
    strokes, seconds
        What the person put into this case; seconds of the simulated clock.
    needed
        Strokes until the case was good enough, also beyond the budget.
    wrong
        Voxels that were wrong before.
    dice_before, dice_after
        Mean Dice of this case as predicted and as corrected.
    confirmed
        Slices.
    learning_s
        Seconds of the processor that learning from it took.
    adopted, why
        Whether the model was replaced, and the reason.
    dice
        By label, mean over the held-back cases; empty where they were not scored.
    """

    strategy: str
    seed: int
    cases: int
    case: str = ""
    strokes: int = 0
    needed: int = 0
    wrong: int = 0
    dice_before: float = float("nan")
    dice_after: float = float("nan")
    confirmed: int = 0
    seconds: float = 0.0
    learning_s: float = 0.0
    adopted: bool = False
    why: str = ""
    strokes_total: int = 0
    seconds_total: float = 0.0
    learning_s_total: float = 0.0
    dice: Mapping[str, float] = field(default_factory=dict)

    @property
    def dice_mean(self) -> float:
        """Over the labels that occur; nan where nothing was scored."""
        return mean_of(self.dice.values())


@dataclass(frozen=True)
class CaseDone:
    """A row is there."""

    row: Row


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """One line for each row; what was not scored is empty.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    labels = list(dict.fromkeys(name for row in rows for name in row.dice))
    names = [one.name for one in fields(Row) if one.name != "dice"]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*names, "dice_mean", *(f"dice_{name}" for name in labels)])
    for row in rows:
        scores = [row.dice_mean, *(row.dice.get(name, math.nan) for name in labels)]
        table.writerow(_cell(value) for value in (*(getattr(row, name) for name in names), *scores))
    try:
        Path(path).write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise WriteError(
            f"a table must be saved, {error.strerror}; choose another folder", Path(path).name
        ) from error


def write_png(rows: Sequence[Row], path: Path, goal: float, levels: Sequence[float] = ()) -> None:
    """Dice on the held-back cases over cases, strokes and seconds, and the strokes needed.

    Means over the seeds; the band is a standard deviation on either side. `levels` are dashed
    lines, such as the Dice of a model that learned from all cases.

    Raises
    ------
    WriteError
        The file cannot be written.
    """
    title, known = "Mean Dice on held-back cases", tuple(levels)
    write_chart(
        [
            Panel(title, "corrected cases", curves(rows, lambda row: row.cases), known),
            Panel(title, "strokes", curves(rows, lambda row: row.strokes_total), known),
            Panel(title, "seconds of work", curves(rows, lambda row: row.seconds_total), known),
            Panel(
                f"Strokes to a Dice of {goal:g}, mean of {SMOOTH} cases",
                "corrected cases",
                tuple(_effort(name, one) for name, one in _by_strategy(rows).items()),
            ),
        ],
        path,
    )


def curves(rows: Sequence[Row], x: Callable[[Row], float]) -> tuple[Line, ...]:
    """Mean Dice of each strategy where it was scored, over something that grows with the cases."""
    found = []
    for name, own in _by_strategy(row for row in rows if row.dice).items():
        groups = _by_cases(own)
        means, spread = zip(
            *(_spread([row.dice_mean for row in one]) for one in groups), strict=True
        )
        across = [statistics.fmean(x(row) for row in one) for one in groups]
        found.append(_line(name, across, means, spread))
    return tuple(found)


def _effort(name: str, rows: Sequence[Row]) -> Line:
    """Strokes that a case needs, smoothed over the last cases."""
    groups = _by_cases([row for row in rows if row.cases])
    recent = [groups[max(0, n - SMOOTH) : n] for n in range(1, len(groups) + 1)]
    means = [statistics.fmean(row.needed for one in some for row in one) for some in recent]
    return Line(name, [one[0].cases for one in groups], means)


def _line(name: str, x: Sequence[float], y: Sequence[float], spread: Sequence[float]) -> Line:
    if not any(spread):
        return Line(name, x, y)
    low = [a - b for a, b in zip(y, spread, strict=True)]
    return Line(name, x, y, low, [a + b for a, b in zip(y, spread, strict=True)])


def _by_strategy(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.strategy, []).append(row)
    return found


def _by_cases(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows after the same number of cases, fewest first."""
    ordered = sorted(rows, key=lambda row: row.cases)
    return [list(one) for _, one in itertools.groupby(ordered, lambda row: row.cases)]


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation of what is known."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return math.nan, 0.0
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else 0.0


def mean_of(values: Iterable[float]) -> float:
    """Mean of what is known; nan if nothing is."""
    return _spread(list(values))[0]


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else ""
    return value
