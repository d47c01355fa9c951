"""All keys on one searchable sheet; a double click on a key changes it."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QKeySequenceEdit,
    QLineEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.errors import InputError
from napari_medseg.widgets import style
from napari_medseg.widgets.keys import KeyMap, napari_keys, plain

COLUMNS = ("Where", "What", "Keys")
SIZE = (560, 640)
KEYS = 2


class KeySheet(QDialog):
    """Stays open beside the work; typing narrows it down."""

    def __init__(self, keymap: KeyMap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keymap = keymap
        self.setWindowTitle("Keys")
        self.resize(*SIZE)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search: brush, undo, Ctrl+Z…")
        self.search.setClearButtonEnabled(True)
        self.table = QTableWidget(0, len(COLUMNS))
        self.table.setHorizontalHeaderLabels(list(COLUMNS))
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        if (rows := self.table.verticalHeader()) is not None:
            rows.hide()
        if (header := self.table.horizontalHeader()) is not None:
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.said = style.hint("Double-click a key to change it. napari's own are grey.")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.reset = buttons.addButton("Default keys", QDialogButtonBox.ButtonRole.ResetRole)
        layout = QVBoxLayout(self)
        for one in (self.search, self.table, self.said, buttons):
            layout.addWidget(one)
        self.search.textChanged.connect(self._narrow)
        self.table.cellDoubleClicked.connect(self._edit)
        if self.reset is not None:
            self.reset.clicked.connect(keymap.reset)
        buttons.rejected.connect(self.reject)
        keymap.changed.connect(self._fill)
        self._fill()

    def _fill(self) -> None:
        self.table.setRowCount(0)
        for command in self._keymap.commands:
            keys = ", ".join(map(plain, self._keymap.keys_of(command.name)))
            self._row((command.group, command.words, keys), command.name)
        for words, own in napari_keys():
            self._row(("napari", words.removeprefix("napari's ").capitalize(), ", ".join(own)), "")
        self.table.resizeColumnToContents(0)
        self.table.resizeColumnToContents(KEYS)
        self._narrow(self.search.text())

    def _row(self, texts: tuple[str, ...], name: str) -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, name)
            if not name:
                item.setForeground(Qt.GlobalColor.gray)
            self.table.setItem(row, column, item)

    def _narrow(self, text: str) -> None:
        """Show the rows that hold every word."""
        words = text.lower().split()
        for row in range(self.table.rowCount()):
            cells = [self.table.item(row, column) for column in range(len(COLUMNS))]
            line = " ".join(cell.text() for cell in cells if cell is not None).lower()
            self.table.setRowHidden(row, not all(word in line for word in words))

    def _edit(self, row: int, column: int = KEYS) -> None:
        item = self.table.item(row, KEYS)
        name = "" if item is None else str(item.data(Qt.ItemDataRole.UserRole))
        if not name:
            style.say(self.said, "napari's own keys are changed in its preferences.")
            return
        field = QKeySequenceEdit()
        field.editingFinished.connect(lambda: self._take(name, field.keySequence()))
        self.table.setCellWidget(row, KEYS, field)
        field.setFocus()
        style.say(self.said, "Press the new key; Backspace takes the key away.")

    def _take(self, name: str, keys: QKeySequence) -> None:
        text = keys.toString(QKeySequence.SequenceFormat.PortableText).split(", ")[0]
        new = () if text in ("", "Backspace") else (text,)
        try:
            self._keymap.rebind(name, new)
        except InputError as error:
            self._fill()
            style.say(self.said, str(error))
        else:
            style.say(self.said, f"Kept: {text or 'no key'}.")
