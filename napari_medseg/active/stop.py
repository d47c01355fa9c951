"""When to stop: what further corrections are probably worth.

A learning curve that flattens, Dice = top - rest * rate^n, is fitted to the Dice on held-back cases
after each lesson. What is said is the upper end of what still fits the curve, so that a lucky or an
unlucky score ends nothing; and no more can be gained than is probably wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

ENOUGH = 0.2  # Dice points: less than two people who draw the same structure differ by
AHEAD = 5  # lessons
FEWEST = 4  # scores: three numbers are fitted
RATES = np.concatenate([np.linspace(0.05, 0.9, 18), np.linspace(0.92, 0.99, 8)])
PATIENCE = 2.7  # errors that fit as well as not: chi squared, 90 %, one number


@dataclass(frozen=True)
class Worth:
    """What further corrections are worth.

    Attributes
    ----------
    points
        Dice points (hundredths) that may still be gained, at most; nan where nobody knows yet.
    expected
        As many as the best fit says.
    stop
        Whether it is less than enough.
    said
        A sentence for the user.
    """

    points: float
    expected: float
    stop: bool
    said: str


def worth_of_lessons(
    scores: Sequence[float],
    predicted: Sequence[float] = (),
    enough: float = ENOUGH,
    ahead: int = AHEAD,
) -> Worth:
    """What the next lessons are worth.

    Parameters
    ----------
    scores
        Mean Dice on the held-back cases before the first lesson and after each, in [0, 1].
    predicted
        Predicted Dice of the cases that come: no more can be gained than they lack.
    enough
        Dice points below which to stop.
    ahead
        Lessons to look ahead.
    """
    seen = np.array([one for one in scores if math.isfinite(one)], np.float64)
    lacking = 100.0 * (1.0 - float(np.mean(predicted))) if len(predicted) else math.inf
    if len(seen) < FEWEST:
        if lacking < enough:
            return _said(lacking, lacking, enough)
        left = FEWEST - len(seen)
        return Worth(math.nan, math.nan, False, f"{left} more lessons tell what the next are worth")
    likely, most = _gains(seen, ahead)
    return _said(min(100.0 * most, lacking), min(100.0 * likely, lacking), enough)


def worth_of_slices(wrong: Sequence[float] | Numbers, voxels: int, enough: float = ENOUGH) -> Worth:
    """What correcting more slices of one mask is worth: all of what is probably wrong in them.

    Parameters
    ----------
    wrong
        Expected number of wrong voxels of each slice that was not corrected.
    voxels
        Of the mask.
    """
    lost = float(np.sum(wrong))
    points = 100.0 * lost / max(2.0 * voxels, lost, 1.0)  # an error costs half a voxel of overlap
    return _said(points, points, enough)


def _said(points: float, expected: float, enough: float) -> Worth:
    if points < enough:
        text = f"Further corrections are worth < {enough:g} Dice points (at most {points:.2f})"
        return Worth(points, expected, True, text)
    text = f"Further corrections are worth about {expected:.1f} Dice points (at most {points:.1f})"
    return Worth(points, expected, False, text)


def _gains(scores: Numbers, ahead: int) -> tuple[float, float]:
    """Gain over the next lessons: of the best fit, and the largest that fits nearly as well."""
    n = np.arange(len(scores), dtype=np.float64)
    fits = [_fit(scores, n, float(rate), ahead) for rate in RATES]
    errors, gains, slack = (np.array(column) for column in zip(*fits, strict=True))
    best = int(np.argmin(errors))
    noise = max(float(errors[best]) / max(len(scores) - 3, 1), 1e-8)
    plausible = errors <= errors[best] + PATIENCE * noise
    most = gains + math.sqrt(PATIENCE * noise) * slack
    return max(0.0, float(gains[best])), max(0.0, float(most[plausible].max()))


def _fit(scores: Numbers, n: Numbers, rate: float, ahead: int) -> tuple[float, float, float]:
    """Squared error, gain ahead, and how much the gain follows noise of 1."""
    fall = rate**n
    moved = fall - fall.mean()
    square = float(moved @ moved)
    rest = -float(moved @ scores) / square
    top = float(scores.mean()) + rest * float(fall.mean())
    left = float(((scores - top + rest * fall) ** 2).sum())
    share = rate ** float(n[-1]) * (1.0 - rate**ahead)
    return left, rest * share, share / math.sqrt(square)
