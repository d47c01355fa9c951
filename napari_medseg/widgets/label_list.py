"""The structures of the case: colour, name, whether it is shown, volume, padlock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QModelIndex, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem

from napari_medseg.volume import Label
from napari_medseg.widgets.style import padlock, swatch

ROW_PX = 24
MOST_ROWS = 7  # more scroll
VALUE = Qt.ItemDataRole.UserRole
NAME, VOLUME, LOCK = range(3)  # columns
LOCK_PX = 24
LOCKED = "Locked: no brush and no tool changes it; click or Alt+L unlocks"
FREE = "Lock it, so that no brush and no tool changes it (click or Alt+L)"


class LabelList(QTreeWidget):
    """One row a structure; the current row is the one that the brush paints.

    Signals
    -------
    chosen
        The number of the structure to paint.
    hidden_changed
        The numbers that are not shown.
    renamed
        A number and its new name.
    lock_asked
        A number whose padlock was clicked, or Alt+L pressed on its row.
    """

    chosen = Signal(int)
    hidden_changed = Signal(object)
    renamed = Signal(int, str)
    lock_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setColumnCount(3)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        header = self.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(VOLUME, QHeaderView.ResizeMode.ResizeToContents)
            header.setMinimumSectionSize(LOCK_PX)
            header.setSectionResizeMode(LOCK, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(LOCK, LOCK_PX)
        self.setToolTip("Click a row to paint it; its box shows or hides it; double click renames")
        self.currentItemChanged.connect(self._on_current)
        self.itemChanged.connect(self._on_item)

    def fill(self, names: Sequence[Label], hidden: frozenset[int], current: int) -> None:
        """Show these structures."""
        blocker = QSignalBlocker(self)
        self.clear()
        for label in names:
            item = QTreeWidgetItem([label.name, "", ""])
            item.setData(0, VALUE, label.value)
            item.setIcon(0, swatch(label.color))
            item.setToolTip(0, label.name)
            item.setFlags(
                item.flags() | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEditable
            )
            shown = label.value not in hidden
            item.setCheckState(0, Qt.CheckState.Checked if shown else Qt.CheckState.Unchecked)
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            item.setSizeHint(0, QSize(0, ROW_PX))
            self.addTopLevelItem(item)
        self.setFixedHeight(max(min(len(names), MOST_ROWS), 2) * ROW_PX + 4)
        blocker.unblock()
        self.choose(current)

    def choose(self, value: int) -> None:
        """Mark the structure that the brush paints; says nothing itself."""
        blocker = QSignalBlocker(self)
        for item in self._items():
            if item.data(0, VALUE) == value:
                self.setCurrentItem(item)
                break
        else:
            self.setCurrentItem(None)
        blocker.unblock()

    def show_volumes(self, volumes_ml: Mapping[int, float]) -> None:
        blocker = QSignalBlocker(self)
        for item in self._items():
            item.setText(1, millilitres(volumes_ml.get(item.data(0, VALUE), 0.0)))
        blocker.unblock()

    def show_locked(self, locked: frozenset[int]) -> None:
        """A closed padlock for these structures, an open one for the others."""
        blocker = QSignalBlocker(self)
        for item in self._items():
            on = item.data(0, VALUE) in locked
            item.setIcon(LOCK, padlock(on))
            item.setToolTip(LOCK, LOCKED if on else FREE)
            item.setData(LOCK, Qt.ItemDataRole.AccessibleTextRole, "locked" if on else "not locked")
        blocker.unblock()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802  Qt's name
        item = self.currentItem()
        alt = Qt.KeyboardModifier.AltModifier
        if item is None or event is None or (event.key(), event.modifiers()) != (Qt.Key.Key_L, alt):
            super().keyPressEvent(event)
        else:
            self.lock_asked.emit(item.data(0, VALUE))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802  Qt's name
        """A padlock is clicked without that its structure is the one to paint from then on."""
        item = None if event is None else self.itemAt(event.pos())
        if item is None or event is None or self.columnAt(event.pos().x()) != LOCK:
            super().mousePressEvent(event)
        elif event.button() == Qt.MouseButton.LeftButton:
            self.lock_asked.emit(item.data(0, VALUE))

    def edit(self, index: QModelIndex, *how: Any) -> bool:  # type: ignore[override]  # has two
        """Names alone are typed."""
        return index.column() == NAME and bool(super().edit(index, *how))

    def _items(self) -> list[QTreeWidgetItem]:
        found = (self.topLevelItem(row) for row in range(self.topLevelItemCount()))
        return [item for item in found if item is not None]

    def _on_current(self, item: QTreeWidgetItem | None, before: QTreeWidgetItem | None) -> None:
        if item is not None:
            self.chosen.emit(item.data(0, VALUE))

    def _on_item(self, item: QTreeWidgetItem, column: int) -> None:
        off = Qt.CheckState.Unchecked
        hidden = {one.data(0, VALUE) for one in self._items() if one.checkState(0) == off}
        self.renamed.emit(item.data(0, VALUE), item.text(0))
        self.hidden_changed.emit(frozenset(hidden))


def millilitres(volume_ml: float) -> str:
    """Three digits that count: "0.012 ml", "12.3 ml", "1 234 ml"."""
    if volume_ml >= 100:
        return f"{volume_ml:,.0f} ml".replace(",", "\u202f")
    return f"{volume_ml:.1f} ml" if volume_ml >= 10 else f"{volume_ml:.2f} ml"
