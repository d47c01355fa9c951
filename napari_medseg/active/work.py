"""How long correcting takes this person: from what their earlier cases took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_medseg.active.ranking import Work

ENOUGH_S, ENOUGH_STROKES, ENOUGH_SLICES = 120.0, 20, 10  # in all: less says little of a person
LEAST_S, MOST_S = 0.2, 60.0
LEAST_MM2 = 1.0


@dataclass(frozen=True)
class Spent:
    """What one case took: active seconds, slices looked at, strokes; `mm2` that they changed.

    `mm2` is 0 where nobody knows how large a pixel was.
    """

    seconds: float
    slices: int
    strokes: int
    mm2: float = 0.0


def measured(spent: Sequence[Spent], usual: Work | None = None) -> Work | None:
    """A person's own pace; None while too little was done.

    The usual pace, made faster or slower as a whole, and then as far apart for slices and strokes
    as the cases tell: to be off by all of it counts as much as one case that took twice as long.
    """
    usual = usual or Work()
    spent = [one for one in spent if one.seconds > 0 and one.slices + one.strokes > 0]
    counts = np.array([(one.slices, one.strokes) for one in spent], np.float64).reshape(-1, 2)
    seconds = np.array([one.seconds for one in spent], np.float64)
    slices, strokes = counts.sum(0)
    if seconds.sum() < ENOUGH_S or strokes < ENOUGH_STROKES or slices < ENOUGH_SLICES:
        return None
    start = np.array([usual.look_s, usual.stroke_s])
    start *= seconds.sum() / float((counts @ start).sum())
    parts = counts * start / seconds[:, None]  # what each would take of a case, as its share
    missing = 1.0 - parts.sum(1)
    change = np.linalg.solve(parts.T @ parts + np.eye(2), parts.T @ missing)
    look, stroke = np.clip(start * (1.0 + change), LEAST_S, MOST_S)
    return Work(float(look), float(stroke), _stroke_mm2(spent, usual))


def _stroke_mm2(spent: Sequence[Spent], usual: Work) -> float:
    known = [one for one in spent if one.mm2 > 0]
    strokes = sum(one.strokes for one in known)
    if strokes < ENOUGH_STROKES:
        return usual.stroke_mm2
    return max(LEAST_MM2, sum(one.mm2 for one in known) / strokes)
