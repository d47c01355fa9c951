"""Where tiles lie and how much each counts; numbers only."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Extent = tuple[int, int, int]  # Z, Y, X
Box = tuple[slice, slice, slice]
Floats = npt.NDArray[np.float32]

SIGMA_SHARE = 1 / 8  # of the tile's size: Isensee et al. 2021, nnU-Net


def origins(size: int, tile: int, overlap: float) -> tuple[int, ...]:
    """First voxels of the tiles along one axis: evenly spread, at least `overlap` in common."""
    if size <= tile:
        return (0,)
    steps = math.ceil((size - tile) / max(1.0, tile * (1 - overlap)))
    return tuple(round((size - tile) / steps * k) for k in range(steps + 1))  # rounds as nnU-Net


def gaussian(tile: int) -> npt.NDArray[np.float64]:
    """How much each voxel of a tile counts along one axis; 1 in the middle."""
    away = np.arange(tile) - tile // 2  # as nnU-Net's, whose middle is a voxel
    return np.asarray(np.exp(-0.5 * (away / (tile * SIGMA_SHARE)) ** 2))


def shares(size: int, tile: int, starts: tuple[int, ...]) -> dict[int, Floats]:
    """For each tile the Gaussian share of its voxels; the shares at a voxel sum to one.

    Tiles lie on a lattice, so a tile's weights are the product of its shares along the three
    axes, and blended logits need no division.
    """
    bell = gaussian(tile)
    total = np.zeros(size)
    for start in starts:
        total[start : start + tile] += bell
    return {start: (bell / total[start : start + tile]).astype(np.float32) for start in starts}


@dataclass(frozen=True)
class Tiling:
    """A lattice of equal tiles over a grid of `shape`, which is nowhere smaller than a tile."""

    shape: Extent
    tile: Extent
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @classmethod
    def over(cls, shape: Extent, tile: Extent, overlap: float) -> Tiling:
        z, y, x = (origins(n, t, overlap) for n, t in zip(shape, tile, strict=True))
        return cls(shape, tile, (z, y, x))

    def shares(self, axis: int) -> dict[int, Floats]:
        return shares(self.shape[axis], self.tile[axis], self.starts[axis])

    def touching(self, box: Box) -> list[Extent]:
        """Origins of the tiles that have a voxel in the box."""
        rows = [
            [s for s in starts if s < part.stop and s + tile > part.start]
            for starts, tile, part in zip(self.starts, self.tile, box, strict=True)
        ]
        return list(itertools.product(*rows))  # type: ignore[arg-type]

    def outward(self, origins: list[Extent], axis: int, planes: slice) -> list[Extent]:
        """The origins sorted: tiles on the planes first, then by distance."""
        tile = self.tile[axis]

        def distance(origin: Extent) -> tuple[float, float]:
            gap = max(origin[axis] - planes.stop + 1, planes.start - (origin[axis] + tile - 1), 0)
            return gap, abs(origin[axis] + (tile - 1) / 2 - planes.start)

        return sorted(origins, key=distance)

    def cover(self, axis: int, planes: slice) -> set[Extent]:
        """The fewest tiles that cover the planes, of the row whose middle is nearest to them."""
        middle = (planes.start + planes.stop - 1) / 2
        near = min(
            self.starts[axis], key=lambda start: abs(start + (self.tile[axis] - 1) / 2 - middle)
        )
        rows = [
            (near,) if a == axis else _fewest(self.starts[a], self.tile[a], self.shape[a])
            for a in range(3)
        ]
        return set(itertools.product(*rows))  # type: ignore[arg-type]

    def cuts(self, axis: int, within: slice) -> list[tuple[int, int]]:
        """Slabs [start, stop) along an axis in which all planes are covered by the same tiles."""
        ends = {start + self.tile[axis] for start in self.starts[axis]}
        inner = {e for e in ends | set(self.starts[axis]) if within.start < e < within.stop}
        return list(itertools.pairwise(sorted({within.start, within.stop} | inner)))


def _fewest(starts: tuple[int, ...], tile: int, size: int) -> tuple[int, ...]:
    """The fewest of these tiles that cover an axis."""
    chosen, end = [starts[0]], starts[0] + tile
    while end < size:
        chosen.append(max(start for start in starts if start <= end))
        end = chosen[-1] + tile
    return tuple(chosen)


def smaller(tile: Extent, multiple: Extent) -> Extent:
    """About half of the tile along each axis, still a multiple of the network's stride."""
    z, y, x = (
        min(size, max(step, math.ceil(size / 2 / step) * step))
        for size, step in zip(tile, multiple, strict=True)
    )
    return z, y, x


def with_span(box: Box, axis: int, span: slice) -> Box:
    """The box with another span along one axis."""
    z, y, x = (span if a == axis else old for a, old in enumerate(box))
    return z, y, x


def runs(ready: npt.NDArray[np.bool_], first: int, longest: int) -> Iterator[tuple[int, int]]:
    """Stretches [start, stop) of True, at most `longest`, the nearest to index `first` first."""
    index = np.flatnonzero(ready)
    if index.size == 0:
        return
    breaks = np.flatnonzero(np.diff(index) > 1) + 1
    stretches = [(int(part[0]), int(part[-1]) + 1) for part in np.split(index, breaks)]
    pieces = [
        (begin, min(begin + longest, stop))
        for start, stop in stretches
        for begin in range(start, stop, longest)
    ]
    yield from sorted(pieces, key=lambda p: max(p[0] - first, first - (p[1] - 1), 0))
