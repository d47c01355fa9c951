"""Which rules kept voxels as they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Bools, Edit, Over, Rules, Scene
from napari_medseg.correction.record import Labels


@dataclass(frozen=True)
class Forbidden:
    """The rules that forbade something.

    Attributes
    ----------
    over
        The rule on the label that a voxel has now; None where that one forbade nothing.
    locked
        Locked structures that would have been painted, or painted over.
    low, high
        The grey values that voxels must have; None where they were right, or on an open side.
    """

    over: Over | None = None
    locked: frozenset[int] = frozenset()
    low: float | None = None
    high: float | None = None

    def __or__(self, other: Forbidden) -> Forbidden:
        """What either of two forbade, under the same rules."""
        return Forbidden(
            self.over or other.over,
            self.locked | other.locked,
            other.low if self.low is None else self.low,
            other.high if self.high is None else self.high,
        )


NOTHING = Forbidden()


def forbidden(
    rules: Rules,
    now: Labels,
    image: npt.NDArray[Any],
    new: int | Labels,
    wanted: Bools,
    chosen: int,
) -> Forbidden:
    """Which rules forbid what of some wanted voxels; all arrays have one shape."""
    free = {Over.BACKGROUND: 0, Over.CHOSEN: chosen}.get(rules.over)
    over = rules.over if free is not None and (now[wanted] != free).any() else None
    met = {int(v) for v in np.unique(now[wanted])}
    met |= {new} if isinstance(new, int) else {int(v) for v in np.unique(new[wanted])}
    locked = rules.locked & met if wanted.any() else frozenset()
    grey = image[wanted]
    low = rules.low if rules.low is not None and (grey < rules.low).any() else None
    high = rules.high if rules.high is not None and (grey > rules.high).any() else None
    return Forbidden(over, locked, low, high)


def forbidden_of(edit: Edit, scene: Scene, rules: Rules, chosen: int) -> Forbidden:
    """Which rules forbid what of an edit that is not written yet."""
    if rules.open:
        return NOTHING
    now = scene.labels[edit.box]
    wanted = edit.labels != now
    return forbidden(rules, now, scene.image[edit.box], edit.labels, wanted, chosen)
