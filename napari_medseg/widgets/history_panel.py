"""All steps since the scan was opened, the last on top; a click goes to any of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QListView, QWidget

from napari_medseg.correction.history import Done, History
from napari_medseg.widgets import style
from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.tally import words

HEIGHT = 132
ROOT = QModelIndex()
GREY = QColor(Qt.GlobalColor.gray)


class Steps(QAbstractListModel):
    """A history as rows, the first one “As it was opened” at the bottom.

    A stroke adds a row and marks it; no other row is touched, however many there are.
    """

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._history: History | None = None
        self._count = self._at = 0  # as shown
        self._last: Done | None = None

    def rowCount(self, parent: QModelIndex = ROOT) -> int:  # noqa: N802  Qt's name
        return 0 if self._history is None or parent.isValid() else self._count + 1

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        number = self.number(index)
        if self._history is None or not 0 <= number <= len(self._history.steps):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            step = self._history.steps[number - 1] if number else None
            text = "As it was opened" if step is None else step_words(step)
            return ("▸ " if number == self._at else "   ") + text
        return GREY if role == Qt.ItemDataRole.ForegroundRole and number > self._at else None

    def number(self, index: QModelIndex) -> int:
        """How many steps are done where a row is the current one."""
        return self._count - index.row()

    def show_history(self, history: History | None) -> None:
        """Follow a history, or another one."""
        if history is None or history is not self._history:
            self.beginResetModel()
            self._history = history
            self._take()
            self.endResetModel()
        elif len(history.steps) == history.at and not self._same(history):
            self._add(history)
        else:
            self._mark(history.at)

    def _same(self, history: History) -> bool:
        """Whether no step came; where its last one went to a file meanwhile it is another."""
        steps = history.steps
        return len(steps) == self._count and (not steps or steps[-1] is self._last)

    def _add(self, history: History) -> None:
        """A step was done: what was taken back goes, and a row comes on top."""
        if len(history.steps) != self._at + 1:
            self.beginResetModel()
            self._take()
            self.endResetModel()
            return
        if self._count > self._at:
            self.beginRemoveRows(ROOT, 0, self._count - self._at - 1)
            self._count = self._at
            self.endRemoveRows()
        self.beginInsertRows(ROOT, 0, 0)
        self._take()
        self.endInsertRows()
        self._changed(self._at - 1, self._at)

    def _mark(self, at: int) -> None:
        """One stands elsewhere among the same steps."""
        low, high = sorted((at, self._at))
        self._at = at
        if high > low:
            self._changed(low, high)

    def _changed(self, low: int, high: int) -> None:
        self.dataChanged.emit(self.index(self._count - high), self.index(self._count - low))

    def _take(self) -> None:
        steps = [] if self._history is None else self._history.steps
        self._count, self._last = len(steps), steps[-1] if steps else None
        self._at = 0 if self._history is None else self._history.at


class HistoryPanel(QWidget):
    """The steps of the open case; those that were taken back are grey."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.list, self.steps = QListView(), Steps(self)
        self.list.setModel(self.steps)
        self.list.setUniformItemSizes(True)
        self.list.setFixedHeight(HEIGHT)
        self.list.setToolTip("Click a step to go back to it, or forth; nothing is lost")
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setEditTriggers(QListView.EditTrigger.NoEditTriggers)
        rows = style.column(self)
        rows.addWidget(self.list)
        self.list.clicked.connect(self._go)
        desk.case_changed.connect(self._show)
        desk.brush.stepped.connect(self._show)
        self._show()

    def _show(self) -> None:
        editor = self._desk.workbench.editor
        self.steps.show_history(None if editor is None else editor.history)

    def _go(self, index: QModelIndex) -> None:
        editor = self._desk.workbench.editor
        if editor is not None:
            self._desk.try_to(editor.go_to, self.steps.number(index))


def step_words(step: Done) -> str:
    """One line of the list."""
    when = datetime.fromtimestamp(step.when)
    changed = f", {words(step.voxels, 'voxel')}" if step.voxels else ""
    return f"{when:%H:%M:%S}  {step.name}{changed}"
