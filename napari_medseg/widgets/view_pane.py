"""One view of the scan beside napari's own: its canvas, a line above it, and what it shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.qt import QtViewer
from qtpy.QtCore import QObject, QPointF, Signal
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from napari_medseg.widgets.gestures import Gestures
from napari_medseg.widgets.look import AXES, Look, Place, look_of, upright
from napari_medseg.widgets.overlays import COLORS, Crosshair, Letters

if TYPE_CHECKING:
    from napari.components.viewer_model import ViewerModel as Model

ORDERS = ((0, 1, 2), (1, 0, 2), (2, 0, 1))  # axial, coronal, sagittal
SOLID_COLOR = "#6cb6ff"
HEADER_HEIGHT = 20


class Header(QWidget):
    """The line above a view: what it shows, which slice, and a button that enlarges it."""

    enlarge = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.text = QLabel(), QLabel()
        self.button = QToolButton()
        self.button.setText("⤢")
        self.button.setAutoRaise(True)
        self.button.setToolTip("This view alone, or all four (double-click does the same)")
        self.button.clicked.connect(self.enlarge)
        self.text.setStyleSheet("color: #9aa0a8;")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(6, 0, 2, 0)
        layout.setSpacing(10)
        layout.addWidget(self.title)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.button)
        self.setFixedHeight(HEADER_HEIGHT)

    def say(self, title: str, color: str, text: str) -> None:
        """Name of the view in its colour, and where it is."""
        if self.title.text() != title:
            self.title.setText(title)
            self.title.setStyleSheet(f"color: {color}; font-weight: 600;")
        if self.text.text() != text:
            self.text.setText(text)

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self.enlarge.emit()


def qt_viewer_of(window: QWidget, viewer: Model) -> QtViewer | None:
    """The widget in a window that shows a viewer."""
    found = (one for one in window.findChildren(QtViewer) if one.viewer is viewer)
    return next(found, None)


class Eye(QObject):
    """All that our views have and napari's own has too: letters, lines, gestures.

    Signals
    -------
    pointed, hovered
        A place of the patient to go to; the one under the mouse, None outside.
    stepped, windowed, enlarge
        As of `Gestures`.
    doubled
        A double-click while a tool that is clicked or drawn with is in the hand.
    turned
        It looks elsewhere: another slice, another plane, another zoom.
    """

    pointed = Signal(object)
    hovered = Signal(object)
    stepped = Signal(int)
    windowed = Signal(float, float)
    enlarge = Signal()
    doubled = Signal()
    turned = Signal()

    def __init__(
        self,
        model: Model,
        qt_viewer: QtViewer,
        scrolls: Callable[[], bool],
        keys: QWidget | None = None,
        turns: bool = True,
    ) -> None:
        super().__init__()
        self._turns = turns  # whether the camera is turned so that the patient is upright
        self.model, self.canvas = model, qt_viewer.canvas.native
        self._spot: QPointF | None = None  # of the mouse
        self.header = Header()
        self.letters = Letters(model)
        self.crosshair = Crosshair(self.canvas)
        self.gestures = Gestures(self.canvas, scrolls, self._idle, keys)
        self.gestures.pointed.connect(self._on_pointed)
        self.gestures.hovered.connect(self._on_hovered)
        self.gestures.stepped.connect(self.stepped)
        self.gestures.windowed.connect(self.windowed)
        self.gestures.enlarge.connect(self._on_double)
        self.gestures.zoomed.connect(self._zoom)
        self.header.enlarge.connect(self.enlarge)
        dims, camera = model.dims.events, model.scene.camera.events
        self._calls: list[tuple[Any, Callable[..., None]]] = [
            *((one, self._on_turned) for one in (dims.order, dims.ndisplay)),
            *((one, self._on_looked) for one in (dims.point, camera.center, camera.zoom)),
            (model.canvas.events.size, self._on_looked),
            (model.layers.events.removing, self.make_current),
        ]
        for emitter, call in self._calls:
            emitter.connect(call)
        self._on_turned()

    def look(self) -> Look | None:
        """How it looks now; None in 3-D."""
        return look_of(self.model, (self.canvas.width(), self.canvas.height()))

    @property
    def seen(self) -> bool:
        """Whether it is on the screen."""
        return bool(self.canvas.isVisible())

    def place(self, spot: QPointF) -> Place | None:
        """The place of the patient under a pixel."""
        look = self.look()
        return None if look is None else look.place(spot.x(), spot.y())

    def under_mouse(self) -> Place | None:
        """The place of the patient under the mouse, as it looks now; None where it is outside."""
        return None if self._spot is None else self.place(self._spot)

    def go_to(self, at: Place) -> None:
        """Show the slice through a place."""
        look = self.look()
        if look is not None:
            axis = look.order[0]
            self.model.dims.set_point(axis + self.model.dims.ndim - 3, float(at[axis]))

    def make_current(self, event: Any = None) -> None:
        """Let what happens on the graphics card now happen to this canvas.

        A layer that is removed gives back at once what it had there, to whichever canvas was drawn
        last: with several canvases that is another one's, and the next drawing would crash.
        """
        self.canvas.makeCurrent()

    def close(self) -> None:
        """Leave the viewer as it was."""
        self.forget()
        self.gestures.close()
        self.letters.close()
        self.crosshair.hide()
        self.crosshair.deleteLater()

    def forget(self) -> None:
        """Hear nothing more of the viewer."""
        for emitter, call in self._calls:
            emitter.disconnect(call)
        self._calls.clear()

    def _idle(self) -> bool:
        active = self.model.layers.selection.active
        return active is None or str(active.mode) == "pan_zoom"

    def _on_double(self) -> None:
        active = self.model.layers.selection.active
        (self.enlarge if active is None or active.mouse_pan else self.doubled).emit()

    def _on_pointed(self, spot: QPointF) -> None:
        at = self.place(spot)
        if at is not None:
            self.pointed.emit(at)

    def _on_hovered(self, spot: QPointF | None) -> None:
        self._spot = spot
        self.hovered.emit(self.under_mouse())

    def _zoom(self, factor: float, spot: QPointF) -> None:
        """Zoom so that what is under the mouse stays there."""
        look, camera = self.look(), self.model.scene.camera
        if look is None:
            camera.zoom *= factor
            return
        at = look.place(spot.x(), spot.y())
        middle = [
            at[axis] + (here - at[axis]) / factor
            for axis, here in zip(look.order[1:], look.center, strict=True)
        ]
        camera.zoom *= factor
        camera.center = (camera.center[0], *middle)

    def _on_turned(self, event: Any = None) -> None:
        if self._turns:
            upright(self.model)
        self.letters.show(self.look())
        self.turned.emit()

    def _on_looked(self, event: Any = None) -> None:
        self.turned.emit()


class Pane(QWidget):
    """A plane of the scan, or its structures in 3-D, in a view of its own."""

    def __init__(self, number: int, scrolls: Callable[[], bool], keys: QWidget | None) -> None:
        super().__init__()
        self.number = number  # 1 coronal, 2 sagittal, 3 solid
        flat = number < len(ORDERS)
        self.model = ViewerModel(title=title_of(number), ndisplay=2 if flat else 3)
        self.model.dims.ndim = 3
        if flat:
            self.model.dims.order = ORDERS[number]
        self.qt_viewer = QtViewer(self.model)
        self.eye = Eye(self.model, self.qt_viewer, scrolls, keys, turns=flat)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.eye.header)
        layout.addWidget(self.qt_viewer, 1)
        self.setMinimumSize(120, 120)

    @property
    def seen(self) -> bool:
        return self.eye.seen

    def fit(self) -> None:
        """Show all of the scan."""
        self.model.reset_view(reset_camera_angle=False)

    def close_view(self) -> None:
        """Let napari end its part; the widget is of no use after that."""
        self.model.layers.clear()
        self.eye.close()
        self.qt_viewer.close()
        self.close()
        self.deleteLater()


def title_of(number: int) -> str:
    """A view's name."""
    return AXES[number] if number < len(AXES) else "3-D"


def color_of(number: int) -> str:
    """A view's colour."""
    return COLORS[number] if number < len(COLORS) else SOLID_COLOR
