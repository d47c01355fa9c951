"""The view that shows the structures in 3-D; it follows when the hand has come to rest.

napari's third axis grows towards the eye, which makes a mirror image of a patient (x, y, z are
right-handed); with the axis turned away its light would fall from behind. So all that is shown here
has x negated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Vectors
from napari.layers import Surface as SurfaceLayer
from napari.utils import Colormap
from qtpy.QtCore import QObject, QTimer

from napari_medseg.widgets.sharing import Sharing
from napari_medseg.widgets.solid import Surface, surfaces
from napari_medseg.widgets.worker import Worker

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_medseg.widgets.desk import Desk
    from napari_medseg.widgets.views import Views

REST_MS = 1500  # after the last stroke
CURSOR_MS = 150
CLOSE_GRACE_S = 2.0
MIRROR = np.array((1, 1, -1), np.float32)


class SolidView(QObject):
    """Surfaces of the open mask, and the cursor, in one viewer model."""

    def __init__(self, model: ViewerModel, desk: Desk, views: Views) -> None:
        super().__init__(views)
        self._model, self._desk, self._views = model, desk, views
        self._sharing: Sharing | None = None
        self._worker: Worker | None = None
        self._on = self._stale = False
        self._fitted: Labels | None = None
        self._colors: Any = None
        self._shown: dict[int, SurfaceLayer] = {}
        self._cursor: Vectors | None = None
        self._soon = self._once(REST_MS, self._build)
        self._cursor_soon = self._once(CURSOR_MS, self._draw_cursor)
        views.moved.connect(self._on_moved)
        desk.names_changed.connect(self._recolor)

    def _once(self, milliseconds: int, call: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(call)
        return timer

    def set_on(self, on: bool) -> None:
        """Whether anybody sees it; nothing is computed while nobody does."""
        came, self._on = on and not self._on, on
        if came and self._stale:
            self._soon.start(0)
            self._cursor_soon.start()

    def follow(self, sharing: Sharing | None) -> None:
        """Show the mask of these layers."""
        if sharing is self._sharing:
            return
        if self._sharing is not None:
            self._sharing.changed.disconnect(self._on_changed)
        self._sharing = sharing
        self._clear()
        self._hear_colors()
        if sharing is not None:
            sharing.changed.connect(self._on_changed)
            self._stale = True
            if self._on:
                self._soon.start(0)

    def _hear_colors(self) -> None:
        """Structures are hidden and shown by the colours of the mask."""
        if self._colors is not None:
            self._colors.disconnect(self._recolor)
        labels = self._desk.labels
        self._colors = None if labels is None else labels.events.colormap
        if self._colors is not None:
            self._colors.connect(self._recolor)

    def close(self) -> None:
        """Compute nothing more."""
        if self._colors is not None:
            self._colors.disconnect(self._recolor)
            self._colors = None
        self._soon.stop()
        self._cursor_soon.stop()
        self._sharing = None
        if self._worker is not None:
            self._worker.abandon(CLOSE_GRACE_S)
            self._worker = None

    def _on_changed(self) -> None:
        self._stale = True
        if self._on:
            self._soon.start(REST_MS)

    def _build(self) -> None:
        """Begin to make the surfaces, unless a stroke is on or they are being made."""
        layer, case = self._desk.labels, self._desk.case
        if layer is None or case is None or not self._on:
            return
        if self._desk.stroke_is_on() or (self._worker is not None and self._worker.running):
            self._soon.start(REST_MS)
            return
        self._stale = False
        self._worker = Worker(surfaces(layer.data, case.names), parent=self)
        self._worker.returned.connect(self._show)
        self._worker.failed.connect(_raise)
        self._worker.start()

    def _show(self, made: list[Surface]) -> None:
        layer = self._desk.labels
        if layer is None or made is None:
            return
        found = {one.label.value: one for one in made}
        for value in self._shown.keys() - found.keys():
            self._model.layers.remove(self._shown.pop(value))
        for value, one in found.items():
            if value in self._shown:
                self._shown[value].data = (one.vertices * MIRROR, one.faces)
            else:
                self._shown[value] = self._add(one)
        self._recolor()
        if self._fitted is not layer and found:
            self._fitted = layer
            self._face()
        self._draw_cursor()

    def _add(self, one: Surface) -> SurfaceLayer:
        layer = self._desk.labels
        assert layer is not None
        made = SurfaceLayer(
            (one.vertices * MIRROR, one.faces),
            scale=layer.scale,
            translate=layer.translate * MIRROR,
            units=layer.units,
            shading="smooth",
            name=one.label.name,
        )
        self._model.add_layer(made)
        return made

    def _recolor(self, event: Any = None) -> None:
        case = self._desk.case
        for label in () if case is None else case.names:
            layer = self._shown.get(label.value)
            if layer is not None:
                layer.colormap = Colormap([label.color, label.color], name=label.color)
                layer.visible = label.value not in self._desk.hidden

    def _face(self) -> None:
        """Look at the patient's front, head up."""
        self._model.scene.camera.set_view_direction((0, 1, 0), (1, 0, 0))
        self._model.reset_view(reset_camera_angle=False)

    def _on_moved(self) -> None:
        if self._on and not self._cursor_soon.isActive():
            self._cursor_soon.start()

    def _draw_cursor(self) -> None:
        """Three lines through the cursor, as long as the scan."""
        layer = self._desk.labels
        if layer is None or not self._on or not self._shown:
            return
        at = np.asarray(layer.world_to_data(self._views.at))
        shape = np.array(layer.data.shape, float)
        lines = np.zeros((3, 2, 3))
        for axis in range(3):
            lines[axis, 0] = at
            lines[axis, 0, axis], lines[axis, 1, axis] = 0, shape[axis] - 1
        lines *= MIRROR
        if self._cursor is None:
            self._cursor = Vectors(
                lines,
                scale=layer.scale,
                translate=layer.translate * MIRROR,
                units=layer.units,
                edge_color=["#9aa0a8"] * 3,
                edge_width=0.6,
                vector_style="line",
                name="cursor",
            )
            self._model.add_layer(self._cursor)
        elif not np.array_equal(self._cursor.data, lines):
            self._cursor.data = lines
        self._cursor.visible = self._views.state.crosshair

    def _clear(self) -> None:
        self._model.layers.clear()
        self._shown.clear()
        self._cursor = None


def _raise(error: Exception) -> None:
    raise error
