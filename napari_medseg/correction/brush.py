"""Which voxels one move of a brush covers: round in millimetres on any grid, and without gaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Bools, Extent
from napari_medseg.correction.record import Box

Place: TypeAlias = npt.NDArray[np.float64]
Footprint: TypeAlias = tuple[Box, Bools]

SLACK = 1e-9  # of the squared radius: a centre that lies on the rim belongs to it


def footprint(
    start: npt.ArrayLike,
    end: npt.ArrayLike,
    radius_mm: float,
    spacing_mm: Sequence[float],
    shape: Extent,
    axis: int | None = None,
) -> Footprint | None:
    """All voxels whose centre is within a radius of the way from start to end; None outside.

    However thin the brush, the voxels under the pointer are among them.

    Parameters
    ----------
    start, end
        Places in voxels (z, y, x); may lie outside and between voxels.
    axis
        0 Z, 1 Y or 2 X: a disc in the slice across that axis at `start`; None: a ball.
    """
    ends, spacing = np.array([start, end], np.float64), np.asarray(spacing_mm, float)
    if axis is not None:
        ends[:, axis] = round(ends[0, axis])
    reach = radius_mm / spacing
    if axis is not None:
        reach[axis] = 0
    low = np.minimum(np.floor(ends.min(0) + 0.5), np.ceil(ends.min(0) - reach)).astype(int)
    high = np.maximum(np.floor(ends.max(0) + 0.5), np.floor(ends.max(0) + reach)).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, shape)
    if (low >= high).any():
        return None
    inside = _within(low, high, ends * spacing, spacing, radius_mm)
    _draw(inside, ends - low)
    return _box(low, high), inside


def line(start: npt.ArrayLike, end: npt.ArrayLike, shape: Extent) -> Footprint | None:
    """One voxel after the other from start to end; None where all lie outside."""
    ends = np.array([start, end], np.float64)
    low = np.maximum(np.floor(ends.min(0) + 0.5).astype(int), 0)
    high = np.minimum(np.floor(ends.max(0) + 0.5).astype(int) + 1, shape)
    if (low >= high).any():
        return None
    inside = np.zeros(high - low, bool)
    _draw(inside, ends - low)
    return (_box(low, high), inside) if inside.any() else None


def _within(
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    ends_mm: Place,
    spacing_mm: Place,
    radius_mm: float,
) -> Bools:
    """Which voxels of a box are within the radius of a segment.

    With p from the start and d from start to end, the squared distance to start + t d is
    p.p - 2 t p.d + t t d.d; the nearest point has t = p.d / d.d, kept within [0, 1]. What an axis
    adds along which the hand did not move is kept apart: mostly two axes are computed, not three.
    """
    way = ends_mm[1] - ends_mm[0]
    moved: list[tuple[Place, float]] = []
    still: list[Place] = []
    sides = [np.arange(a, b) * s for a, b, s in zip(low, high, spacing_mm, strict=True)]
    for axis, d, origin in zip(np.ix_(*sides), way, ends_mm[0], strict=True):
        p = axis - origin
        moved.append((p, float(d))) if d else still.append(p * p)
    rest = radius_mm * radius_mm * (1 + SLACK) - _sum(still)
    if not moved:
        return np.asarray(rest >= 0)
    length = float(way @ way)
    along = _sum([p * d for p, d in moved])
    t = np.clip(along / length, 0, 1)
    along *= -2
    along += t * length
    along *= t
    along += _sum([p * p for p, _ in moved])
    inside: Bools = along <= rest
    return inside


def _sum(axes: Sequence[Place]) -> Place:
    """What all axes add, the small ones first."""
    return sum(reversed(axes), start=np.zeros((1, 1, 1)))


def _draw(into: Bools, ends: Place) -> None:
    """Set the voxels of a line; those outside are left out."""
    steps = int(np.ceil(np.abs(ends[1] - ends[0]).max())) + 1
    way = np.linspace(ends[0], ends[1], max(steps, 2))
    voxels = np.floor(way + 0.5).astype(np.int64)
    voxels = voxels[((voxels >= 0) & (voxels < into.shape)).all(1)]
    into[tuple(voxels.T)] = True


def _box(low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]) -> Box:
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x
