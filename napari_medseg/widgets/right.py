"""A person's word on the open mask, by button or key: this piece, or this structure, is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_medseg.correction.tools.tool import Wants
from napari_medseg.correction.vouching import AROUND_MM
from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.notices import try_to
from napari_medseg.widgets.pointer import Pointer
from napari_medseg.widgets.tally import words
from napari_medseg.workbench.vouching import Vouch

if TYPE_CHECKING:
    from napari_medseg.widgets.brush_tool import BrushTool
    from napari_medseg.widgets.desk import Desk

PROMPT = "Click on the piece that is right; Esc leaves it."


class Right(QObject):
    """What one desk's user calls right.

    Attributes
    ----------
    picking
        Whether the next click names a piece.
    said
        A sentence on what was done; "" for nothing.

    Signals
    -------
    changed
        One of them is other than before.
    """

    changed = Signal()

    def __init__(self, desk: Desk, brush: BrushTool) -> None:
        super().__init__(desk)
        self._desk, self._brush = desk, brush
        self.picking, self.said = False, ""
        self._held = Tool.PAN
        self._pointer = Pointer(self)
        self._pointer.pointed.connect(self._on_pointed)
        brush.state.changed.connect(self._on_brush)
        desk.case_changed.connect(self._on_case)

    def structure(self) -> None:
        """The chosen structure is right everywhere; again: it is not."""
        layer, editor = self._desk.labels, self._desk.workbench.editor
        if layer is not None and editor is not None:
            self._say(editor.voucher.toggle_structure, int(layer.selected_label))

    def piece(self) -> None:
        """The piece under the mouse is right; where the mouse is over no view it is asked for."""
        views = self._desk.views
        at = None if views is None else views.hover
        if views is None or at is None:
            self.pick(True)
        else:
            self._name(views.voxel(at))

    def pick(self, on: bool) -> None:
        """Wait for a click on a piece, or no more."""
        if on == self.picking or (on and self._desk.labels is None):
            return
        self.picking = on
        if on:
            self._held = self._brush.state.now.tool
            self._brush.state.set(tool=Tool.PAN)
            self._desk.select_labels()
            self._pointer.watch(self._brush.layers, Wants.CLICK)
            self.said = PROMPT
        else:
            self._pointer.let_go()
            self._brush.state.set(tool=self._held)
            self.said = ""
        self.changed.emit()

    def _on_pointed(self, points: Any, layer: Any) -> None:
        QTimer.singleShot(0, lambda: self._picked(points))  # napari is done with the click first

    def _picked(self, points: Any) -> None:
        if self.picking:
            self.pick(False)
            if len(points):
                self._name(tuple(int(n) for n in points[-1]))

    def _name(self, voxel: tuple[int, ...]) -> None:
        editor = self._desk.workbench.editor
        if editor is not None:
            self._say(editor.voucher.toggle_piece, voxel)

    def _say(self, call: Callable[..., Vouch], what: object) -> None:
        QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            done = try_to(call, what)
        finally:
            QApplication.restoreOverrideCursor()
        self.said = "" if done is None else self._sentence(done)
        self.changed.emit()

    def _sentence(self, done: Vouch) -> str:
        case = self._desk.case
        names = {} if case is None else {one.value: one.name for one in case.names}
        name = names.get(done.label, f"label {done.label}")
        counted = words(done.voxels, "voxel")
        if not done.on:
            return f"{name}: taken back, {counted}."
        return f"{name}: {counted} confirmed, with the background within {AROUND_MM:g} mm."

    def _on_brush(self) -> None:
        """A tool is taken up: no click is waited for any more."""
        if self.picking and self._brush.state.now.tool is not Tool.PAN:
            self._held = self._brush.state.now.tool
            self.pick(False)

    def _on_case(self) -> None:
        self.pick(False)
        self.said = ""
        self.changed.emit()
