"""What is drawn over a view: the patient's sides, a scale in mm, and thin lines at the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.components.overlays import TextOverlay
from qtpy.QtCore import QEvent, QObject, QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_medseg.widgets.look import Look

if TYPE_CHECKING:
    from napari.components import ViewerModel

COLORS = ("#e5534b", "#57ab5a", "#e3b341")  # of the axial, coronal and sagittal planes
SIDES = ("top_center", "middle_right", "bottom_center", "middle_left")
LETTER_COLOR, LETTER_SIZE = "#ffd866", 13
GAP = 9  # pixels around the cursor that stay clear: what is looked at must be seen


class Letters:
    """The sides of the patient at a view's edges, and the scale bar, as napari's own overlays."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._overlays = viewer.canvas.overlays
        self._texts = {
            side: TextOverlay(
                position=side,
                color=LETTER_COLOR,
                font_size=LETTER_SIZE,
                visible=False,
                order=self._overlays.scale_bar.order + 1,  # in a small view the scale reaches it
            )
            for side in SIDES
        }
        for side, text in self._texts.items():
            self._overlays[f"medseg_{side}"] = text

    def show(self, look: Look | None) -> None:
        """Letters of a look; none in 3-D."""
        for side, letter in zip(SIDES, look.letters() if look else ("",) * 4, strict=True):
            text = self._texts[side]
            if letter and text.text != letter:  # an empty text that is drawn crashes vispy
                text.text = letter
            if text.visible != bool(letter):
                text.visible = bool(letter)
        scale = self._overlays.scale_bar
        if scale.visible != (look is not None):
            scale.position, scale.font_size = "bottom_right", 9
            scale.visible = look is not None

    def shown(self) -> tuple[str, str, str, str]:
        """What stands at the top, right, bottom and left."""
        top, right, bottom, left = (
            str(one.text) if one.visible else "" for one in self._texts.values()
        )
        return top, right, bottom, left

    def close(self) -> None:
        """Leave the viewer as it was."""
        self._overlays.scale_bar.visible = False
        for side in SIDES:
            self._overlays.pop(f"medseg_{side}", None)


class Crosshair(QWidget):
    """Two thin lines over a canvas, in the colours of the planes that they stand for.

    A widget of its own: moving it costs no drawing of the scan below.
    """

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setStyleSheet("background: transparent;")
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.spot: QPointF | None = None
        self._colors = COLORS[:2]
        canvas.installEventFilter(self)
        self.setGeometry(canvas.rect())
        self.show()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        canvas = self.parentWidget()
        if event is not None and event.type() == QEvent.Type.Resize and canvas is not None:
            self.setGeometry(canvas.rect())
        return False

    def point(self, look: Look | None, at: object) -> None:
        """Cross at a place of the patient; None for no lines."""
        spot = None
        if look is not None and at is not None:
            spot = QPointF(*look.pixel(at))  # type: ignore[arg-type]
            self._colors = (COLORS[look.order[1]], COLORS[look.order[2]])
        if spot != self.spot:
            self.spot = spot
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        if self.spot is None:
            return
        x, y = round(self.spot.x()), round(self.spot.y())
        width, height = self.width(), self.height()
        painter = QPainter(self)
        for color, lines in (
            (self._colors[0], ((0, y, x - GAP, y), (x + GAP, y, width, y))),
            (self._colors[1], ((x, 0, x, y - GAP), (x, y + GAP, x, height))),
        ):
            pen = QColor(color)
            pen.setAlpha(170)
            painter.setPen(QPen(pen, 1))
            for line in lines:
                painter.drawLine(*line)
        painter.end()
