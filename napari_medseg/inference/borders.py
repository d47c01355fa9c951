"""Full resolution only along borders: where a coarse look is sure, it is the answer.

A tile is left out by its cell, the voxels that it decides; the coarse look's maps take its place
and are blended as any tile's, so that no seam is left between the two.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from napari_medseg.inference.forward import Forward, cut
from napari_medseg.inference.regions import Bools
from napari_medseg.inference.regrid import AxisMap, AxisMaps, lerped
from napari_medseg.inference.scout import Scouted
from napari_medseg.inference.sweep import Part, Sweep
from napari_medseg.inference.tiles import Box, Extent, Tiling
from napari_medseg.preprocess.pad import margin

WIDER_SHARE = 1 / 8  # of a tile around its cell; beyond, a left out neighbour counts below 2 %


class Borders:
    """The tiles of a sweep whose cells hold a border; the others are read from the coarse look.

    Parameters
    ----------
    shape
        Of the scan on the network's grid, before it is padded to a tile.
    """

    def __init__(self, sweep: Sweep, seen: Scouted, shape: Extent, tile: Extent) -> None:
        self._sweep, self._maps, self._tile = sweep, seen.maps, tile
        self._onto = _onto(sweep, seen, shape, tile)
        self._sure = _sure_tiles(sweep, self._onto, seen.unsure)
        self.computed = 0

    def n_tiles(self) -> int:
        """How many the network computes."""
        parts = self._sweep.parts
        return sum(
            _start(part, origin) not in self._sure
            for part in parts
            for origin in self._sweep.origins(part)
        )

    def tiles(self, forward: Forward, device: torch.device) -> Callable[[Extent], torch.Tensor]:
        """What gives the maps (F, *tile) of the tile that begins at a voxel of the tensor.

        Counts in `computed` those that the network gave.
        """

        def tile(start: Extent) -> torch.Tensor:
            if start in self._sure:
                return self._read(start, device)
            maps = forward(cut(self._sweep.tensor, start, self._tile))
            self.computed += 1
            return maps

        return tile

    def _read(self, start: Extent, device: torch.device) -> torch.Tensor:
        """The coarse maps at a tile's voxels."""
        points = [
            one.part(slice(s, s + n))
            for one, s, n in zip(self._onto, start, self._tile, strict=True)
        ]
        z, y, x = (one.planes(slice(None)) for one in points)
        maps = self._maps[:, z, y, x].to(device)
        for axis, (one, span) in enumerate(zip(points, (z, y, x), strict=True), start=1):
            maps = lerped(maps, axis, one.part(slice(None), span.start))
        return maps


def _onto(sweep: Sweep, seen: Scouted, shape: Extent, tile: Extent) -> AxisMaps:
    """Where the voxels of the sweep's tensor lie on the coarse grid; padding at its edge."""
    maps = []
    for n, t, size, coarse in zip(
        shape, tile, sweep.tensor.shape[1:], seen.maps.shape[1:], strict=True
    ):
        points = (np.arange(size) - margin(n, t) + 0.5) * coarse / n - 0.5
        maps.append(AxisMap.through(points, coarse))
    return maps[0], maps[1], maps[2]


def _sure_tiles(sweep: Sweep, onto: AxisMaps, unsure: Bools) -> frozenset[Extent]:
    """First voxels, in the tensor, of the tiles around whose cells nothing is unsure."""
    return frozenset(
        _start(part, origin)
        for part in sweep.parts
        for origin, cell in _cells(part)
        if not unsure[tuple(one.planes(span) for one, span in zip(onto, cell, strict=True))].any()
    )


def _cells(part: Part) -> Iterator[tuple[Extent, Box]]:
    """Each tile of a part with its widened cell, in voxels of the tensor."""
    rows = [list(_along(part.tiling, axis, part.start[axis]).items()) for axis in range(3)]
    for (z, zs), (y, ys), (x, xs) in itertools.product(*rows):
        yield (z, y, x), (zs, ys, xs)


def _along(tiling: Tiling, axis: int, first: int) -> dict[int, slice]:
    """The widened cell of each tile along an axis, counted from voxel `first` of the lattice."""
    starts, tile = tiling.starts[axis], tiling.tile[axis]
    middles = [(a + b + tile) // 2 for a, b in itertools.pairwise(starts)]
    ends = [starts[0], *middles, starts[-1] + tile]
    wider = math.ceil(tile * WIDER_SHARE)
    return {
        start: slice(first + max(low - wider, start), first + min(high + wider, start + tile))
        for start, (low, high) in zip(starts, itertools.pairwise(ends), strict=True)
    }


def _start(part: Part, origin: Extent) -> Extent:
    z, y, x = (o + s for o, s in zip(origin, part.start, strict=True))
    return z, y, x
