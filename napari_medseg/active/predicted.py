"""The Dice of a mask that has no truth, with an interval that keeps its word.

Learned from the corrected cases: a ridge regression on what the model's passes agree on, made
robust against single odd cases. The interval is conformal: corrected cases are predicted by the
others, and the interval is as wide as these errors, corrected for how few they are (Barber et al.,
"Predictive inference with the jackknife+", 2021). With too few cases it is all of 0 to 1.

>>> judge = calibrated(known)
>>> judge.guess(signs, label=1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_medseg.active.signs import Signs
from napari_medseg.errors import InputError

Numbers = npt.NDArray[np.float64]
Whole = npt.NDArray[np.intp]

COVERAGE = 0.9
FEWEST = 5  # cases for a regression; below it the model's own signs are taken at their word
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of the ridge; the best is cross-validated
FOLDS = 10  # with fewer cases each is left out alone
ROUNDS = 8  # of reweighting
ODD = 1.345  # errors beyond so many standard deviations weigh less (Huber: 95 % efficient)
EDGE = 0.01  # Dice of 0 and 1 lie at infinity: this far inside is near enough


@dataclass(frozen=True)
class Known:
    """A label of a corrected case: what the model's passes said, and what was true.

    Labels of one case, and changed copies of it, share its `case` and are left out together.
    """

    case: str
    label: int
    signs: Signs
    dice: float


@dataclass(frozen=True)
class Guess:
    """A predicted Dice and the interval that holds the true one in nine of ten cases."""

    dice: float
    low: float = 0.0
    high: float = 1.0

    def __str__(self) -> str:
        if self.high - self.low >= 1.0:
            return f"{self.dice:.2f} (not calibrated)"
        return f"{self.dice:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, eq=False)
class _Scale:
    """Standardises each label's columns by its own cases; a label that has none by all."""

    labels: tuple[int, ...]
    middle: Numbers  # (labels and one for all, columns)
    spread: Numbers

    @classmethod
    def of(cls, rows: Numbers, label: Whole) -> _Scale:
        labels = tuple(int(one) for one in np.unique(label))
        parts = [*(rows[label == one] for one in labels), rows]
        spread = np.array([part.std(0) for part in parts])
        return cls(labels, np.array([p.mean(0) for p in parts]), np.maximum(spread, 1e-3))

    def table(self, rows: Numbers, label: Whole) -> Numbers:
        """What all labels share, what each has of its own, and which it is.

        How much a sign tells differs from label to label; the ridge lends from one to another.
        """
        own = label[:, None] == np.array(self.labels)
        which = np.where(own.any(1), own.argmax(1), len(self.labels))
        unit = (rows - self.middle[which]) / self.spread[which]
        return np.hstack([unit, *(unit * one[:, None] for one in own.T), own])


@dataclass(frozen=True, eq=False)
class _Line:
    """A fitted ridge on a scale's table."""

    scale: _Scale
    slopes: Numbers
    level: float

    def at(self, rows: Numbers, label: Whole) -> Numbers:
        return np.asarray(self.level + self.scale.table(rows, label) @ self.slopes)


@dataclass(frozen=True, eq=False)
class Judge:
    """Predicts Dice; `error` is its mean absolute error on cases that it was not told.

    Without enough cases `line` is None, and a guess is the model's own opinion.
    """

    cases: int = 0
    error: float = float("nan")
    line: _Line | None = field(default=None, repr=False)
    width: float = math.inf  # of the interval, each way, in logits

    def guess(self, signs: Signs, label: int) -> Guess:
        """The Dice of one label.

        Raises
        ------
        InputError
            The signs are of other passes than those of the corrected cases.
        """
        if self.line is None:
            return Guess(float(np.mean((signs.expected, *signs.agreed))))
        row = _row(signs)
        columns = self.line.scale.middle.shape[1]
        if len(row) != columns:
            raise InputError(
                f"signs must be of {(columns - 3) // 2} passes as the corrected cases' are, "
                f"got {len(signs.agreed)}; calibrate again"
            )
        at = float(self.line.at(row[None], np.array([label]))[0])
        if not math.isfinite(self.width):
            return Guess(_dice(at))
        return Guess(_dice(at), _dice(at - self.width), _dice(at + self.width))


