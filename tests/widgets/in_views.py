"""Four views in a real window, and a real mouse in any of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_medseg.widgets.attach import show_dock
from napari_medseg.widgets.view_pane import Eye

CORONAL, SAGITTAL = 1, 2
LEFT, MIDDLE, RIGHT = (
    Qt.MouseButton.LeftButton,
    Qt.MouseButton.MiddleButton,
    Qt.MouseButton.RightButton,
)
NONE, PLAIN, SHIFT = (
    Qt.MouseButton.NoButton,
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
)


def four_views(desk, qtbot):
    """All four views of the open scan."""
    show_dock(desk.viewer, "Correct")
    made = desk.views
    made.show_four(True)
    qtbot.waitUntil(lambda: all(pane.seen for pane in made.panes.values()), timeout=10_000)
    qtbot.wait(150)
    return made


def eye_of(views, number: int) -> Eye:
    return views.panes[number].eye if number else views.main


def spot(views, number: int, voxel: Sequence[int]) -> QPointF:
    """Where a voxel lies on a view's canvas, as napari's own scene says."""
    eye, layer = eye_of(views, number), views.desk.labels
    world = np.asarray(layer.data_to_world(voxel))[list(eye.model.dims.displayed)]
    qt = views.panes[number].qt_viewer if number else views.desk.viewer.window._qt_viewer
    x, y, _, w = qt.canvas.view.scene.transform.map([*world[::-1], 0, 1])[:4]
    return QPointF(x / w, y / w)


def mouse(canvas, kind, place: QPointF, button, held, keys=PLAIN) -> None:
    on_screen = QPointF(canvas.mapToGlobal(place.toPoint()))
    QApplication.sendEvent(canvas, QMouseEvent(kind, place, on_screen, button, held, keys))


def drag_pixels(canvas, spots: Sequence[QPointF], button=LEFT, keys=PLAIN) -> None:
    """Press at the first place, move over the others, release at the last."""
    mouse(canvas, QEvent.Type.MouseButtonPress, spots[0], button, button, keys)
    for place in spots[1:]:
        mouse(canvas, QEvent.Type.MouseMove, place, NONE, button, keys)
    mouse(canvas, QEvent.Type.MouseButtonRelease, spots[-1], button, NONE, keys)


def stroke(views, number: int, voxels: Sequence[Sequence[int]], button=LEFT) -> None:
    spots = [spot(views, number, voxel) for voxel in voxels]
    drag_pixels(eye_of(views, number).canvas, spots, button)
