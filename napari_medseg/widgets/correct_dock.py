"""Second dock: paint what the model missed, erase what it invented, say what is right."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from napari import Viewer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QInputDialog, QWidget

from napari_medseg.widgets import style
from napari_medseg.widgets.attach import desk_of, show_dock, watch_window
from napari_medseg.widgets.brush_panel import BrushPanel
from napari_medseg.widgets.effort_sheet import EffortSheet
from napari_medseg.widgets.history_panel import HistoryPanel
from napari_medseg.widgets.key_sheet import KeySheet
from napari_medseg.widgets.label_list import LabelList
from napari_medseg.widgets.outlook_panel import SlicePanel
from napari_medseg.widgets.saving import save_mask, show_saving
from napari_medseg.widgets.tally import words
from napari_medseg.widgets.tool_panel import ToolPanel

AXES = {0: "axial", 1: "coronal", 2: "sagittal"}


class CorrectDock(style.Column):
    """Structures, tools, "this slice is right", what was changed."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.desk = desk_of(napari_viewer)
        self.closed = style.hint("Segment a scan first, or start with an empty mask.")
        self.start = style.button("Start with an empty mask", "Paint from nothing, without a model")
        self.body = QWidget()
        inner = style.column(self.body)
        inner.addLayout(self._labels())
        self.panel = BrushPanel(self.desk)
        inner.addWidget(style.heading("Tool"))
        inner.addWidget(self.panel)
        self.slices = SlicePanel(self.desk)
        self.smart = ToolPanel(self.desk.toolbox, self.slices.next)
        inner.addWidget(self.smart)
        inner.addWidget(self.slices)
        inner.addLayout(self._marks())
        self.history = HistoryPanel(self.desk)
        inner.addWidget(style.folded("History", self.history))
        inner.addLayout(self._saved())
        self.add(self.closed, self.start, self.body)
        self.rows.addStretch(1)
        self.next = style.button("Next: fine-tune  ▸", "Let the model learn from your corrections")
        self.save = style.button("Save mask…")
        self.add(style.row(self.save, self.next, stretch=(1, 1)))
        self._connect()
        self._show_case()

    # -- parts --------------------------------------------------------------------------------

    def _labels(self) -> Any:
        self.list = LabelList()
        self.new = style.button("+ Add", "A new structure to paint")
        title = style.row(style.heading("Structures"), self.new, stretch=(1,))
        return style.stack(title, self.list)

    def _marks(self) -> Any:
        self.mark = style.button("This slice is right", "You vouch for all of this slice (C)")
        self.mark.setCheckable(True)
        self.marked, self.word = style.hint(), style.hint(color="")
        again = "later predictions leave it, the model learns it; again takes it back"
        self.piece = style.button(
            "This piece is right", f"Then click on it (Shift+C: under the mouse); {again}"
        )
        self.piece.setCheckable(True)
        self.whole = style.button(
            "This structure is right", f"The chosen one, everywhere (Alt+C); {again}"
        )
        for one in (self.piece, self.whole):
            style.narrow(one)
        more = style.row(self.piece, self.whole, stretch=(4, 5))  # as long as their words
        return style.stack(style.heading("Right"), self.mark, more, self.word, self.marked)

    def _saved(self) -> Any:
        self.changed = style.hint()
        self.saved = style.hint()
        self.effort = style.button("Effort…", "Time, strokes and tools of this case; CSV of all")
        self.keys = style.button("Keys…", "All keys on a sheet; each can be changed")
        self.effort.clicked.connect(self._show_effort)
        self.keys.clicked.connect(self._show_keys)
        sheets = style.row(self.effort, self.keys, stretch=(1, 1))
        return style.stack(style.heading("So far"), self.changed, self.saved, sheets)

    def _connect(self) -> None:
        desk = self.desk
        self.start.clicked.connect(self._start_empty)
        self.list.chosen.connect(self._choose)
        self.list.hidden_changed.connect(desk.hide)
        self.list.renamed.connect(lambda value, name: self.desk.try_to(desk.rename, value, name))
        self.list.lock_asked.connect(desk.brush.lock)
        desk.brush.ruled.connect(self._show_locked)
        self.new.clicked.connect(self._add_label)
        self.mark.clicked.connect(self.toggle_mark)
        self.save.clicked.connect(lambda: save_mask(self, desk))
        self.next.clicked.connect(self._go_on)
        desk.case_changed.connect(self._show_case)
        desk.names_changed.connect(self._show_names)
        desk.volumes_due.connect(self._show_volumes)
        desk.layer_changed.connect(self._show_tool)
        desk.toolbox.focus.changed.connect(self._show_slice)
        desk.marks_changed.connect(self._show_slice)
        desk.marks_changed.connect(self._show_changes)
        desk.corrected.connect(self._show_changes)
        desk.saved.connect(self._show_changes)
        desk.mark_asked.connect(self.toggle_mark)
        self.right = desk.toolbox.right
        self.piece.clicked.connect(self.right.pick)
        self.whole.clicked.connect(self.right.structure)
        self.right.changed.connect(self._show_word)
        desk.prediction.changed.connect(self._show_saving)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        watch_window(self, self.desk)
        super().showEvent(event)

    # -- what the user does -------------------------------------------------------------------

    def _start_empty(self) -> None:
        image = self.desk.first_image()
        if image is not None:
            self.desk.try_to(self.desk.open_scan, image)

    def _choose(self, value: int) -> None:
        if self.desk.labels is not None:
            self.desk.labels.selected_label = value

    def _add_label(self) -> None:
        name, yes = QInputDialog.getText(self, "Add a structure", "Name of the structure:")
        if yes:
            self.desk.try_to(self.desk.add_label, name)

    def toggle_mark(self) -> None:
        """Confirm the slice of the view at hand, or take that back."""
        self.desk.try_to(self.desk.toggle_mark)
        self._show_slice()

    def _show_effort(self) -> None:
        bench = self.desk.workbench
        if bench.editor is not None:
            EffortSheet(bench.editor.effort, bench.efforts(), self).show()

    def _show_keys(self) -> None:
        KeySheet(self.desk.toolbox.keys, self).show()

    def _go_on(self) -> None:
        show_dock(self.desk.viewer, "Fine-tune")

    # -- what the user sees -------------------------------------------------------------------

    def _show_case(self) -> None:
        is_open = self.desk.labels is not None
        self.body.setVisible(is_open)
        self.closed.setVisible(not is_open)
        self.start.setVisible(not is_open and self.desk.first_image() is not None)
        self._show_saving()
        if is_open:
            for show in (self._show_names, self._show_tool, self._show_slice, self._show_changes):
                show()
            self._show_word()

    def _show_saving(self) -> None:
        show_saving(self.save, self.desk)

    def _show_names(self) -> None:
        case, layer = self.desk.case, self.desk.labels
        if case is not None and layer is not None:
            self.list.fill(case.names, self.desk.hidden, layer.selected_label)
            self._show_locked()
            self._show_volumes()

    def _show_locked(self) -> None:
        editor = self.desk.workbench.editor
        self.list.show_locked(frozenset() if editor is None else editor.rules.locked)

    def _show_volumes(self) -> None:
        if self.desk.labels is not None:
            self.list.show_volumes(self.desk.workbench.volumes_ml())

    def _show_tool(self) -> None:
        if self.desk.labels is not None:
            self.list.choose(self.desk.labels.selected_label)

    def _show_slice(self) -> None:
        if self.desk.labels is None:
            return
        viewed = self.desk.toolbox.focus.viewed()
        self.mark.setEnabled(viewed is not None)
        axis, index = viewed or (0, -1)
        right = self.desk.workbench.confirmed_slices(axis)
        here = index in right
        self.mark.setChecked(here)
        self.mark.setText(f"{'✓  ' if here else ''}This {AXES[axis]} slice is right")
        self.mark.setStyleSheet(f"background: {style.GOOD}; color: white;" if here else "")
        count = self.desk.labels.data.shape[axis]
        editor = self.desk.workbench.editor
        pieces = 0 if editor is None else editor.voucher.voxels
        more = f", and {words(pieces, 'voxel')} of pieces and structures" if pieces else ""
        self.marked.setText(f"{len(right)} of {count} {AXES[axis]} slices confirmed{more}")

    def _show_word(self) -> None:
        self.piece.setChecked(self.right.picking)
        style.say(self.word, self.right.said)

    def _show_changes(self) -> None:
        tally = self.desk.tally
        if tally is None:
            return
        if tally.voxels == 0:
            self.changed.setText("Nothing changed yet: paint, erase, or confirm a slice.")
        else:
            by_you = f"{words(tally.voxels, 'voxel')} on {words(tally.slices, 'slice')}"
            self.changed.setText(f"Yours: {by_you}. No prediction will overwrite them.")
        style.say(self.saved, saved_words(self.desk.saved_at))


def saved_words(when: datetime | None) -> str:
    """The state of the autosave."""
    return "" if when is None else f"Saved {when:%H:%M:%S}"
