"""The mask of a scan, filled box by box on the scan's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.regrid import AxisMap, AxisMaps, labels_at, softmax_at
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
        self,
        volume: Volume,
        turn: Reorientation,
        recipe: Recipe,
        keep_softmax: bool,
        inside: Box | None = None,
    ) -> None:
        """Of the turned scan only the box `inside` can be other than background; None: all."""
        self._volume, self._turn, self._recipe = volume, turn, recipe
        self._inside = inside
        self._values = np.array(recipe.values, dtype=np.min_scalar_type(max(recipe.values)))
        shape = volume.geometry.shape
        self._labels = np.zeros(shape, dtype=self._values.dtype)
        self.softmax = (
            np.zeros((recipe.n_outputs, *shape), dtype=np.float16) if keep_softmax else None
        )

    def write(self, box: Box, logits: torch.Tensor, maps: tuple[AxisMap, ...]) -> BoxDone:
        """Fill a box of canonical axes from logits (L, z, y, x); `maps` are the box's voxels."""
        z, y, x = maps
        labels = self._labels_in(box, logits, (z, y, x))
        self._turn.apply(self._labels)[box] = labels
        if self.softmax is not None:
            regions = bool(self._recipe.regions)
            probabilities = softmax_at(logits, (z, y, x), regions).cpu().numpy()
            self._clear(probabilities, box)
            if not regions:
                self._clear(probabilities[0], box, 1)
            self._turn.apply(self.softmax)[(..., *box)] = probabilities
        return BoxDone(self._own_start(box), np.ascontiguousarray(self._turn.undo(labels)))

    def preview(self, box: Box, logits: torch.Tensor, maps: tuple[AxisMap, ...]) -> BoxDone:
        """As `write`, to be shown only: a better answer follows."""
        z, y, x = maps
        labels = self._labels_in(box, logits, (z, y, x))
        own = np.ascontiguousarray(self._turn.undo(labels))
        return BoxDone(self._own_start(box), own, preview=True)

    def shown(self, box: Box, outputs: npt.NDArray[np.int16]) -> BoxDone:
        """A preview of a box of canonical axes from the numbers (Z, Y, X) of network outputs."""
        own = np.ascontiguousarray(self._turn.undo(self._values[outputs]))
        return BoxDone(self._own_start(box), own, preview=True)

    def mask(self) -> Mask:
        return Mask(
            self._labels, self._volume.geometry, self._recipe.labels, header=self._volume.header
        )

    def _labels_in(self, box: Box, logits: torch.Tensor, maps: AxisMaps) -> npt.NDArray[Any]:
        """Mask values of a box."""
        numbers = labels_at(logits, maps, bool(self._recipe.regions)).cpu().numpy()
        labels = np.asarray(self._values[numbers])
        self._clear(labels, box)
        return labels

    def _clear(self, values: npt.NDArray[Any], box: Box, background: int = 0) -> None:
        """Write background into the part of a box (..., Z, Y, X) that lies beyond `inside`."""
        for axis, (part, own) in enumerate(zip(box, self._inside or box, strict=True)):
            along = np.moveaxis(values, axis - 3, 0)
            along[: max(0, own.start - part.start)] = background
            along[max(0, own.stop - part.start) :] = background

    def _own_start(self, box: Box) -> Extent:
        start = [0, 0, 0]
        for part, axis, flip in zip(box, self._turn.axes, self._turn.flips, strict=True):
            start[axis] = self._volume.geometry.shape[axis] - part.stop if flip else part.start
        return start[0], start[1], start[2]
