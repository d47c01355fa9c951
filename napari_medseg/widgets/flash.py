"""Changed voxels light up for a moment, in all views, over the canvas: nothing is drawn again."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QImage, QPainter, QPaintEvent, QTransform
from qtpy.QtWidgets import QWidget

from napari_medseg.correction.record import Box
from napari_medseg.widgets.look import Look

if TYPE_CHECKING:
    from napari_medseg.widgets.desk import Desk
    from napari_medseg.widgets.view_pane import Eye

FLASH_MS = 500
COLOR = (255, 240, 120, 230)  # red, green, blue, alpha: no structure is so bright
Bools = npt.NDArray[np.bool_]


class Flash(QObject):
    """The lights of one desk's views; they let the mouse and the keys through."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self._glows: weakref.WeakKeyDictionary[Eye, Glow] = weakref.WeakKeyDictionary()
        self._end = QTimer(self)
        self._end.setSingleShot(True)
        self._end.setInterval(FLASH_MS)
        self._end.timeout.connect(self.hide)
        desk.case_changed.connect(self.hide)

    def show(self, box: Box, changed: Bools) -> None:
        """Light up voxels of a box of the mask, bool of its shape."""
        if self._desk.views is None:
            return
        for eye in self._desk.views.eyes():
            if eye not in self._glows or not isalive(self._glows[eye]):  # type: ignore[no-untyped-call]
                self._glows[eye] = Glow(eye, self._desk)
            self._glows[eye].light(box, changed)
        self._end.start()

    def hide(self) -> None:
        """All dark."""
        for glow in self._glows.values():
            if isalive(glow):  # type: ignore[no-untyped-call]
                glow.hide()

    @property
    def shown(self) -> int:
        """In how many views something is lit."""
        return sum(glow.isVisible() and glow.plane() is not None for glow in self._glows.values())


class Glow(QWidget):
    """Over one view: the changed voxels of the slice that it shows."""

    def __init__(self, eye: Eye, desk: Desk) -> None:
        super().__init__(eye.canvas)
        self._eye, self._desk = weakref.ref(eye), desk
        self._box: Box | None = None
        self._changed = np.zeros((0, 0, 0), bool)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent;")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()
        eye.canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        canvas = self.parentWidget()
        if event is not None and event.type() == QEvent.Type.Resize and canvas is not None:
            self.setGeometry(canvas.rect())
        return False

    def light(self, box: Box, changed: Bools) -> None:
        """Show these voxels, as long as it is not hidden."""
        self._box, self._changed = box, changed
        canvas = self.parentWidget()
        if canvas is not None:
            self.setGeometry(canvas.rect())
        self.setVisible(self.plane() is not None)
        self.raise_()
        self.update()

    def plane(self) -> tuple[Look, Bools] | None:
        """The look of the view and the changed voxels (rows, columns) in its slice, if any."""
        eye, layer = self._eye(), self._desk.labels
        look = None if eye is None else eye.look()
        if look is None or layer is None or self._box is None:
            return None
        axis, rows, columns = look.order
        at = round(float(layer.world_to_data(look.place(0, 0))[axis])) - self._box[axis].start
        if not 0 <= at < self._changed.shape[axis]:
            return None
        plane = np.moveaxis(self._changed, (axis, rows, columns), (0, 1, 2))[at]
        return (look, plane) if plane.any() else None

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        found = self.plane()
        if found is None:
            return
        look, plane = found
        painter = QPainter(self)
        painter.setTransform(self._onto(look))
        image = _image(plane)
        painter.drawImage(0, 0, image)
        painter.end()

    def _onto(self, look: Look) -> QTransform:
        """From (column, row) of the box to pixels of the canvas."""
        layer, box = self._desk.labels, self._box
        assert layer is not None
        assert box is not None
        corner = np.array([part.start for part in box]) - 0.5
        axes = np.eye(3)

        def pixel(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.array(look.pixel(np.asarray(layer.data_to_world(at))))

        origin = pixel(corner)
        right, down = (pixel(corner + axes[look.order[n]]) - origin for n in (2, 1))
        return QTransform(*right, *down, *origin)


def _image(plane: Bools) -> QImage:
    """Lit where True, clear elsewhere."""
    pixels = np.zeros((*plane.shape, 4), np.uint8)
    pixels[plane] = COLOR
    height, width = plane.shape
    return QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format_RGBA8888).copy()
