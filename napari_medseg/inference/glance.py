"""A quick look at one slice: thin tiles around it, before the whole tiles come."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from napari_medseg.inference.canvas import Canvas
from napari_medseg.inference.forward import Forward, cut
from napari_medseg.inference.regrid import AxisMap, AxisMaps
from napari_medseg.inference.result import View
from napari_medseg.inference.tiles import Box, Extent, Tiling, with_span

THIN = 4  # a thin tile has this share of a tile's depth; less has too little to see
PAYS = 2  # a thin tile must be so much thinner than a tile, or there is no point


@dataclass(frozen=True, eq=False)
class Glimpse:
    """What was seen.

    Attributes
    ----------
    planes
        Of the scan, on canonical axes, that it is good enough for.
    source
        The box of the tensor that the logits (L, z, y, x) lie in.
    """

    planes: slice
    source: Box
    logits: torch.Tensor
    maps: AxisMaps

    def read(self, box: Box) -> torch.Tensor:
        """Logits (L, z, y, x) of a box of the tensor."""
        z, y, x = (
            slice(one.start - own.start, one.stop - own.start)
            for one, own in zip(box, self.source, strict=True)
        )
        return self.logits[:, z, y, x]


class Glance:
    """Looks at a slice when called; None where whole tiles are as thin.

    Parameters
    ----------
    forward
        Makes what computes tiles of a size (Z, Y, X).
    step
        What the sizes of a tile must be multiples of.
    """

    def __init__(
        self,
        tensor: torch.Tensor,
        maps: AxisMaps,
        tile: Extent,
        step: Extent,
        n_maps: int,
        forward: Callable[[Extent], Forward],
    ) -> None:
        self._tensor, self._maps = tensor, maps
        self._tile, self._step = tile, step
        self._n_maps = n_maps
        self._forward = forward
        self._made: dict[Extent, Forward] = {}

    def __call__(self, view: View) -> Glimpse | None:
        axis = view.axis
        thin = math.ceil(self._tile[axis] / THIN / self._step[axis]) * self._step[axis]
        if thin < THIN or PAYS * thin > self._tile[axis]:
            return None
        d, h, w = self._tensor.shape[1:]
        whole = (slice(0, d), slice(0, h), slice(0, w))
        middle = int(self._maps[axis].lower[view.index])
        first = min(max(middle - thin // 2, 0), whole[axis].stop - thin)
        slab = with_span(whole, axis, slice(first, first + thin))
        logits = self._blended(slab, axis, thin)
        near = slice(first + thin // 4, first + thin - thin // 4)
        planes = _between(self._maps[axis], near, view.index)
        return Glimpse(planes, slab, logits, self._maps)

    def _blended(self, slab: Box, axis: int, thin: int) -> torch.Tensor:
        """Logits (L, z, y, x) of the slab, from tiles that hardly overlap."""
        z, y, x = (thin if a == axis else size for a, size in enumerate(self._tile))
        tile = (z, y, x)
        d, h, w = (part.stop - part.start for part in slab)
        tiling = Tiling.over((d, h, w), tile, 0.0)
        local = (slice(0, d), slice(0, h), slice(0, w))
        part = self._tensor[(slice(None), *slab)]
        if tile not in self._made:
            self._made[tile] = self._forward(tile)
        forward = self._made[tile]
        canvas = Canvas(tiling, local, axis, self._n_maps, torch.device("cpu"))
        for origin in tiling.touching(local):
            canvas.add(origin, forward(cut(part, origin, tile)))
        return forward.logits(canvas.read(0, thin))


def _between(along: AxisMap, planes: slice, index: int) -> slice:
    """The points around number `index` that lie within these planes; that one at least."""
    inside = (along.lower >= planes.start) & (along.upper < planes.stop)
    first, last = index, index + 1
    while first > 0 and inside[first - 1]:
        first -= 1
    while last < len(inside) and inside[last]:
        last += 1
    return slice(first, last)
