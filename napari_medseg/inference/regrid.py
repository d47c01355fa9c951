"""Logits of the network's grid as labels of the scan's grid, without ever holding all logits there.

Trilinear interpolation is a convex combination: where the eight voxels around a point have the same
largest logit, so has the point. Only the other points, about a tenth, are interpolated; the result
is that of interpolating all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.inference.between import Corners, between, interpolated
from napari_medseg.inference.largest import Largest, at_once
from napari_medseg.inference.largest import winners as winners
from napari_medseg.inference.tiles import Box, Extent
from napari_medseg.volume import Geometry

SNAP = 1e-4  # of a voxel: nearer than this a point lies on a plane (affines are rounded)
TIE = 1e-6  # likewise, for a point just half-way
MANY = 6  # labels; fewer are all interpolated as soon


@dataclass(frozen=True, eq=False)
class AxisMap:
    """Where the points of one axis lie between the planes of another.

    Attributes
    ----------
    lower, upper
        int64 (N,): the plane below and above each point; equal where it lies on a plane.
    weight
        float32 (N,): how much the upper plane counts, in [0, 1).
    """

    lower: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]

    @classmethod
    def through(cls, points: npt.NDArray[np.float64], size: int, margin: int = 0) -> AxisMap:
        """For points in voxels of an axis of `size` planes that begins after `margin` more."""
        inside = np.clip(points, 0, size - 1)
        near = np.rint(inside)
        inside = np.where(np.abs(inside - near) < SNAP, near, inside)
        lower = np.floor(inside).astype(np.int64)
        weight = (inside - lower).astype(np.float32)
        return cls(lower + margin, lower + margin + (weight > 0), weight)

    def part(self, span: slice, start: int = 0) -> AxisMap:
        """The points in `span`, for planes counted from `start`."""
        return AxisMap(self.lower[span] - start, self.upper[span] - start, self.weight[span])

    def planes(self, span: slice) -> slice:
        """The planes that the points in `span` lie between."""
        return slice(int(self.lower[span].min()), int(self.upper[span].max()) + 1)

    @property
    def copies(self) -> bool:
        """Whether each plane is taken once, in order, as it is."""
        straight = np.array_equal(self.lower, np.arange(len(self.lower)) + self.lower[0])
        return straight and not self.weight.any()


AxisMaps = tuple[AxisMap, AxisMap, AxisMap]


def axis_maps(
    target: Geometry,
    source: Geometry,
    margins: Extent = (0, 0, 0),
    nearest: int | None = None,
) -> AxisMaps:
    """Where the voxels of `target` lie in `source`; both have the same axes directions.

    `margins` are the voxels that padding added in front of each axis of `source`; along the axis
    `nearest` the nearest plane counts alone.
    """
    maps = []
    for axis in range(3):
        ends = np.zeros((2, 3))
        ends[1, axis] = target.shape[axis] - 1
        first, last = source.index(target.world(ends))[:, axis]
        points = np.linspace(first, last, target.shape[axis])
        if axis == nearest:
            points = np.floor(points + 0.5 + TIE)  # halves go up, as scipy's order 0
        maps.append(AxisMap.through(points, source.shape[axis], margins[axis]))
    return maps[0], maps[1], maps[2]


def needed(maps: AxisMaps, box: Box) -> Box:
    """The box of the source grid that the voxels of `box` lie in."""
    z, y, x = (one.planes(span) for one, span in zip(maps, box, strict=True))
    return z, y, x


def spans(maps: AxisMaps, box: Box, source: Box) -> AxisMaps:
    """The maps of a box, for planes counted from where `source` begins."""
    z, y, x = (
        one.part(span, planes.start) for one, span, planes in zip(maps, box, source, strict=True)
    )
    return z, y, x


def painted(logits: torch.Tensor) -> torch.Tensor:
    """Number of the last region above 0, counted from 1, int16 (...), of (L, ...); 0 if none is."""
    number = torch.zeros(logits.shape[1:], dtype=torch.int16, device=logits.device)
    for output, one in enumerate(logits, start=1):
        number.masked_fill_(one > 0, output)
    return number


def labels_at(logits: torch.Tensor, maps: AxisMaps, regions: bool = False) -> torch.Tensor:
    """Number of the largest interpolated logit at the maps' points, or of the last region there.

    Regions may be decided at the eight voxels too: where the last region above 0 is the same at
    all of them, it is above 0 in between, and those after it are not.

    Parameters
    ----------
    logits
        float32 (L, z, y, x).
    maps
        The points along the three axes, in voxels of `logits`.

    Returns
    -------
    int16 (Z, Y, X), one for each point.
    """
    with _alone(logits.device):
        return _labels_at(logits, maps, regions)


@contextmanager
def _alone(device: torch.device) -> Iterator[None]:
    """One thread for many short steps on a CPU.

    Where the network keeps the other cores busy, threads that wait for each other after each step
    were measured at eight times the CPU time. The number is each thread's own, except that threads
    that first call PyTorch meanwhile would take it over: a pass starts its own before.
    """
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if device.type == "cpu":
            torch.set_num_threads(threads)


def _labels_at(logits: torch.Tensor, maps: AxisMaps, regions: bool) -> torch.Tensor:
    many = len(logits) >= MANY and not regions
    largest = Largest.of(logits) if many else None
    here = largest.number if largest else (painted if regions else winners)(logits)
    if all(one.copies for one in maps):
        return here
    low, high = _extremes(here, maps)
    mixed = low != high
    labels = _begun(torch.where(mixed, -1, here), maps)
    points = (labels.view(-1) < 0).nonzero()[:, 0]
    if not len(points):
        return labels
    flat, own = logits.reshape(len(logits), -1), here.reshape(-1)
    if largest:
        two = largest.first_two(flat, _around(mixed).reshape(-1).nonzero()[:, 0])
    for some in torch.split(points, at_once(points.device)):
        corners = _corners(logits.shape[1:], maps, some)
        if largest:
            pair = low.take(corners.index[0]), high.take(corners.index[0])
            labels.view(-1)[some] = between(flat, own, two, corners, pair)
        else:
            decide = painted if regions else winners
            labels.view(-1)[some] = decide(interpolated(flat, corners)[:, None])[0]
    return labels


def softmax_at(logits: torch.Tensor, maps: AxisMaps, regions: bool = False) -> torch.Tensor:
    """Softmax of the interpolated logits, or each region's sigmoid, float16 (L, Z, Y, X)."""
    for axis, one in enumerate(maps, start=1):
        logits = lerped(logits, axis, one)
    return (logits.sigmoid() if regions else logits.softmax(dim=0)).half()


