"""The tools to paint with: which one, how large, and what it may change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDoubleSpinBox,
    QPushButton,
    QSlider,
    QSpinBox,
    QWidget,
)

from napari_medseg.correction.edit import Rules
from napari_medseg.widgets import style
from napari_medseg.widgets.brush_state import LARGEST_MM, OUTLINES, Tool
from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.ruling import OVERS

TOOLS = {  # in rows of four: what it is called, what it does and its key
    Tool.BRUSH: ("Brush", "Paint the chosen structure (2 or P); Ctrl erases; right drag: size"),
    Tool.ERASER: ("Eraser", "Back to background (1 or E)"),
    Tool.PENCIL: ("Pencil", "A line of single voxels (D)"),
    Tool.PAN: ("Pan", "Move and zoom the view (6 or Z; hold Space with any tool)"),
    Tool.LASSO: ("Lasso", "Draw around it: the inside is filled (A); Ctrl erases"),
    Tool.POLYGON: ("Polygon", "Click corners, Enter or double-click closes (3); Ctrl erases"),
    Tool.SCISSORS: ("Scissors", "Draw around it: cut through all slices (S)"),
    Tool.FILL: ("Fill", "Fill an area of one label (F or 4)"),
}
GREY_LIMIT = 1e6
LEAST_PX = 44  # of a button or a number: the dock is narrow
NARROW = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon


class BrushPanel(QWidget):
    """The desk's brush as it is now; closing the panel changes nothing."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.tool, self.state = desk.brush, desk.brush.state
        rows = style.column(self)
        for part in (self._tools(), self._size(), self._scissors(), self._rules(), self._steps()):
            if isinstance(part, QWidget):
                rows.addWidget(part)
            else:
                rows.addLayout(part)
        self.said = style.hint()
        style.say(self.said, "")
        rows.addWidget(self.said)
        for one in self.findChildren(QPushButton):
            one.setMinimumWidth(LEAST_PX)
        self._connect()
        self.show_case()

    # -- parts --------------------------------------------------------------------------------

    def _tools(self) -> Any:
        self.tools = QButtonGroup(self)
        self.buttons: dict[Tool, QPushButton] = {}
        for kind, (name, tip) in TOOLS.items():
            self.buttons[kind] = one = style.button(name, tip)
            one.setCheckable(True)
            style.narrow(one)
            self.tools.addButton(one)
            one.clicked.connect(lambda _=False, kind=kind: self.choose(kind))
        made = list(self.buttons.values())
        shares = (1, 1, 1, 1)
        return style.stack(
            style.row(*made[:4], stretch=shares), style.row(*made[4:], stretch=shares)
        )

    def _size(self) -> Any:
        self.brush = QDoubleSpinBox()
        self.brush.setDecimals(1)
        self.brush.setSuffix(" mm")
        self.brush.setKeyboardTracking(False)
        self.brush.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.brush.setFixedWidth(72)
        self.brush.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.brush.setToolTip("Brush diameter ([ and ], Shift + wheel, right drag or Alt + drag)")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.flat = style.button("This slice", "The brush is a disc in the slice you see")
        self.ball = style.button("3-D", "The brush is a ball: neighbouring slices are painted too")
        self.shape = QButtonGroup(self)
        for one in (self.flat, self.ball):
            one.setCheckable(True)
            self.shape.addButton(one)
        return style.stack(
            style.row(style.hint("Brush"), self.slider, self.brush, stretch=(2, 5, 0)),
            style.row(self.flat, self.ball, stretch=(1, 1)),
        )

    def _scissors(self) -> QWidget:
        self.cuts = QWidget()
        self.keep = QComboBox()
        self.keep.addItems(["Cut inside", "Keep inside"])
        self.keep.setToolTip("What goes of the chosen structure: what lies inside, or outside")
        self.around = QSpinBox()
        self.around.setRange(-1, 999)
        self.around.setValue(-1)
        self.around.setSpecialValueText("all slices")
        self.around.setToolTip("How far the scissors reach on either side of the slice you see")
        self.around.setPrefix("± ")
        self.around.setSuffix(" slices")
        style.column(self.cuts).addLayout(style.row(self.keep, self.around, stretch=(1, 1)))
        return self.cuts

    def _rules(self) -> Any:
        self.over = QComboBox()
        for over, words in OVERS.items():
            self.over.addItem(words, over)
        self.over.setSizeAdjustPolicy(NARROW)
        self.lock = style.button("Lock", "Nothing changes the chosen structure any more")
        self.lock.setCheckable(True)
        self.pick = style.button("Pick grey", "Click in the image: paint only such grey values (G)")
        self.pick.setCheckable(True)
        self.low, self.high = QDoubleSpinBox(), QDoubleSpinBox()
        for one in (self.low, self.high):
            one.setRange(-GREY_LIMIT, GREY_LIMIT)
            one.setDecimals(0)
            one.setKeyboardTracking(False)
            one.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
            one.setToolTip("Only voxels with grey values in this range are changed")
            one.setMinimumWidth(LEAST_PX)
            style.narrow(one)
        self.no_limit = style.button("Off", "Any grey value")
        style.narrow(self.pick)
        style.narrow(self.no_limit)
        return style.stack(
            style.row(self.over, self.lock, stretch=(1, 0)),
            style.row(self.pick, self.low, self.high, self.no_limit, stretch=(2, 2, 2, 1)),
        )

    def _steps(self) -> Any:
        self.undo = style.button("Undo", "Take back the last step (Ctrl+Z)")
        self.redo = style.button("Redo", "Do it again (Ctrl+Shift+Z)")
        return style.row(self.undo, self.redo, stretch=(1, 1))

    def _connect(self) -> None:
        state, tool, desk = self.state, self.tool, self._desk
        self.brush.valueChanged.connect(lambda size: state.set(size_mm=size))
        self.slider.valueChanged.connect(self._slide)
        self.flat.clicked.connect(lambda: state.set(ball=False))
        self.ball.clicked.connect(lambda: state.set(ball=True))
        self.keep.currentIndexChanged.connect(lambda at: state.set(keep=at == 1))
        self.around.valueChanged.connect(lambda n: state.set(around=None if n < 0 else n))
        self.over.activated.connect(lambda: self._rule(over=self.over.currentData()))
        self.lock.clicked.connect(self._lock)
        self.pick.clicked.connect(lambda on: self.choose(Tool.GREY if on else Tool.BRUSH))
        for one in (self.low, self.high):
            one.valueChanged.connect(self._limit)
        self.no_limit.clicked.connect(lambda: tool.limit(None, None))
        self.undo.clicked.connect(tool.undo)
        self.redo.clicked.connect(tool.redo)
        state.changed.connect(self.show_tool)
        tool.ruled.connect(self._show_rules)
        tool.stepped.connect(self._show_steps)
        tool.said.connect(lambda text: style.say(self.said, text))
        desk.layer_changed.connect(self._show_rules)
        desk.case_changed.connect(self.show_case)

    # -- what the user does -------------------------------------------------------------------

    def choose(self, kind: Tool) -> None:
        """Take a tool up."""
        self._desk.select_labels()
        self.state.set(tool=kind)
        self.show_tool()

    def _slide(self, percent: int) -> None:
        low, high = self.brush.minimum(), self.brush.maximum()
        self.state.set(size_mm=low * (high / low) ** (percent / 100))

    def _rule(self, **changes: Any) -> None:
        editor = self.tool.editor
        if editor is not None:
            editor.rules = replace(editor.rules, **changes)
            self.tool.ruled.emit()

    def _lock(self, on: bool) -> None:
        chosen = self._chosen()
        locked = self._rules_now().locked
        self._rule(locked=locked | {chosen} if on else locked - {chosen})

    def _limit(self, value: float = 0.0) -> None:
        self.tool.limit(self.low.value(), max(self.high.value(), self.low.value()))

    # -- what the user sees -------------------------------------------------------------------

    def show_case(self) -> None:
        """Another scan is open: its steps and its rules."""
        self.show_tool()
        self._show_rules()
        self._show_steps()

    def show_tool(self) -> None:
        brush = self.state.now
        self.tools.setExclusive(False)
        for kind, one in self.buttons.items():
            one.setChecked(kind is brush.tool)
        self.tools.setExclusive(True)
        self.pick.setChecked(brush.tool is Tool.GREY)
        (self.ball if brush.ball else self.flat).setChecked(True)
        self.cuts.setVisible(brush.tool is Tool.SCISSORS)
        sized = brush.tool not in (*OUTLINES, Tool.PENCIL)
        for one in (self.brush, self.slider):
            one.setEnabled(sized)
        blockers = [QSignalBlocker(self.brush), QSignalBlocker(self.slider)]
        low = self.state.smallest_mm
        self.brush.setRange(low, LARGEST_MM)
        self.brush.setSingleStep(low)
        self.brush.setValue(brush.size_mm)
        self.slider.setValue(style.percent_on_log_scale(brush.size_mm, low, LARGEST_MM))
        del blockers

    def _show_rules(self) -> None:
        rules, chosen = self._rules_now(), self._chosen()
        self.over.setCurrentIndex(list(OVERS).index(rules.over))
        self.lock.setChecked(chosen in rules.locked)
        limited = rules.low is not None
        blockers = [QSignalBlocker(self.low), QSignalBlocker(self.high)]
        self.low.setValue(rules.low or 0.0)
        self.high.setValue(rules.high or 0.0)
        del blockers
        for one in (self.low, self.high, self.no_limit):
            one.setEnabled(limited)

    def _show_steps(self) -> None:
        editor = self.tool.editor
        history = None if editor is None else editor.history
        self.undo.setEnabled(history is not None and history.at > 0)
        self.redo.setEnabled(history is not None and history.at < len(history.steps))

    def _rules_now(self) -> Rules:
        return Rules() if self.tool.editor is None else self.tool.editor.rules

    def _chosen(self) -> int:
        return 0 if self._desk.labels is None else int(self._desk.labels.selected_label)
