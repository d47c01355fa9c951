"""Tile after tile outward from the viewed slice, each plane written as soon as it is final."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.inference.canvas import Canvas
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.forward import Forward, ahead, cut
from napari_medseg.inference.glance import Glance
from napari_medseg.inference.regrid import AxisMap, AxisMaps, axis_maps, needed, spans
from napari_medseg.inference.result import Result, View
from napari_medseg.inference.tiles import Box, Extent, Tiling, runs, with_span
from napari_medseg.preprocess.pad import margin, padded
from napari_medseg.preprocess.prepare import Prepared

FLOAT_BYTES = 4
BYTES_AT_ONCE = 256 << 20  # logits that become labels in one go


@dataclass(frozen=True)
class Part:
    """A box of the scan, on canonical axes, and the lattice of tiles that it is predicted by.

    `start` is the voxel of the tensor at which the lattice begins.
    """

    box: Box
    tiling: Tiling
    start: Extent = (0, 0, 0)


@dataclass(frozen=True, eq=False)
class Sweep:
    """One pass over a prepared scan.

    Attributes
    ----------
    tensor
        float32 (C, Z, Y, X), nowhere smaller than a tile.
    maps
        Where the scan's voxels, on canonical axes, lie in it.
    n_maps
        What is blended: logits, or fewer feature maps that they are made of.
    parts
        Predicted one after another; more than one where the logits of all would not fit in memory,
        or where labels were found in several places.
    whole_bytes
        What may be held when the user looks elsewhere and tiles are taken out of order.
    """

    tensor: torch.Tensor
    maps: AxisMaps
    n_outputs: int
    n_maps: int
    parts: tuple[Part, ...]
    axis: int
    whole_bytes: float

    @classmethod
    def plan(
        cls,
        prepared: Prepared,
        tile: Extent,
        overlap: float,
        view: View,
        n_outputs: int,
        n_maps: int,
        budget_bytes: float,
    ) -> Sweep:
        """The pass whose blended tiles take at most `budget_bytes`, in as few parts as possible."""
        tensor, maps = _fitted(prepared, tile)
        tiling = Tiling.over(_extent(tensor), tile, overlap)
        shape = prepared.turn.target.shape
        whole = cls(tensor, maps, n_outputs, n_maps, (Part(_whole(shape), tiling),), view.axis, 0)
        strips = _strips(shape, view.axis, math.ceil(whole.blend_bytes() / budget_bytes))
        parts = tuple(Part(box, tiling) for box in strips)
        return cls(tensor, maps, n_outputs, n_maps, parts, view.axis, budget_bytes)

    @property
    def tile(self) -> Extent:
        return self.parts[0].tiling.tile

    def blend_bytes(self) -> int:
        """Most memory that blended tiles take at a time: about two tiles' depth of planes."""
        return max((self._blend_bytes(part) for part in self.parts), default=0)

    def n_tiles(self) -> int:
        return sum(len(self.origins(part)) for part in self.parts)

    def origins(self, part: Part) -> list[Extent]:
        """First voxels, in the part's lattice, of the tiles that it is made of."""
        return part.tiling.touching(self._source(part))

    def run(
        self,
        forward: Forward,
        store: torch.device,
        result: Result,
        view: View,
        glance: Glance | None = None,
        tile: Callable[[Extent], torch.Tensor] | None = None,
    ) -> Generator[BoxDone | None, View | None]:
        """Yields None after each tile and a BoxDone for each box that is written or previewed.

        May be sent another View: what is left is taken in its order. `tile` gives the maps of the
        tile that begins at a voxel of the tensor; None: `forward` computes all of them.
        """
        of = tile or (lambda start: forward(cut(self.tensor, start, self.tile)))
        for part in self.parts:
            view = yield from _Pass(self, part, forward, store, result, view).run(glance, of)

    def _source(self, part: Part) -> Box:
        """The voxels of the part's lattice that its box lies in."""
        return needed(_local(self.maps, part.start), part.box)

    def _blend_bytes(self, part: Part) -> int:
        source = self._source(part)
        planes = min(
            source[self.axis].stop - source[self.axis].start, 2 * part.tiling.tile[self.axis]
        )
        return int(FLOAT_BYTES * self.n_maps * planes * _area(source, self.axis))


