"""Smart tools: choose one, turn its knobs, look at what it proposes, say yes or no."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from itertools import groupby
from typing import Any, get_args, get_type_hints

from qtpy.QtWidgets import QMenu, QPushButton, QVBoxLayout, QWidget

from napari_medseg.correction.tools.catalogue import catalogue
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.widgets import style
from napari_medseg.widgets.forms import Form
from napari_medseg.widgets.notices import try_to
from napari_medseg.widgets.toolbox import Toolbox

CHOOSE = "Smart tools"
PROMPTS = {
    Wants.NOTHING: "Press Preview.",
    Wants.CLICK: "Click in the image.",
    Wants.ANCHORS: "Click along the edge; Enter or a double click closes it, Backspace goes back.",
    Wants.STROKE: "Draw a rough stroke.",
    Wants.OUTLINE: "Draw around it in the slice.",
    Wants.SEEDS: "Draw a stroke in each structure, choosing it in the list first.",
}


class ToolPanel(QWidget):
    """The tool in hand, as `ToolRun` has it; `beside` are buttons that share its first row."""

    def __init__(self, toolbox: Toolbox, *beside: QPushButton) -> None:
        super().__init__()
        self.run, self.errors = toolbox.smart, toolbox.errors
        rows = style.column(self)
        self.next = style.button("Next error", "To the most doubtful place, with a fix (N)")
        self.doubt = style.hint(color="")
        self.choose = QPushButton(CHOOSE)
        self.choose.setToolTip("Tools that propose a change, which you accept or not")
        self.menu = menu_of(catalogue(), self.run.choose)
        self.choose.setMenu(self.menu)
        style.narrow(self.choose)
        self.tip, self.said = style.hint(), style.hint(color="")
        self.body = QWidget()
        inner = style.column(self.body)
        self._form: Form[Any] | None = None
        self._form_place = QVBoxLayout()
        self.preview = style.button("Preview", "Show what the tool would change")
        self.apply = style.button("Apply ⏎", "Change the mask as shown (Enter); one step to undo")
        self.cancel = style.button("Cancel", "Leave the mask as it is (Esc)")
        inner.addWidget(self.tip)
        inner.addLayout(self._form_place)
        inner.addLayout(style.row(self.preview, self.apply, self.cancel, stretch=(1, 1, 1)))
        inner.addWidget(self.said)
        for one in (self.next, *beside):
            style.narrow(one)
        first = (4, 3, *(3 for _ in beside))  # as long as their words
        rows.addLayout(style.row(self.choose, self.next, *beside, stretch=first))
        rows.addWidget(self.doubt)
        rows.addWidget(self.body)
        self._shown: Tool | None = None
        self.preview.clicked.connect(self.run.preview)
        self.apply.clicked.connect(self._apply)
        self.cancel.clicked.connect(self._cancel)
        self.run.changed.connect(self._show)
        self.next.clicked.connect(self.errors.go_on)
        self.errors.changed.connect(self._show_doubt)
        self._show()
        self._show_doubt()

    def _apply(self) -> None:
        try_to(self.run.apply)

    def _cancel(self) -> None:
        """Away with the proposal; where there is none, with the tool."""
        if self.run.proposal is None and not self.run.busy:
            self.run.put_away()
        else:
            self.run.cancel()

    def _show_doubt(self) -> None:
        self.next.setEnabled(not self.errors.busy)
        style.say(self.doubt, "Looking…" if self.errors.busy else self.errors.said)

    def _show(self) -> None:
        tool = self.run.tool
        if tool is not self._shown:
            self._shown = tool
            self._build_form(tool)
            self.choose.setText(CHOOSE if tool is None else tool.name)
            known = tool is None or tool.tip == self.errors.said  # stands above already
            style.say(self.tip, "" if known or tool is None else tool.tip)
        self.body.setVisible(tool is not None)
        if tool is None:
            return
        ready = self.run.proposal is not None and self.run.proposal.final
        self.preview.setVisible(tool.wants is Wants.NOTHING)
        self.preview.setEnabled(not self.run.busy)
        self.apply.setEnabled(ready)
        style.paint_primary(self.apply) if ready else self.apply.setStyleSheet("")
        waiting = "Computing…" if self.run.busy else PROMPTS[tool.wants]
        style.say(self.said, self.run.said or waiting)

    def _build_form(self, tool: Tool | None) -> None:
        if self._form is not None:
            self._form_place.removeWidget(self._form)
            self._form.hide()  # it goes later, and would shine through the next one until then
            self._form.deleteLater()
            self._form = None
        if tool is None or not shown_knobs(tool.knobs):
            return
        knobs = self.run.knobs  # as they fit the scan
        self._form = Form(knobs, {name: words_of(name) for name in shown_knobs(knobs)})
        for widget in self._form.fields.values():
            widget.changed.connect(self._turn)
        self._form_place.addWidget(self._form)

    def _turn(self, value: object = None) -> None:
        if self._form is not None:
            self.run.turn(self._form.value())


def shown_knobs(knobs: Any) -> list[str]:
    """The fields that a person turns: all that are not marked as invisible."""
    hints = get_type_hints(type(knobs), include_extras=True)
    marks = {name: get_args(hint)[1:] for name, hint in hints.items()}
    hidden = {name for name, one in marks.items() if any(m == {"visible": False} for m in one)}
    return [one.name for one in fields(knobs) if one.name not in hidden]


def words_of(name: str) -> str:
    """A knob's field as words: "radius_mm" is "Radius (mm)"."""
    for unit in ("mm", "ml", "hu"):
        if name.endswith(f"_{unit}"):
            return f"{name[: -len(unit) - 1].replace('_', ' ').capitalize()} ({unit})"
    return name.replace("_", " ").capitalize()


def menu_of(tools: Iterable[Tool], chosen: Any) -> QMenu:
    """All tools, each group a menu of its own."""
    menu = QMenu()
    menu.setToolTipsVisible(True)
    for group, members in groupby(sorted(tools, key=lambda t: t.group), key=lambda t: t.group):
        part = menu.addMenu(group)
        assert part is not None
        part.setToolTipsVisible(True)
        for tool in members:
            action = part.addAction(tool.name)
            assert action is not None
            action.setToolTip(tool.tip)
            action.triggered.connect(lambda _=False, tool=tool: chosen(tool))
    return menu
