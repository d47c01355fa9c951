"""What a person holds: the brush, a smart tool or nothing; their keys; and what it took so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_medseg.correction.store import data_folder
from napari_medseg.correction.tools.tool import Wants
from napari_medseg.widgets.brush_keys import commands_of
from napari_medseg.widgets.brush_state import Tool as Hold
from napari_medseg.widgets.brush_tool import BrushTool
from napari_medseg.widgets.errands import NextError
from napari_medseg.widgets.focus import Focus
from napari_medseg.widgets.keys import Command, KeyMap
from napari_medseg.widgets.right import Right
from napari_medseg.widgets.tool_run import ToolRun

if TYPE_CHECKING:
    from napari_medseg.widgets.desk import Desk

GROUP = "Correct"


class Toolbox(QObject):
    """The tools of one desk; a brush and a smart tool are never in hand together."""

    def __init__(self, desk: Desk, brush: BrushTool) -> None:
        super().__init__(desk)
        self._desk, self.brush = desk, brush
        self.keys = KeyMap(data_folder() / "keys.json", self)
        self.smart = ToolRun(desk)
        self.errors = NextError(desk, self.smart)
        self.right = Right(desk, brush)
        self.focus = Focus(desk)
        self.keys.register(*commands_of(brush), *self._commands())
        brush.bind_keys = self.keys.attach
        self.smart.changed.connect(self._on_smart)
        brush.state.changed.connect(self._on_brush)
        desk.slice_changed.connect(self._on_slice)

    def _commands(self) -> tuple[Command, ...]:
        take, leave = (GROUP, ("Enter",), self._enter), (GROUP, ("Escape",), self._escape)
        return (
            Command("confirm", "This slice is right", GROUP, ("C",), self._confirm),
            Command("piece_right", "This piece is right", GROUP, ("Shift-C",), self.right.piece),
            Command(
                "structure_right", "This structure is right", GROUP, ("Alt-C",),
                self.right.structure,
            ),
            Command("lock", "Lock the chosen structure, or not", GROUP, ("Alt-L",), self._lock),
            Command("next_error", "Next likely error", GROUP, ("N",), self.errors.go_on),
            Command("close_outline", "Close the polygon; apply a proposal", *take),
            Command("last_corner", "Last corner away", GROUP, ("Backspace",), self._step_back),
            Command("cancel", "Cancel the stroke or the proposal", *leave),
        )  # fmt: skip

    def _confirm(self) -> None:
        self.focus.settle()
        self._desk.mark_asked.emit()

    def _lock(self) -> None:
        if self._desk.labels is not None:
            self.brush.lock(int(self._desk.labels.selected_label))

    def _enter(self) -> None:
        if not self._desk.try_to(self.smart.finish):
            self.brush.close_outline()

    def close_line(self) -> None:
        """A double-click ends a line of clicks."""
        if self.smart.tool is not None and self.smart.tool.wants is Wants.ANCHORS:
            self._desk.try_to(self.smart.finish)

    def _step_back(self) -> None:
        if not self.smart.step_back():
            self.brush.step_back()

    def _escape(self) -> None:
        self.right.pick(False)
        if self.smart.tool is not None:
            self.smart.cancel()
        self.brush.cancel()

    def _on_smart(self) -> None:
        """A tool that is pointed with takes the brush's place."""
        tool = self.smart.tool
        if tool is not None:
            self.right.pick(False)
        if tool is not None and tool.wants is not Wants.NOTHING:
            self.brush.state.set(tool=Hold.PAN)

    def _on_brush(self) -> None:
        """A brush takes a smart tool's place."""
        tool = self.smart.tool
        if self.brush.state.now.tool is not Hold.PAN and tool is not None:
            self.smart.put_away()

    def _on_slice(self) -> None:
        viewed, editor = self._desk.viewed_slice(), self._desk.workbench.editor
        if viewed is not None and editor is not None:
            editor.visit(*viewed)
