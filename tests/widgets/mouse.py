"""A real mouse on a viewer's canvas."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari import Viewer
from napari.layers import Layer
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication


def canvas_of(viewer: Viewer):
    return viewer.window._qt_viewer.canvas.native


def on_canvas(viewer: Viewer, layer: Layer, point: Sequence[float]) -> QPointF:
    """Where a voxel of the displayed slice lies on the canvas, in pixels."""
    world = np.asarray(layer.data_to_world(point))[list(viewer.dims.displayed)]
    scene = viewer.window._qt_viewer.canvas.view.scene
    x, y, _, w = scene.transform.map([*world[::-1], 0, 1])[:4]
    return QPointF(x / w, y / w)


def send(canvas, kind, spot: QPointF, button, buttons) -> None:
    place = QPointF(canvas.mapToGlobal(spot.toPoint()))
    event = QMouseEvent(kind, spot, place, button, buttons, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)
