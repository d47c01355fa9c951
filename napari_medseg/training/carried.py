"""Where a structure should be between and beyond the slices in which it was painted.

Two guesses, both signed distances in mm: the shapes of the painted slices interpolated (Raya &
Udupa 1990), and the same shapes moved along with the image from slice to slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage

from napari_medseg.correction.tools.between_slices import depth_mm
from napari_medseg.correction.tools.flow import flow, pulled
from napari_medseg.training.painted import Bools, Floats

FAR_MM = -60.0  # where no guess reaches


class Flows:
    """How a stack's image (S, R, C) changes from each slice to the next; each step once."""

    def __init__(self, image: Floats, threads: int) -> None:
        self._image = image
        self._fields: dict[tuple[int, int], Floats] = {}
        steps = [(k, k + 1) for k in range(len(image) - 1)]
        steps += [(b, a) for a, b in steps]
        with ThreadPoolExecutor(threads) as pool:
            fields = pool.map(lambda s: flow(self._image[s[1]], self._image[s[0]]), steps)
            self._fields = dict(zip(steps, fields, strict=True))

    def carry(self, depth: Floats, start: int, end: int) -> Iterator[tuple[int, Floats]]:
        """A depth map (R, C) of the start at each slice up to the end, both included."""
        yield start, depth
        step = 1 if end > start else -1
        whole = np.zeros((2, *depth.shape), np.float32)
        for k in range(start, end, step):
            one = self._fields[k, k + step]
            whole = one + np.stack([pulled(part, one) for part in whole])
            yield k + step, pulled(depth, whole)


@dataclass(frozen=True, eq=False)
class Guess:
    """Depth of a structure in mm at each voxel (S, R, C), negative outside.

    `between` is interpolated, `carried` follows the image; `away_mm` (S,) is how far the nearest
    slice is that they come from.
    """

    between: Floats
    carried: Floats
    away_mm: Floats


def guess(
    flows: Flows, shapes: Mapping[int, Bools], spacing_mm: tuple[float, float, float], n: int
) -> Guess:
    """What the painted shapes say of all `n` slices."""
    depths = depths_of(shapes, spacing_mm)
    slices = sorted(depths)
    shape = next(iter(shapes.values())).shape
    between, carried = (np.full((n, *shape), FAR_MM, np.float32) for _ in range(2))
    for low, high in pairwise(slices):
        up = dict(flows.carry(depths[low], low, high))
        down = dict(flows.carry(depths[high], high, low))
        way = _centre(shapes[high]) - _centre(shapes[low])
        for k in range(low, high + 1):
            t = (k - low) / (high - low)
            between[k] = (1 - t) * _moved(depths[low], t * way)
            between[k] += t * _moved(depths[high], (t - 1) * way)
            carried[k] = (1 - t) * up[k] + t * down[k]
    for start, end in ((slices[0], 0), (slices[-1], n - 1)):
        for k, depth in flows.carry(depths[start], start, end):
            between[k], carried[k] = depths[start], depth
    away = np.abs(np.arange(n)[:, None] - np.array(slices)).min(1) * spacing_mm[0]
    return Guess(between, carried, away.astype(np.float32))


def guess_without(
    flows: Flows, shapes: Mapping[int, Bools], k: int, spacing_mm: tuple[float, float, float]
) -> tuple[Floats, Floats, float]:
    """What the other painted slices would say of slice k: between, carried, how far they are.

    So a learner sees how wrong a guess is, which no guess that knows the slice can tell.
    """
    rest = {one: shape for one, shape in shapes.items() if one != k}
    depths = depths_of(rest, spacing_mm)
    low = max((one for one in rest if one < k), default=None)
    high = min((one for one in rest if one > k), default=None)
    near = min(abs(one - k) for one in rest) * spacing_mm[0]
    seen = {one: _last(flows, depths[one], one, k) for one in (low, high) if one is not None}
    if low is None or high is None:
        only = next(iter(seen))
        return depths[only], seen[only], near
    t = (k - low) / (high - low)
    way = _centre(rest[high]) - _centre(rest[low])
    between = (1 - t) * _moved(depths[low], t * way) + t * _moved(depths[high], (t - 1) * way)
    return between, (1 - t) * seen[low] + t * seen[high], near


def depths_of(
    shapes: Mapping[int, Bools], spacing_mm: tuple[float, float, float]
) -> dict[int, Floats]:
    """The signed distance to the outline in each slice, mm."""
    return {k: depth_in(shape, spacing_mm[1:]) for k, shape in shapes.items()}


def depth_in(shape: Bools, spacing_mm: tuple[float, ...]) -> Floats:
    """As `depth_mm`, of a slice that may be empty or full too."""
    if not shape.any() or shape.all():
        return np.full(shape.shape, FAR_MM if not shape.any() else -FAR_MM, np.float32)
    return np.asarray(depth_mm(shape, spacing_mm), np.float32)


def _last(flows: Flows, depth: Floats, start: int, end: int) -> Floats:
    for _, seen in flows.carry(depth, start, end):
        depth = seen
    return depth


def _centre(shape: Bools) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([at.mean() for at in np.nonzero(shape)])


def _moved(depth: Floats, by: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Floats:
    return np.asarray(ndimage.shift(depth, by, order=1, mode="nearest"), np.float32)