def calibrated(known: Sequence[Known], coverage: float = COVERAGE) -> Judge:
    """A judge that learned from corrected cases; one without a calibration from too few."""
    known = [one for one in known if math.isfinite(one.dice)]
    names = sorted({one.case for one in known})
    if len(names) < FEWEST:
        return Judge(len(names))
    rows = np.array([_row(one.signs) for one in known])
    label = np.array([one.label for one in known])
    truth = _logit(np.array([one.dice for one in known]))
    of_case = np.array([names.index(one.case) for one in known])
    strength, left_out = _best_strength(rows, label, truth, of_case)
    misses = np.abs(truth - left_out)
    error = float(np.abs(_undone(truth) - _undone(left_out)).mean())
    width = _conformal(misses, len(names), coverage)
    return Judge(len(names), error, _fit(rows, label, truth, strength), width)


def _best_strength(
    rows: Numbers, label: Whole, truth: Numbers, of_case: Whole
) -> tuple[float, Numbers]:
    """The ridge with the smallest error on cases left out, and its predictions of them."""
    tried = []
    folds = [of_case % FOLDS == fold for fold in range(min(FOLDS, int(of_case.max()) + 1))]
    for strength in STRENGTHS:
        left_out = np.empty(len(truth))
        for out in folds:
            line = _fit(rows[~out], label[~out], truth[~out], strength)
            left_out[out] = line.at(rows[out], label[out])
        tried.append((float(np.abs(_undone(truth) - _undone(left_out)).mean()), strength, left_out))
    _, strength, left_out = min(tried, key=lambda one: one[0])
    return strength, left_out


def _fit(rows: Numbers, label: Whole, truth: Numbers, strength: float) -> _Line:
    """Ridge by reweighted least squares, so that single odd cases do not bend it."""
    scale = _Scale.of(rows, label)
    table = scale.table(rows, label)
    weights = np.ones(len(truth))
    for _ in range(ROUNDS):
        level = float(np.average(truth, weights=weights))
        centre = np.average(table, axis=0, weights=weights)
        moved = table - centre
        square = (moved * weights[:, None]).T @ moved + strength * np.eye(moved.shape[1])
        slopes = np.linalg.solve(square, (moved * weights[:, None]).T @ (truth - level))
        misses = np.abs(truth - level - moved @ slopes)
        usual = max(1.4826 * float(np.median(misses)), 1e-6)
        weights = np.minimum(1.0, ODD * usual / np.maximum(misses, 1e-12))
    return _Line(scale, np.asarray(slopes, np.float64), level - float(centre @ slopes))


def _conformal(misses: Numbers, cases: int, coverage: float) -> float:
    """The error that is not exceeded with this probability; infinite where too few tell.

    Labels of one case err together: it is the number of cases that corrects, not that of pairs.
    """
    share = coverage * (cases + 1) / cases
    if share > 1.0:
        return math.inf
    return float(np.quantile(misses, share, method="higher"))


def _row(signs: Signs) -> Numbers:
    """The regression's columns: one for each sign."""
    agreed = _logit(np.array((signs.expected, *signs.agreed)))
    return np.array([*agreed, *signs.grown, signs.sure, math.log(max(signs.volume_ml, 1e-4))])


def _logit(dice: Numbers) -> Numbers:
    inside = np.clip(dice, EDGE, 1.0 - EDGE)
    return np.asarray(np.log(inside / (1.0 - inside)))


def _undone(logits: Numbers) -> Numbers:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def _dice(logit: float) -> float:
    return float(_undone(np.array(min(max(logit, -30.0), 30.0))))
