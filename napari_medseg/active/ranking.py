"""Which slice and which case to correct next: the most expected gain for a second of work.

The honest baseline is `at_random`: foreground-aware random order, which plain entropy does not
reliably beat.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.active.predicted import Guess
from napari_medseg.active.signs import Floats, Signs

Numbers = npt.NDArray[np.float64]

UNSEEN = 0.05  # a chance below is no place to look at: summed over a scan it would drown the rest


@dataclass(frozen=True)
class Work:
    """Seconds that a person needs; set them by what was measured with your own cases.

    Attributes
    ----------
    look_s
        To go to a slice and see what is wrong.
    stroke_s
        For one stroke.
    stroke_mm2
        What one stroke puts right.
    """

    look_s: float = 3.0
    stroke_s: float = 2.0
    stroke_mm2: float = 60.0

    def seconds(self, wrong_mm2: float) -> float:
        """For one slice in which so much is wrong."""
        return self.look_s + self.stroke_s * math.ceil(wrong_mm2 / self.stroke_mm2)


@dataclass(frozen=True)
class Slice:
    """A slice to correct: what is probably wrong in it, and what it takes.

    Attributes
    ----------
    wrong_mm2
        Expected area of what is wrong.
    seconds
        Expected seconds of work.
    """

    axis: int
    index: int
    wrong_mm2: float
    seconds: float
    voxel: tuple[int, int, int]


def slices(
    wrong: Floats,
    spacing_mm: tuple[float, float, float],
    axis: int = 0,
    work: Work | None = None,
    most: int = 20,
    apart_mm: float = 0.0,
    done: Collection[int] = (),
) -> tuple[Slice, ...]:
    """The slices along an axis, the most expected gain per second first.

    Parameters
    ----------
    wrong
        (Z, Y, X) in [0, 1]: how likely each voxel's label is wrong.
    apart_mm
        Slices so near to one that is offered count half: they show the same error, and a mask that
        is put right in one is often filled in to the next. 0 for the most error in fewest slices.
    done
        Slices that somebody looked through: none of them is offered, and those beside them count
        half too.
    """
    work = work or Work()
    others = tuple(one for one in range(3) if one != axis)
    pixel_mm2 = spacing_mm[others[0]] * spacing_mm[others[1]]
    areas = masses(wrong, axis) * pixel_mm2
    seconds = np.array([work.seconds(float(area)) for area in areas])
    order = _apart(areas / seconds, apart_mm / spacing_mm[axis], done)[:most]
    return tuple(
        Slice(axis, n, float(areas[n]), float(seconds[n]), _worst(wrong, axis, n))
        for n in order
        if areas[n] > 0
    )


def masses(wrong: Floats, axis: int = 0) -> Numbers:
    """Expected number of wrong voxels of each slice along an axis."""
    others = tuple(one for one in range(3) if one != axis)
    seen = np.where(wrong > UNSEEN, wrong, 0)
    return np.asarray(seen.sum(axis=others, dtype=np.float64))


def at_random(foreground: Sequence[float] | Numbers, seed: int = 0) -> list[int]:
    """The baseline: slices drawn without putting back, in proportion to their foreground.

    Slices without any are not drawn.
    """
    weights = np.asarray(foreground, np.float64)
    places = np.flatnonzero(weights > 0)
    # Efraimidis and Spirakis 2006: the order of u^(1/w) is such a draw
    luck = np.log(np.random.default_rng(seed).random(len(places))) / weights[places]
    return [int(n) for n in places[np.argsort(-luck)]]


@dataclass(frozen=True)
class CaseSigns:
    """One case that nobody corrected: its guesses and signs, by label value."""

    name: str
    guesses: Mapping[int, Guess]
    signs: Mapping[int, Signs]


@dataclass(frozen=True)
class Ranked:
    """A case in the order of what correcting it is worth.

    Attributes
    ----------
    worth
        Predicted error (one less the mean predicted Dice), times how new it is.
    new
        0: as a case before it in the order; 1: unlike any.
    why
        In words.
    """

    name: str
    worth: float
    new: float
    why: str


def cases(found: Sequence[CaseSigns], names: Mapping[int, str] | None = None) -> tuple[Ranked, ...]:
    """Cases with the largest predicted error and unlike those before them first.

    A case without any label found comes first: there is nothing to tell whether that is right.
    """
    if not found:
        return ()
    errors = np.array([_error(one) for one in found])
    places = _places(found)
    new = np.ones(len(found))
    left, ranked = list(range(len(found))), []
    while left:
        at = max(left, key=lambda n: (errors[n] * (0.5 + 0.5 * new[n]), -n))
        left.remove(at)
        worth = float(errors[at] * (0.5 + 0.5 * new[at]))
        ranked.append(Ranked(found[at].name, worth, float(new[at]), _why(found[at], names or {})))
        away = np.linalg.norm(places - places[at], axis=1) / math.sqrt(places.shape[1])
        new = np.minimum(new, 1.0 - np.exp(-away))
    return tuple(ranked)


def _error(one: CaseSigns) -> float:
    known = [guess.dice for guess in one.guesses.values()]
    return 1.0 - float(np.mean(known)) if known else 1.0


def _places(found: Sequence[CaseSigns]) -> Numbers:
    """Each case as standardised signs; a label that it has not lies in the middle."""
    labels = sorted({value for one in found for value in one.signs})
    rows = np.array([[_sign(one.signs.get(value)) for value in labels] for one in found])
    rows = rows.reshape(len(found), -1)
    if rows.shape[1] == 0:
        return np.zeros((len(found), 1))
    known = np.isfinite(rows)
    count = np.maximum(known.sum(0), 1)
    middle = np.where(known, rows, 0).sum(0) / count
    moved = np.where(known, rows - middle, 0)
    spread = np.sqrt((moved**2).sum(0) / count)
    return np.asarray(moved / np.where(spread > 1e-9, spread, 1.0))


def _sign(signs: Signs | None) -> tuple[float, ...]:
    if signs is None:
        return (math.nan,) * 3
    mean = float(np.mean((signs.expected, *signs.agreed)))
    return mean, signs.sure, math.log(max(signs.volume_ml, 1e-4))


def _why(one: CaseSigns, names: Mapping[int, str]) -> str:
    if not one.guesses:
        return "no label was found"
    worst = min(one.guesses, key=lambda value: one.guesses[value].dice)
    return f"{names.get(worst, f'label {worst}')} {one.guesses[worst]}"


def _apart(worth: Numbers, width: float, done: Collection[int] = ()) -> list[int]:
    """Indices but those done, the largest first; each that is taken or done halves those near."""
    left = worth.astype(np.float64)
    order: list[int] = []
    at = np.arange(len(left))
    taken = sorted(set(done))
    waiting = list(taken)
    while waiting or len(order) + len(taken) < len(worth):
        best = waiting.pop() if waiting else int(np.argmax(left))
        if best not in taken:
            order.append(best)
        left = left * (1.0 - 0.5 * np.exp(-0.5 * ((at - best) / max(width, 1e-6)) ** 2))
        left[[*taken, *order]] = -1.0
    return order


def _worst(wrong: Floats, axis: int, index: int) -> tuple[int, int, int]:
    """Where in a slice it is most likely wrong, over a small neighbourhood."""
    plane = np.take(wrong, index, axis=axis).astype(np.float64)
    padded = np.pad(plane, 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    flat = int(np.argmax(windows.sum(axis=(2, 3))))
    at = [int(v) for v in np.unravel_index(flat, plane.shape)]
    at.insert(axis, index)
    return at[0], at[1], at[2]
