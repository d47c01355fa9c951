"""All steps since the scan was opened, the last on top; a click goes to any of them."""

from __future__ import annotations

from datetime import datetime

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

from napari_medseg.correction.history import Done
from napari_medseg.widgets import style
from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.tally import words

SHOWN = 200  # steps; a click on the last of them brings the ones before
HEIGHT = 132


class HistoryPanel(QWidget):
    """The steps of the open case; those that were taken back are grey."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.list = QListWidget()
        self.list.setFixedHeight(HEIGHT)
        self.list.setToolTip("Click a step to go back to it, or forth; nothing is lost")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        rows = style.column(self)
        rows.addWidget(self.list)
        self.list.itemClicked.connect(self._go)
        desk.case_changed.connect(self._fill)
        desk.brush.stepped.connect(self._fill)
        self._fill()

    def _fill(self) -> None:
        editor = self._desk.workbench.editor
        self.list.clear()
        if editor is None:
            return
        steps, at = editor.history.steps, editor.history.at
        first = max(0, min(at, len(steps)) - SHOWN)
        for number in range(len(steps), first, -1):
            self._add(step_words(steps[number - 1]), number, at)
        self._add("As it was opened" if first == 0 else f"{first} earlier steps", first, at)

    def _add(self, text: str, number: int, at: int) -> None:
        item = QListWidgetItem(("▸ " if number == at else "   ") + text)
        item.setData(Qt.ItemDataRole.UserRole, number)
        if number > at:
            item.setForeground(Qt.GlobalColor.gray)
        self.list.addItem(item)

    def _go(self, item: QListWidgetItem) -> None:
        editor = self._desk.workbench.editor
        if editor is not None:
            self._desk.try_to(editor.go_to, int(item.data(Qt.ItemDataRole.UserRole)))


def step_words(step: Done) -> str:
    """One line of the list."""
    when = datetime.fromtimestamp(step.when)
    changed = f", {words(step.voxels, 'voxel')}" if step.voxels else ""
    return f"{when:%H:%M:%S}  {step.name}{changed}"
