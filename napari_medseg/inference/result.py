"""The mask of a scan, filled box by box on the scan's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.regrid import AxisMap, labels_at, softmax_at
from napari_medseg.inference.tiles import Box, Extent
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Mask, Reorientation, Volume


@dataclass(frozen=True)
class View:
    """The slice that is looked at: `axis` and `index` on canonical axes."""

    axis: int
    index: int

    @classmethod
    def of(cls, turn: Reorientation, slice_zyx: tuple[int, int] | None) -> View:
        """From a slice of the scan's own grid; without one the first slice of the longest axis."""
        if slice_zyx is None:
            return cls(int(np.argmax(turn.target.shape)), 0)
        axis = turn.axes.index(slice_zyx[0])
        last = turn.target.shape[axis] - 1
        index = min(max(slice_zyx[1], 0), last)
        return cls(axis, last - index if turn.flips[axis] else index)


class Result:
    """Takes logits of the network's grid, keeps labels of the scan's own."""

    def __init__(
        self, volume: Volume, turn: Reorientation, recipe: Recipe, keep_softmax: bool
    ) -> None:
        self._volume, self._turn, self._recipe = volume, turn, recipe
        self._values = np.array(recipe.values, dtype=np.min_scalar_type(max(recipe.values)))
        shape = volume.geometry.shape
        self._labels = np.zeros(shape, dtype=self._values.dtype)
        self.softmax = (
            np.zeros((recipe.n_outputs, *shape), dtype=np.float16) if keep_softmax else None
        )

    def write(self, box: Box, logits: torch.Tensor, maps: tuple[AxisMap, ...]) -> BoxDone:
        """Fill a box of canonical axes from logits (L, z, y, x); `maps` are the box's voxels."""
        z, y, x = maps
        labels = self._values[labels_at(logits, (z, y, x)).cpu().numpy()]
        self._turn.apply(self._labels)[box] = labels
        if self.softmax is not None:
            probabilities = softmax_at(logits, (z, y, x)).cpu().numpy()
            self._turn.apply(self.softmax)[(..., *box)] = probabilities
        return BoxDone(self._own_start(box), np.ascontiguousarray(self._turn.undo(labels)))

    def mask(self) -> Mask:
        return Mask(
            self._labels, self._volume.geometry, self._recipe.labels, header=self._volume.header
        )

    def _own_start(self, box: Box) -> Extent:
        start = [0, 0, 0]
        for part, axis, flip in zip(box, self._turn.axes, self._turn.flips, strict=True):
            start[axis] = self._volume.geometry.shape[axis] - part.stop if flip else part.start
        return start[0], start[1], start[2]
