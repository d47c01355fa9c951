"""The structures of the case: colour, name, whether it is shown, volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem

from napari_medseg.volume import Label
from napari_medseg.widgets.style import swatch

ROW_PX = 24
MOST_ROWS = 7  # more scroll
VALUE = Qt.ItemDataRole.UserRole


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
    """

    chosen = Signal(int)
    hidden_changed = Signal(object)
    renamed = Signal(int, str)

    def __init__(self) -> None:
        super().__init__()
        self.setColumnCount(2)
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
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.setToolTip("Click a row to paint it; its box shows or hides it; double click renames")
        self.currentItemChanged.connect(self._on_current)
        self.itemChanged.connect(self._on_item)

    def fill(self, names: Sequence[Label], hidden: frozenset[int], current: int) -> None:
        """Show these structures."""
        blocker = QSignalBlocker(self)
        self.clear()
        for label in names:
            item = QTreeWidgetItem([label.name, ""])
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
