"""How the docks look: one column, few colours, one obvious next step."""

from __future__ import annotations

import math

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap, QResizeEvent
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

WIDTH = (316, 360)  # pixels: fits beside the canvas at 1280 x 720
ACCENT, STOP, GOOD, BAD, QUIET = "#2f7de1", "#b5472f", "#4fb06d", "#e0705a", "#9aa0a8"
WARM = "#ffb020"
NOTICE = "#d9a441"

_PRIMARY = """
QPushButton {{ background: {color}; color: white; font-weight: 600; border-radius: 4px;
               padding: 7px 12px; }}
QPushButton:hover {{ background: {hover}; }}
QPushButton:disabled {{ background: #4a4f57; color: #8d939b; }}
"""


class Column(QScrollArea):
    """A dock's body: rows from the top, scrolls when the window is low, never sideways."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(WIDTH[0])
        self.setMaximumWidth(WIDTH[1])
        body = QWidget()
        self.rows = QVBoxLayout(body)
        self.rows.setContentsMargins(10, 6, 10, 10)
        self.rows.setSpacing(6)
        self.setWidget(body)

    def add(self, *items: QWidget | QLayout) -> None:
        """Append rows."""
        for item in items:
            if isinstance(item, QWidget):
                self.rows.addWidget(item)
            else:
                self.rows.addLayout(item)

    def sizeHint(self) -> QSize:  # noqa: N802  Qt's name
        return QSize(WIDTH[1] - 20, 480)


def heading(text: str) -> QLabel:
    """The name of a group of rows."""
    label = QLabel(text)
    label.setStyleSheet("font-weight: 600; padding-top: 4px;")
    return label


def hint(text: str = "", color: str = QUIET) -> QLabel:
    """A sentence that wraps; quiet, or with "" in the theme's own colour."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    if color:
        label.setStyleSheet(f"color: {color};")
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def say(label: QLabel, text: str) -> None:
    """Show a sentence, or nothing at all where there is none."""
    if label.text() != text:
        label.setText(text)
    label.setVisible(bool(text))


def row(*widgets: QWidget, stretch: tuple[int, ...] = ()) -> QHBoxLayout:
    """Widgets beside each other; `stretch` gives their shares."""
    layout = QHBoxLayout()
    layout.setSpacing(6)
    for number, widget in enumerate(widgets):
        layout.addWidget(widget, stretch[number] if number < len(stretch) else 0)
    return layout


def button(text: str, tip: str = "") -> QPushButton:
    made = QPushButton(text)
    made.setToolTip(tip)
    return made


def narrow(target: QWidget) -> None:
    """Let it shrink below its text's margins: rows of many stand in a narrow dock."""
    target.setStyleSheet("padding-left: 3px; padding-right: 3px;")
    target.setMinimumWidth(44)


def paint_primary(target: QPushButton, color: str = ACCENT) -> None:
    """Make it the one button that the eye finds first."""
    look = _PRIMARY.format(color=color, hover=QColor(color).lighter(115).name())
    if target.styleSheet() != look:  # each new style redraws the whole window
        target.setStyleSheet(look)


def bar() -> QProgressBar:
    """A thin progress bar; its text stands below it."""
    made = QProgressBar()
    made.setTextVisible(False)
    made.setMaximumHeight(8)
    return made


def show_progress(target: QProgressBar, done: int, total: int) -> None:
    """How far; an unknown end shows an empty bar, for Qt's busy animation would redraw the canvas
    beside it sixty times a second, which costs a core where there is no GPU."""
    target.setRange(0, max(total, 1))
    target.setValue(done if total else 0)


def swatch(color: str, size: int = 14) -> QIcon:
    """A small square of a label's colour, "#rrggbb"."""
    picture = QPixmap(size, size)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(color))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawRoundedRect(0, 0, size, size, 3, 3)
    painter.end()
    return QIcon(picture)


def padlock(closed: bool, size: int = 14) -> QIcon:
    """A padlock; an open one is faint."""
    picture = QPixmap(size, size)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    color = QColor(WARM if closed else QUIET)
    color.setAlphaF(1.0 if closed else 0.5)
    painter.setPen(QPen(color, size / 9))
    unit = size / 14
    bow = QRectF(4 * unit if closed else 7 * unit, 1.5 * unit, 6 * unit, 9 * unit)
    painter.drawArc(bow, 0, 180 * 16)
    painter.setBrush(color)
    painter.drawRoundedRect(QRectF(2.5 * unit, 6.5 * unit, 9 * unit, 6 * unit), unit, unit)
    painter.end()
    return QIcon(picture)


class Slim(QWidget):
    """A row that never makes its window wider: what it can do without goes where room is lacking.

    `spare` are widgets of the row, the first to go first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spare: tuple[QWidget, ...] = ()

    def minimumSizeHint(self) -> QSize:  # noqa: N802  Qt's name
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        super().resizeEvent(event)
        layout = self.layout()
        if layout is None:
            return
        for one in self.spare:
            one.show()
        for one in self.spare:
            layout.invalidate()
            if layout.minimumSize().width() <= self.width():
                break
            one.hide()


def stack(*items: QWidget | QLayout) -> QVBoxLayout:
    """Rows below each other."""
    layout = QVBoxLayout()
    layout.setSpacing(6)
    for item in items:
        if isinstance(item, QWidget):
            layout.addWidget(item)
        else:
            layout.addLayout(item)
    return layout


def column(widget: QWidget) -> QVBoxLayout:
    """The rows of a widget that is shown or hidden as a whole."""
    layout = QVBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(6)
    return layout


def folded(title: str, content: QWidget, shown: bool = False) -> QWidget:
    """A part that a click on its title shows or hides."""
    part, title_button = QWidget(), QToolButton()
    title_button.setText(title)
    title_button.setCheckable(True)
    title_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    title_button.setStyleSheet("QToolButton { border: none; font-weight: 600; padding: 4px 0; }")

    def show(on: bool) -> None:
        title_button.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        content.setVisible(on)

    title_button.toggled.connect(show)
    rows = column(part)
    rows.addWidget(title_button)
    rows.addWidget(content)
    title_button.setChecked(shown)
    show(shown)
    return part


def percent_on_log_scale(value: float, low: float, high: float) -> int:
    """Where a slider stands whose ends are `low` and `high` and whose steps are factors."""
    inside = min(max(value, low), high)
    return round(100 * math.log(inside / low) / math.log(high / low))