class _Pass:
    """One part of a sweep while it runs."""

    def __init__(
        self,
        sweep: Sweep,
        part: Part,
        forward: Forward,
        store: torch.device,
        result: Result,
        view: View,
    ) -> None:
        self._sweep, self._part, self._result = sweep, part, result
        self._forward = forward
        self._axis = sweep.axis
        self._maps = _local(sweep.maps, part.start)
        self._source = needed(self._maps, part.box)
        self._canvas = Canvas(part.tiling, self._source, sweep.axis, sweep.n_maps, store)
        self._pending = np.zeros(len(self._maps[sweep.axis].lower), dtype=np.bool_)
        self._pending[part.box[sweep.axis]] = True
        self._flying: list[Extent] = []
        self._view, self._moved = view, False
        self._left = part.tiling.touching(self._source)
        self._order()
        self._wait_for_cover()

    def run(
        self, glance: Glance | None, tile: Callable[[Extent], torch.Tensor]
    ) -> Generator[BoxDone | None, View | None, View]:
        tiles = ahead(lambda origin: tile(self._start(origin)), self._next())
        try:
            yield from self._glanced(glance)
            for origin, logits in tiles:
                self._canvas.add(origin, logits)
                self._flying.remove(origin)
                self._waited.discard(origin)
                looked = yield None
                yield from self._finished()
                self._canvas.forget(self._needed_planes())
                if looked is not None and looked != self._view:
                    self._look(looked)
                    yield from self._glanced(glance)
        finally:
            tiles.close()
        return self._view

    def _look(self, view: View) -> None:
        """Take the tiles that are left in this view's order, if the memory allows it."""
        self._view, self._moved = view, True
        if self._holds_all():
            self._order()
        self._wait_for_cover()

    def _order(self) -> None:
        """The few tiles that cover the viewed slice first, then the others outward from it."""
        axis, planes = self._view.axis, self._viewed_planes()
        cover = self._part.tiling.cover(axis, planes)
        outward = self._part.tiling.outward(self._left, axis, planes)
        self._left = sorted(outward, key=lambda origin: origin not in cover)

    def _wait_for_cover(self) -> None:
        """The slice can be shown when the few tiles that cover it are in."""
        cover = self._part.tiling.cover(self._view.axis, self._viewed_planes())
        self._waited = cover.intersection([*self._flying, *self._left])
        self._shown = not self._waited or not self._inside(self._view)

    def _holds_all(self) -> bool:
        """Whether all planes may be kept at once, as it takes to go across them."""
        area = _area(self._source, self._axis) * FLOAT_BYTES * self._sweep.n_maps
        span = self._source[self._axis]
        return bool(area * (span.stop - span.start) <= self._sweep.whole_bytes)

    def _glanced(self, glance: Glance | None) -> Iterator[BoxDone]:
        """A quick look at the slice, where it is not known better."""
        if glance is None or self._shown or self._view.axis != self._axis:
            return
        seen = glance(self._view)
        if seen is None:
            return
        known = self._pending.copy()
        known[: seen.planes.start] = known[seen.planes.stop :] = False
        for start, stop in runs(known, self._first(), len(known)):
            box = with_span(self._part.box, self._axis, slice(start, stop))
            source = needed(seen.maps, box)
            yield self._result.preview(box, seen.read(source), spans(seen.maps, box, source))

    def _next(self) -> Iterator[Extent]:
        while self._left:
            self._flying.append(self._left.pop(0))
            yield self._flying[-1]

    def _start(self, origin: Extent) -> Extent:
        z, y, x = (o + s for o, s in zip(origin, self._part.start, strict=True))
        return z, y, x

    def _finished(self) -> Iterator[BoxDone]:
        """The viewed slice once its nearest tiles are in, then whatever is final."""
        ready = self._ready()
        if not self._shown and not self._waited:
            self._shown = True
            if not (self._view.axis == self._axis and ready[self._view.index]):
                yield from self._partial()
        for start, stop in runs(ready, self._first(), self._depth()):
            yield self._write(with_span(self._part.box, self._axis, slice(start, stop)))
            self._pending[start:stop] = False

    def _partial(self) -> Iterator[BoxDone]:
        """The viewed slice from the tiles that are in; where it is final already it stays."""
        span = slice(self._view.index, self._view.index + 1)
        slice_box = with_span(self._part.box, self._view.axis, span)
        todo = np.zeros_like(self._pending)
        todo[slice_box[self._axis]] = self._pending[slice_box[self._axis]]
        for start, stop in runs(todo, self._first(), len(todo)):
            box = with_span(slice_box, self._axis, slice(start, stop))
            source = needed(self._maps, box)
            logits = self._forward.logits(self._canvas.peek(source))
            yield self._result.preview(box, logits, spans(self._maps, box, source))

    def _write(self, box: Box) -> BoxDone:
        planes = self._maps[self._axis].planes(box[self._axis])
        source = with_span(self._source, self._axis, planes)
        logits = self._forward.logits(self._canvas.read(planes.start, planes.stop))
        return self._result.write(box, logits, spans(self._maps, box, source))

    def _ready(self) -> npt.NDArray[np.bool_]:
        """Planes of the scan that can be written; none before the slice that was asked for can."""
        along, done = self._maps[self._axis], self._canvas.done
        ready = np.zeros_like(self._pending)
        span = self._part.box[self._axis]
        ready[span] = self._pending[span] & done[along.lower[span]] & done[along.upper[span]]
        index = self._view.index
        waits = not self._moved and self._view.axis == self._axis and self._inside(self._view)
        if waits and self._pending[index] and not ready[index]:
            ready[:] = False
        return ready

    def _first(self) -> int:
        """The plane that is nearest to what is looked at."""
        span = self._part.box[self._axis]
        index = self._view.index if self._view.axis == self._axis else span.start
        return int(min(max(index, span.start), span.stop - 1))

    def _inside(self, view: View) -> bool:
        span = self._part.box[view.axis]
        return bool(span.start <= view.index < span.stop)

    def _needed_planes(self) -> npt.NDArray[np.bool_]:
        along = self._maps[self._axis]
        planes = np.zeros(self._part.tiling.shape[self._axis], dtype=np.bool_)
        planes[along.lower[self._pending]] = planes[along.upper[self._pending]] = True
        return planes

    def _viewed_planes(self) -> slice:
        axis, span = self._view.axis, self._part.box[self._view.axis]
        index = min(max(self._view.index, span.start), span.stop - 1)
        return self._maps[axis].planes(slice(index, index + 1))

    def _depth(self) -> int:
        """Planes of the scan that are written in one go."""
        area = max(_area(self._part.box, self._axis), _area(self._source, self._axis))
        return max(1, BYTES_AT_ONCE // (FLOAT_BYTES * self._sweep.n_outputs * area))


def _fitted(prepared: Prepared, tile: Extent) -> tuple[torch.Tensor, AxisMaps]:
    """The tensor, padded where it is smaller than a tile, and where the scan lies in it."""
    z, y, x = (margin(n, t) for n, t in zip(prepared.geometry.shape, tile, strict=True))
    maps = axis_maps(prepared.turn.target, prepared.geometry, (z, y, x), prepared.nearest)
    return padded(prepared.tensor, tile, prepared.zeros), maps


def _extent(tensor: torch.Tensor) -> Extent:
    z, y, x = tensor.shape[1:]
    return z, y, x


def _local(maps: AxisMaps, start: Extent) -> AxisMaps:
    """The maps for planes that are counted from `start`."""
    if not any(start):
        return maps
    z, y, x = (
        AxisMap(one.lower - first, one.upper - first, one.weight)
        for one, first in zip(maps, start, strict=True)
    )
    return z, y, x


def _whole(shape: Extent) -> Box:
    z, y, x = (slice(0, n) for n in shape)
    return z, y, x


def _area(box: Sequence[slice], axis: int) -> int:
    sizes: list[int] = [part.stop - part.start for a, part in enumerate(box) if a != axis]
    return math.prod(sizes)


def _strips(shape: Extent, axis: int, parts: int) -> tuple[Box, ...]:
    """The grid cut into about equal parts across its longest axis that is not `axis`."""
    across = max((a for a in range(3) if a != axis), key=lambda a: shape[a])
    parts = min(parts, shape[across])
    ends = [round(shape[across] * k / parts) for k in range(parts + 1)]
    return tuple(with_span(_whole(shape), across, slice(a, b)) for a, b in pairwise(ends))
