"""One slice of a prepared scan, from the fewest tiles: for an answer at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from napari_medseg.inference.engine import TorchEngine
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.forward import Forward, cut
from napari_medseg.inference.regrid import AxisMap, axis_maps, needed, spans
from napari_medseg.inference.result import Result, View
from napari_medseg.inference.tiles import Box, Extent, Tiling, with_span
from napari_medseg.preprocess.pad import margin, padded
from napari_medseg.preprocess.prepare import Prepared
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Volume


class Slab:
    """Predicts single slices of one scan, by whatever network it is given.

    Parameters
    ----------
    tile
        Its whole size: a network that sees less around a voxel answers differently.
    """

    def __init__(self, volume: Volume, prepared: Prepared, recipe: Recipe, tile: Extent) -> None:
        self._recipe, self._tile = recipe, tile
        self._turn = prepared.turn
        self._result = Result(volume, prepared.turn, recipe, False, prepared.box)
        z, y, x = (margin(n, size) for n, size in zip(prepared.geometry.shape, tile, strict=True))
        self._margins = (z, y, x)
        self._tensor = padded(prepared.tensor, tile, prepared.zeros)
        target = prepared.turn.target
        self._maps = axis_maps(target, prepared.geometry, self._margins, prepared.nearest)

    def view(self, axis: int, index: int) -> View:
        """A slice of the scan's own grid."""
        return View.of(self._turn, (axis, index))

    def region(self, view: View, near: Sequence[int], most_tiles: int) -> Box:
        """The part of the tensor that shows the slice; around a voxel `near` where it is large.

        `near` counts on the network's grid; at most so many tiles are needed for the part.
        """
        tile = self._tile
        side = max(1, math.isqrt(most_tiles))
        box = []
        for axis, (n, size) in enumerate(zip(self._tensor.shape[1:], tile, strict=True)):
            wide = n if math.prod(self._tiles(view)) <= most_tiles else min(n, side * size)
            middle = near[axis] + self._margins[axis]
            if axis == view.axis:
                wide, middle = size, int(self._maps[axis].lower[view.index])
            first = min(max(middle - wide // 2, 0), n - wide)
            box.append(slice(first, first + wide))
        return box[0], box[1], box[2]

    def labels(
        self, network: nn.Module, view: View, region: Box, device: torch.device, half: bool
    ) -> BoxDone:
        """The labels of the slice there, on the scan's own grid.

        Raises
        ------
        ModelError
            The network gives NaN.
        """
        network.eval()
        forward = Forward([TorchEngine(network, device, self._tile[0] == 1, half)])
        planes = [_within(one, part) for one, part in zip(self._maps, region, strict=True)]
        at = slice(view.index, view.index + 1)
        box = with_span((planes[0], planes[1], planes[2]), view.axis, at)
        source = needed(self._maps, box)
        logits = self._blended(forward, region)
        z, y, x = (
            slice(one.start - own.start, one.stop - own.start)
            for one, own in zip(source, region, strict=True)
        )
        return self._result.preview(box, logits[:, z, y, x], spans(self._maps, box, source))

    def _tiles(self, view: View) -> list[int]:
        """How many tiles the whole slice takes along each axis."""
        return [
            1 if axis == view.axis else math.ceil(n / size)
            for axis, (n, size) in enumerate(zip(self._tensor.shape[1:], self._tile, strict=True))
        ]

    def _blended(self, forward: Forward, region: Box) -> torch.Tensor:
        """Logits (L, z, y, x) of a part of the tensor, from tiles that hardly overlap."""
        part = self._tensor[(slice(None), *region)]
        tile = self._tile
        depth, height, width = part.shape[1:]
        tiling = Tiling.over((depth, height, width), tile, 0.0)
        shares = [tiling.shares(a) for a in range(3)]
        total = torch.zeros(self._recipe.n_outputs, depth, height, width)
        for a, b, c in itertools.product(*tiling.starts):
            bell = shares[0][a][:, None, None] * shares[1][b][:, None] * shares[2][c]
            box = tuple(slice(s, s + n) for s, n in zip((a, b, c), tile, strict=True))
            logits = forward(cut(part, (a, b, c), tile)).cpu()
            total[(slice(None), *box)] += logits * torch.from_numpy(bell)
        return total


def _within(along: AxisMap, planes: slice) -> slice:
    """The points that lie within these planes."""
    inside = np.flatnonzero((along.lower >= planes.start) & (along.upper < planes.stop))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)