def lerped(values: torch.Tensor, axis: int, at: AxisMap) -> torch.Tensor:
    """Values (L, z, y, x) interpolated at points along one axis."""
    lower, upper, weight = _tensors(at, values.device)
    low, high = values.index_select(axis, lower), values.index_select(axis, upper)
    return torch.lerp(low, high, weight.reshape([-1 if d == axis else 1 for d in range(4)]))


def _extremes(here: torch.Tensor, maps: AxisMaps) -> tuple[torch.Tensor, torch.Tensor]:
    """The smallest and the largest number among the eight voxels from each on, (z, y, x)."""
    low, high = here.clone(), here.clone()
    for axis, one in enumerate(maps):
        if one.weight.any():
            size = here.shape[axis] - 1
            for edge, decide in ((low, torch.minimum), (high, torch.maximum)):
                first, then = edge.narrow(axis, 0, size), edge.narrow(axis, 1, size)
                first.copy_(decide(first, then))
    return low, high


def _around(mixed: torch.Tensor) -> torch.Tensor:
    """The eight voxels from each that is set on, (z, y, x)."""
    around = mixed.clone()
    for axis, size in enumerate(mixed.shape):
        around.narrow(axis, 1, size - 1).logical_or_(around.narrow(axis, 0, size - 1).clone())
    return around


def _begun(values: torch.Tensor, maps: AxisMaps) -> torch.Tensor:
    """The value (Z, Y, X) of the voxel that the eight around each point begin with."""
    for axis, one in enumerate(maps):
        values = values.index_select(axis, torch.from_numpy(one.lower).to(values.device))
    return values


def _corners(shape: Sequence[int], maps: AxisMaps, points: torch.Tensor) -> Corners:
    """The voxels around N of the maps' points, which are counted in C order."""
    size = [len(one.lower) for one in maps]
    row = torch.div(points, size[2], rounding_mode="floor")
    plane = torch.div(row, size[1], rounding_mode="floor")
    where = (plane, row - plane * size[1], points - row * size[2])
    index = torch.zeros_like(points)[None]
    share = torch.ones(1, len(points), device=points.device)
    for axis, (one, place) in enumerate(zip(maps, where, strict=True)):
        lower, upper, weight = (
            part.index_select(0, place) for part in _tensors(one, points.device)
        )
        step = math.prod(shape[axis + 1 :])
        index = (index[:, None] + torch.stack([lower, upper]) * step).flatten(0, 1)
        share = (share[:, None] * torch.stack([1 - weight, weight])).flatten(0, 1)
    return Corners(index, share)


def _tensors(one: AxisMap, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    lower, upper, weight = (torch.from_numpy(a) for a in (one.lower, one.upper, one.weight))
    return lower.to(device), upper.to(device), weight.to(device)
