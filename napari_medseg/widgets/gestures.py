"""What a hand does on a view besides painting: point, turn slices, set the window, enlarge.

The events are taken before napari sees them: a Labels layer paints with every button.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

NOTCH = 120  # Qt's unit of a wheel's step
ZOOM = 1.15  # a step
SHIFT = Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier
PLAIN = Qt.KeyboardModifier.NoModifier
OWN_KEYS = (Qt.Key.Key_Left, Qt.Key.Key_Right)
MOVES = (QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonRelease)
KEYS = (QEvent.Type.KeyPress, QEvent.Type.KeyRelease)


class Gestures(QObject):
    """Watches one canvas.

    Signals
    -------
    pointed, hovered
        A pixel to go to (Shift + move, or the middle button); where the mouse is, None outside.
    stepped
        So many slices forth.
    zoomed
        A factor, and the pixel that stays where it is.
    windowed
        Pixels to the right and down since the last one, of Shift + right drag.
    enlarge
        A double-click while no tool is in the hand.

    Parameters
    ----------
    canvas
        napari's own widget that draws a view.
    scrolls
        Whether the wheel turns slices (then Ctrl + wheel zooms) or is napari's.
    idle
        Whether no tool is in the hand.
    keys
        The canvas that gets the keys pressed here; None for the same one.
    """

    pointed = Signal(QPointF)
    hovered = Signal(object)
    stepped = Signal(int)
    zoomed = Signal(float, QPointF)
    windowed = Signal(float, float)
    enlarge = Signal()

    def __init__(
        self,
        canvas: QWidget,
        scrolls: Callable[[], bool],
        idle: Callable[[], bool],
        keys: QWidget | None = None,
    ) -> None:
        super().__init__(canvas)
        self._canvas, self._scrolls, self._idle, self._keys = canvas, scrolls, idle, keys
        self._held: Qt.MouseButton | None = None
        self._last = QPointF()
        self._turned = 0
        canvas.setMouseTracking(True)
        canvas.installEventFilter(self)

    def close(self) -> None:
        """Watch no more."""
        self._canvas.removeEventFilter(self)
        self._keys = None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        if event is None:
            return False
        kind = event.type()
        if kind in MOVES and isinstance(event, QMouseEvent):
            return self._mouse(event)
        if kind == QEvent.Type.Wheel and isinstance(event, QWheelEvent):
            return self._wheel(event)
        if kind == QEvent.Type.MouseButtonDblClick and isinstance(event, QMouseEvent):
            return self._double(event)
        if kind in KEYS and isinstance(event, QKeyEvent):
            return self._key(event)
        if kind == QEvent.Type.Leave:
            self.hovered.emit(None)
        return False

    def _mouse(self, event: QMouseEvent) -> bool:
        kind, spot = event.type(), _spot(event)
        if kind == QEvent.Type.MouseMove:
            self.hovered.emit(spot)
        if kind == QEvent.Type.MouseButtonPress:
            return self._press(event, spot)
        if kind == QEvent.Type.MouseButtonRelease:
            ours, self._held = self._held == event.button(), None
            return ours
        if self._held == Qt.MouseButton.RightButton:
            moved, self._last = spot - self._last, spot
            self.windowed.emit(moved.x(), moved.y())
        elif self._held is not None or _only_shift(event):
            self.pointed.emit(spot)
            return self._held is not None
        return self._held is not None

    def _press(self, event: QMouseEvent, spot: QPointF) -> bool:
        button = event.button()
        windows = button == Qt.MouseButton.RightButton and event.modifiers() == SHIFT
        if self._held is None and (windows or button == Qt.MouseButton.MiddleButton):
            self._held, self._last = button, spot
            if not windows:
                self.pointed.emit(spot)
        return self._held is not None

    def _wheel(self, event: QWheelEvent) -> bool:
        turned, modifiers = event.angleDelta().y(), event.modifiers()
        if not self._scrolls() or modifiers not in (PLAIN, CTRL) or not turned:
            return False
        if modifiers == CTRL:
            self.zoomed.emit(math.pow(ZOOM, turned / NOTCH), event.position())
            return True
        self._turned += turned
        steps = int(self._turned / NOTCH)  # towards 0: a touchpad comes in small parts
        self._turned -= steps * NOTCH
        if steps:
            self.stepped.emit(steps)
        return True

    def _double(self, event: QMouseEvent) -> bool:
        if event.button() != Qt.MouseButton.LeftButton or not self._idle():
            return False
        self.enlarge.emit()
        return True

    def _key(self, event: QKeyEvent) -> bool:
        if self._keys is None:
            return False
        if event.key() in OWN_KEYS and event.modifiers() == PLAIN:
            if event.type() == QEvent.Type.KeyPress:
                self.stepped.emit(1 if event.key() == Qt.Key.Key_Right else -1)
            return True
        again = QKeyEvent(
            event.type(), event.key(), event.modifiers(), event.text(), event.isAutoRepeat()
        )
        QApplication.sendEvent(self._keys, again)
        return True


def _spot(event: QMouseEvent) -> QPointF:
    """Where on the canvas; Qt 6 has another name for it."""
    spot: QPointF = event.position() if hasattr(event, "position") else event.localPos()
    return spot


def _only_shift(event: QMouseEvent) -> bool:
    return bool(event.modifiers() == SHIFT and event.buttons() == Qt.MouseButton.NoButton)
