"""A stroke while the hand is still down: written at once, and taken back as long as it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.brush import Footprint
from napari_medseg.correction.edit import Bools, Extent, Rules, Scene
from napari_medseg.correction.forbidden import NOTHING, forbidden
from napari_medseg.correction.record import Box, Labels


@dataclass(frozen=True, eq=False)
class _Written:
    """Voxels of a box, flat indices into it, and what they were."""

    box: Box
    where: npt.NDArray[np.intp]
    old: npt.NDArray[np.unsignedinteger[Any]]


class Paint:
    """Writes one value where the rules allow it.

    Parameters
    ----------
    scene
        Its `labels` are written in place.
    value
        What to write; 0 erases.
    chosen
        The structure that the rules speak of.

    Attributes
    ----------
    forbidden
        Which rules kept a whole footprint from being painted.
    """

    def __init__(self, scene: Scene, rules: Rules, value: int, chosen: int) -> None:
        self._scene, self._rules, self._value, self._chosen = scene, rules, value, chosen
        self._written: list[_Written] = []
        self._low: npt.NDArray[np.int64] | None = None
        self._high = np.zeros(3, np.int64)
        self.forbidden = NOTHING

    @property
    def shape(self) -> Extent:
        return self._scene.shape

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return self._scene.spacing_mm

    @property
    def labels(self) -> Labels:
        return self._scene.labels

    @property
    def value(self) -> int:
        return self._value

    @property
    def box(self) -> Box | None:
        """What holds all that was written; None while that is nothing."""
        if self._low is None:
            return None
        z, y, x = (slice(int(a), int(b)) for a, b in zip(self._low, self._high, strict=True))
        return z, y, x

    def put(self, footprint: Footprint | None) -> bool:
        """Write into a footprint; whether a voxel changed."""
        if footprint is None:
            return False
        box, inside = footprint
        now = self._scene.labels[box]
        change = inside & (now != self._value)
        if not self._rules.open:
            change = self._allowed(box, now, change)
        where = np.flatnonzero(change)
        if not where.size:
            return False
        self._written.append(_Written(box, where, now[change]))
        now[change] = self._value
        self._grow(box)
        return True

    def _allowed(self, box: Box, now: Labels, wanted: Bools) -> Bools:
        """What of some wanted voxels the rules let change."""
        image, rules = self._scene.image[box], self._rules
        may = wanted & rules.may_change(now, image, self._chosen)
        may &= self._value not in rules.locked
        if wanted.any() and not may.any():
            self.forbidden |= forbidden(rules, now, image, self._value, wanted, self._chosen)
        return may

    def take_back(self) -> None:
        """All voxels are again as they were before the stroke."""
        for one in reversed(self._written):
            part = self._scene.labels[one.box]
            part[np.unravel_index(one.where, part.shape)] = one.old
        self._written = []

    def _grow(self, box: Box) -> None:
        low, high = _ends(box)
        self._low = low if self._low is None else np.minimum(self._low, low)
        self._high = np.maximum(self._high, high)


def grey_range(
    image: npt.NDArray[Any], footprint: Footprint, spread: float
) -> tuple[float, float] | None:
    """(low, high) around the grey values of some voxels: mean -+ spread standard deviations.

    None where there is no finite value. One value that all share gives a range of just that.
    """
    box, inside = footprint
    values = image[box][inside].astype(np.float64)
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    middle, half = float(values.mean()), spread * float(values.std())
    return middle - half, middle + half


def _ends(box: Sequence[slice]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    return np.array([part.start for part in box]), np.array([part.stop for part in box])
