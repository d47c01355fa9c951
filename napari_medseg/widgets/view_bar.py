"""The row above the views: which views, which grey values, how the mask is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QAction,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSlider,
    QToolButton,
)

from napari_medseg.widgets import style, windowing
from napari_medseg.widgets.compare_row import CompareRow
from napari_medseg.widgets.keys import Command
from napari_medseg.widgets.whose_row import WhoseRow

if TYPE_CHECKING:
    from napari_medseg.widgets.views import Views

PRESET_KEYS = 6
LOOK = f"QToolButton:checked {{ background: {style.ACCENT}; color: white; border-radius: 3px; }}"
OPTIONS = {  # of the menu: the state's name, its words
    "crosshair": "Lines at the cursor (Q)",
    "linked": "Zoom all views together",
    "scrolls": "Wheel turns slices (Ctrl + wheel zooms)",
}


class ViewBar(style.Slim):
    """Works on the views that it is given; says what they show."""

    def __init__(self, views: Views) -> None:
        super().__init__()
        self._views = views
        self.compare, self.whose = CompareRow(views), WhoseRow(views)
        self.presets: tuple[windowing.Preset, ...] = ()
        self.four = _toggle("Four views", "Axial, coronal, sagittal and 3-D (T)")
        self.options = _menu("Options", "Lines, zoom, wheel")
        self.window_choice, self.numbers = QComboBox(), QLabel()
        self.window_choice.setToolTip("Grey values (W: next; Shift + right drag changes them)")
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setFixedWidth(80)
        self.opacity.setToolTip("How much of the scan the mask covers")
        self.outline = _toggle("Outline", "Borders only (O)")
        self.hidden = _toggle("Hide", "The scan without its mask (hold R)")
        self.comparing = _toggle("Compare", "Lay another mask beside this one")
        self.sources = _toggle("Who", "Who set what: model, painted, confirmed (Shift+O)")
        self._layers: list[tuple[Any, Callable[..., None]]] = []
        self._fill_menu()
        self._lay_out()
        self._connect()

    def _lay_out(self) -> None:
        row = QHBoxLayout(self)
        row.setContentsMargins(4, 2, 4, 2)
        row.setSpacing(6)
        for widget in (self.four, self.options, self.window_choice, self.numbers):
            row.addWidget(widget)
        row.addStretch(1)
        row.setSizeConstraint(QHBoxLayout.SizeConstraint.SetNoConstraint)
        words = QLabel("Mask")
        self.spare = (
            *(self.numbers, words, self.opacity, self.options),
            *(self.comparing, self.outline, self.sources),
        )
        shown = (words, self.opacity, self.outline, self.hidden, self.sources, self.comparing)
        for widget in shown:
            row.addWidget(widget)

    def _fill_menu(self) -> None:
        self.menu = QMenu(self.options)
        self.options.setMenu(self.menu)
        self.actions_of = {name: QAction(words, self.menu) for name, words in OPTIONS.items()}
        for name, action in self.actions_of.items():
            action.setCheckable(True)
            action.toggled.connect(lambda on, name=name: self._views.choose(**{name: on}))
            self.menu.addAction(action)

    def _connect(self) -> None:
        views = self._views
        self.four.clicked.connect(views.show_four)
        self.window_choice.activated.connect(self.use_preset)
        self.opacity.valueChanged.connect(self._set_opacity)
        self.outline.clicked.connect(views.set_outline)
        self.hidden.clicked.connect(views.hide_mask)
        self.comparing.clicked.connect(self.compare.set_on)
        self.sources.clicked.connect(self.whose.set_on)
        self.whose.changed.connect(lambda: self.sources.setChecked(self.whose.on))
        views.changed.connect(self._show_state)

    def commands(self) -> tuple[Command, ...]:
        """What can be done by key."""
        views = self._views
        group = "Views"
        hold = views.hide_mask
        return (
            Command("four_views", "Four views, or one", group, ("T",), self._toggle_four),
            Command("enlarge", "The view under the mouse alone", group, ("Shift-T",), self._large),
            Command("crosshair", "Lines at the cursor", group, ("Q",), self._toggle_crosshair),
            Command(
                "hide_mask", "Hide the mask while held", group, ("R",),
                lambda: hold(True), lambda: hold(False),
            ),
            Command("outline", "Mask as outline", group, ("O",), self._toggle_outline),
            Command("whose", "Who set what", group, ("Shift-O",), self._toggle_whose),
            Command(
                "flicker", "The other mask while held", group, ("Shift-R",),
                lambda: self.compare.flicker(True), lambda: self.compare.flicker(False),
            ),
            Command("next_window", "Next grey window", group, ("W",), self._next_preset),
            *(self._preset_command(number) for number in range(PRESET_KEYS)),
        )  # fmt: skip

    def _preset_command(self, number: int) -> Command:
        return Command(
            f"window_{number + 1}",
            f"Grey window {number + 1}",
            "Views",
            (f"Alt-{number + 1}",),
            lambda: self.use_preset(number),
        )

    # -- what the user does ---------------------------------------------------------------------

    def use_preset(self, number: int) -> None:
        """Set one of the listed windows."""
        if 0 <= number < len(self.presets):
            one = self.presets[number]
            self._views.set_window(one.low, one.high)

    def _next_preset(self) -> None:
        if self.presets:
            self.use_preset((self.window_choice.currentIndex() + 1) % len(self.presets))

    def _toggle_four(self) -> None:
        self._views.show_four(not self._views.state.four)

    def _large(self) -> None:
        self._views.enlarge_hovered()

    def _toggle_crosshair(self) -> None:
        self._views.choose(crosshair=not self._views.state.crosshair)

    def _toggle_outline(self) -> None:
        labels = self._views.desk.labels
        self._views.set_outline(labels is not None and not labels.contour)

    def _toggle_whose(self) -> None:
        self.whose.set_on(not self.whose.on)

    def _set_opacity(self, percent: int) -> None:
        if self._views.desk.labels is not None:
            self._views.desk.labels.opacity = percent / 100

    def compare_with(self, other: Labels) -> None:
        """Lay a layer's mask beside the open one."""
        self.comparing.setChecked(True)
        self.compare.setVisible(True)
        self.compare.fill()
        self.compare.choice.setCurrentIndex(max(0, self.compare.choice.findData(other)))
        self.compare.compare_with(other)

    def compare_no_more(self) -> None:
        """The open mask alone."""
        self.comparing.setChecked(False)
        self.compare.set_on(False)

    # -- what the user sees ---------------------------------------------------------------------

    def show_case(self) -> None:
        """Another scan is open."""
        desk = self._views.desk
        self._let_go()
        if self.compare.isVisible():
            self.compare_no_more()
        self.whose.set_on(False)
        if desk.image is None or desk.labels is None or desk.case is None:
            return
        self.presets = windowing.presets(desk.case.volume.channel(0))
        self.window_choice.clear()
        self.window_choice.addItems([one.name for one in self.presets])
        self._hear(desk.image, desk.labels)
        self._show_window()
        self._show_mask()

    def _hear(self, image: Image, labels: Labels) -> None:
        self._layers = [(image.events.contrast_limits, lambda event=None: self._show_window())]
        for name in ("opacity", "contour", "visible"):
            emitter = getattr(labels.events, name)
            self._layers.append((emitter, lambda event=None: self._show_mask()))
        for emitter, call in self._layers:
            emitter.connect(call)

    def _let_go(self) -> None:
        for emitter, call in self._layers:
            emitter.disconnect(call)
        self._layers = []

    def close_bar(self) -> None:
        """Hear nothing more."""
        self._let_go()
        self.compare.close_row()
        self.whose.close_row()

    def _show_window(self) -> None:
        image = self._views.desk.image
        if image is None:
            return
        low, high = (float(value) for value in image.contrast_limits)
        name = windowing.name_of((low, high), self.presets)
        self.window_choice.setCurrentIndex(self.window_choice.findText(name) if name else -1)
        self.numbers.setText(windowing.words((low, high)))

    def _show_mask(self) -> None:
        labels = self._views.desk.labels
        if labels is None:
            return
        blocker = QSignalBlocker(self.opacity)
        self.opacity.setValue(round(labels.opacity * 100))
        del blocker
        self.outline.setChecked(bool(labels.contour))
        self.hidden.setChecked(not labels.visible)

    def _show_state(self) -> None:
        state = self._views.state
        self.four.setChecked(state.four)
        for name, action in self.actions_of.items():
            blocker = QSignalBlocker(action)
            action.setChecked(getattr(state, name))
            del blocker


def _toggle(text: str, tip: str) -> QToolButton:
    made = QToolButton()
    made.setStyleSheet(LOOK)
    made.setText(text)
    made.setToolTip(tip)
    made.setCheckable(True)
    return made


def _menu(text: str, tip: str) -> QToolButton:
    made = QToolButton()
    made.setText(text)
    made.setToolTip(tip)
    made.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    return made
