"""Tile after tile outward from the viewed slice, each plane written as soon as it is final."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.inference.canvas import Canvas
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.forward import Forward, cut
from napari_medseg.inference.regrid import AxisMaps, axis_maps, needed
from napari_medseg.inference.result import Result, View
from napari_medseg.inference.tiles import Box, Extent, Tiling, runs
from napari_medseg.preprocess.pad import margin, padded
from napari_medseg.preprocess.prepare import Prepared

FLOAT_BYTES = 4
BYTES_AT_ONCE = 128 << 20  # logits that become labels in one go


@dataclass(frozen=True, eq=False)
class Sweep:
    """One pass over a prepared scan.

    Attributes
    ----------
    tensor
        float32 (C, Z, Y, X), nowhere smaller than a tile.
    maps
        Where the scan's voxels, on canonical axes, lie in it.
    boxes
        Parts of the scan, on canonical axes, that are predicted one after another; more than one
        where the logits of all would not fit in memory.
    """

    tensor: torch.Tensor
    tiling: Tiling
    maps: AxisMaps
    view: View
    n_outputs: int
    boxes: tuple[Box, ...]

    @classmethod
    def plan(
        cls,
        prepared: Prepared,
        tile: Extent,
        overlap: float,
        view: View,
        n_outputs: int,
        budget_bytes: float,
    ) -> Sweep:
        """The pass whose blended tiles take at most `budget_bytes`, in as few parts as possible."""
        tensor = padded(prepared.tensor, tile)
        z, y, x = (
            margin(n, smallest) for n, smallest in zip(prepared.geometry.shape, tile, strict=True)
        )
        maps = axis_maps(prepared.turn.target, prepared.geometry, (z, y, x))
        shape: Extent = tuple(tensor.shape[1:])  # type: ignore[assignment]
        tiling = Tiling.over(shape, tile, overlap)
        whole = cls(tensor, tiling, maps, view, n_outputs, (_whole(prepared.turn.target.shape),))
        parts = math.ceil(whole.blend_bytes() / budget_bytes)
        boxes = _strips(prepared.turn.target.shape, view.axis, parts)
        return cls(tensor, tiling, maps, view, n_outputs, boxes)

    def blend_bytes(self) -> int:
        """Most memory that blended tiles take at a time: about two tiles' depth of planes."""
        return max(self._blend_bytes(needed(self.maps, box)) for box in self.boxes)

    def n_tiles(self) -> int:
        return sum(len(self.tiling.touching(needed(self.maps, box))) for box in self.boxes)

    def run(
        self, forward: Forward, store: torch.device, result: Result
    ) -> Iterator[BoxDone | None]:
        """Yields None after each tile and a BoxDone for each box that is written."""
        for box in self.boxes:
            yield from self._run_box(box, forward, store, result)

    def _run_box(
        self, box: Box, forward: Forward, store: torch.device, result: Result
    ) -> Iterator[BoxDone | None]:
        axis = self.view.axis
        source = needed(self.maps, box)
        canvas = Canvas(self.tiling, source, axis, self.n_outputs, store)
        pending = np.ones(len(self.maps[axis].lower), dtype=np.bool_)
        for origin in self.tiling.outward(source, axis, self._viewed_planes()):
            canvas.add(origin, forward(cut(self.tensor, origin, self.tiling.tile)))
            yield None
            for start, stop in runs(
                self._ready(canvas, pending), self.view.index, self._depth(box)
            ):
                yield self._write(_with(box, axis, slice(start, stop)), source, canvas, result)
                pending[start:stop] = False
            canvas.forget(self._needed_planes(pending))

    def _write(self, box: Box, source: Box, canvas: Canvas, result: Result) -> BoxDone:
        axis = self.view.axis
        planes = self.maps[axis].planes(box[axis])
        starts = [part.start for part in _with(source, axis, planes)]
        local = tuple(
            one.part(span, start) for one, span, start in zip(self.maps, box, starts, strict=True)
        )
        return result.write(box, canvas.read(planes.start, planes.stop), local)

    def _ready(self, canvas: Canvas, pending: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Planes of the scan that can be written; none before the viewed one can."""
        along, done = self.maps[self.view.axis], canvas.done
        ready = np.asarray(pending & done[along.lower] & done[along.upper])
        waits = pending[self.view.index] and not ready[self.view.index]
        return np.zeros_like(ready) if waits else ready

    def _needed_planes(self, pending: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        along = self.maps[self.view.axis]
        planes = np.zeros(self.tiling.shape[self.view.axis], dtype=np.bool_)
        planes[along.lower[pending]] = planes[along.upper[pending]] = True
        return planes

    def _viewed_planes(self) -> slice:
        return self.maps[self.view.axis].planes(slice(self.view.index, self.view.index + 1))

    def _depth(self, box: Box) -> int:
        """Planes of the scan that are written in one go."""
        area = max(_area(box, self.view.axis), _area(needed(self.maps, box), self.view.axis))
        return max(1, BYTES_AT_ONCE // (FLOAT_BYTES * self.n_outputs * area))

    def _blend_bytes(self, source: Box) -> int:
        axis = self.view.axis
        planes = min(source[axis].stop - source[axis].start, 2 * self.tiling.tile[axis])
        return int(FLOAT_BYTES * self.n_outputs * planes * _area(source, axis))


def _whole(shape: Extent) -> Box:
    z, y, x = (slice(0, n) for n in shape)
    return z, y, x


def _with(box: Box, axis: int, part: slice) -> Box:
    z, y, x = (part if a == axis else old for a, old in enumerate(box))
    return z, y, x


def _area(box: Box, axis: int) -> int:
    sizes: list[int] = [part.stop - part.start for a, part in enumerate(box) if a != axis]
    return math.prod(sizes)


def _strips(shape: Extent, axis: int, parts: int) -> tuple[Box, ...]:
    """The grid cut into about equal parts across its longest axis that is not `axis`."""
    across = max((a for a in range(3) if a != axis), key=lambda a: shape[a])
    parts = min(parts, shape[across])
    ends = [round(shape[across] * k / parts) for k in range(parts + 1)]
    return tuple(_with(_whole(shape), across, slice(a, b)) for a, b in pairwise(ends))
