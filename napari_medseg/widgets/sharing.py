"""Layers of several views that show one array: what changes in one is drawn again in the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Layer
from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.widgets.strokes import box_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

FRAME_MS = 33  # while a stroke goes on the others follow thirty times a second
Range = tuple[int, int]
Reach = tuple[Range, ...]  # begin and end of what changed, along each axis


@dataclass(eq=False)
class Member:
    """One layer, the viewer it stands in, and whether anybody sees it."""

    layer: Layer
    viewer: ViewerModel
    seen: Callable[[], bool]
    point: tuple[float, ...] = ()
    stale: bool = False
    calls: list[tuple[Any, Callable[..., None]]] = field(default_factory=list)

    def slice_axis(self) -> int:
        """Which axis of the array the view cuts."""
        axis: int = self.viewer.dims.order[-3] - (self.viewer.dims.ndim - 3)
        return axis

    def index(self) -> int:
        """Which slice it shows."""
        dims, axis = self.viewer.dims, self.slice_axis()
        place = self.layer.world_to_data(dims.point[-3:])[axis]
        return round(float(place))

    def shows(self, reach: Reach | None) -> bool:
        """Whether a change can be seen here."""
        if reach is None or self.viewer.dims.ndisplay != 2:
            return True
        begin, end = reach[self.slice_axis()]
        return begin <= self.index() < end


class Sharing(QObject):
    """The layers that share one array; only those that somebody sees are drawn again.

    Signals
    -------
    changed
        Voxels changed, by a stroke in any view or by anybody who refreshed a layer.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._members: list[Member] = []
        self._drawing: Member | None = None
        self._drawn_at = 0.0
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.draw)

    def add(self, layer: Layer, viewer: ViewerModel, seen: Callable[[], bool]) -> None:
        """Let a layer take part."""
        one = Member(layer, viewer, seen, _facing(viewer))
        one.calls.append((layer.events.set_data, lambda event=None: self._on_redrawn(one)))
        if isinstance(layer, Labels):
            one.calls.append((layer.events.labels_update, lambda event: self._on_part(one, event)))
            one.calls.append((layer.events.paint, lambda event: self._on_paint(one, event)))
        for emitter, call in one.calls:
            emitter.connect(call)
        self._members.append(one)

    def remove(self, layer: Layer) -> None:
        """Let a layer go."""
        for one in [one for one in self._members if one.layer is layer]:
            for emitter, call in one.calls:
                emitter.disconnect(call)
            self._members.remove(one)

    def close(self) -> None:
        """Let all go."""
        self._soon.stop()
        for one in list(self._members):
            self.remove(one.layer)

    def tell(self, reach: Reach | None = None, source: Member | None = None) -> None:
        """These voxels changed: all views but the one that knows are drawn soon."""
        for one in self._members:
            if one is not source and one.shows(reach):
                one.stale = True
        if not self._soon.isActive():
            rest = FRAME_MS - (time.perf_counter() - self._drawn_at) * 1000
            self._soon.start(max(0, round(rest)))  # the first piece of a stroke at once
        self.changed.emit()

    def draw(self) -> None:
        """Draw again what is seen and is not as it should be; the rest waits until it is seen."""
        self._drawn_at = time.perf_counter()
        for one in self._members:
            if one.stale and one.seen():
                self._drawing, one.stale = one, False
                one.layer.refresh(extent=False, thumbnail=False, highlight=False)
                self._drawing = None

    def _on_redrawn(self, one: Member) -> None:
        point = _facing(one.viewer)
        turned, one.point = point != one.point, point
        if turned:
            one.stale = False  # another slice: it was read anew
        elif one is not self._drawing:
            self.tell(None, one)

    def _on_part(self, one: Member, event: Any) -> None:
        if one is not self._drawing and one.viewer.dims.ndisplay == 2:
            self.tell(_reach_of(one, event), one)

    def _on_paint(self, one: Member, event: Any) -> None:
        box = box_of(event.value)
        if box is not None:
            self.tell(tuple((part.start, part.stop) for part in box), one)


def _facing(viewer: ViewerModel) -> tuple[float, ...]:
    """What decides which slice a viewer shows."""
    return (*viewer.dims.point, *viewer.dims.order, viewer.dims.ndisplay)


def _reach_of(one: Member, event: Any) -> Reach | None:
    """Where a piece of a slice that napari drew again lies in the array."""
    layer, axis, shape = one.layer, one.slice_axis(), event.data.shape
    if len(event.offset) != 2:
        return None
    begin = one.index()
    reach = [(begin, begin + 1)] * 3
    if layer.n_edit_dimensions == 3:
        half = max(layer.brush_size, 1)
        reach[axis] = (begin - half, begin + half + 1)
    order = [int(a) - (one.viewer.dims.ndim - 3) for a in one.viewer.dims.order[-2:]]
    for side, number in zip(order, (0, 1), strict=True):
        start = int(event.offset[number])
        reach[side] = (start, start + int(shape[number]))
    return tuple(reach)
