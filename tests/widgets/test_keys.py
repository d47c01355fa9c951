"""Keys in a real window: pressed, searched, changed and kept."""

from __future__ import annotations

import numpy as np
import pytest
from mouse import canvas_of
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtTest import QTest

from napari_medseg.errors import InputError
from napari_medseg.widgets.key_sheet import KeySheet
from napari_medseg.widgets.keys import Command, KeyMap, plain


@pytest.fixture
def pressed() -> list[str]:
    return []


@pytest.fixture
def keymap(tmp_path, pressed) -> KeyMap:
    made = KeyMap(tmp_path / "keys.json")
    made.register(
        Command("tick", "Tick a box", "Test", ("Control-Alt-J",), lambda: pressed.append("tick")),
        Command(
            *("peek", "Peek under the mask", "Test", ("H",), lambda: pressed.append("down")),
            lambda: pressed.append("up"),
        ),
    )
    return made


def test_a_key_works_on_the_layer_also_where_it_came_later(keymap, pressed, viewer, drag):
    layer = viewer.add_labels(np.zeros((4, 8, 8), np.uint8))
    keymap.attach(layer)
    keymap.register(Command("late", "Late", "Test", ("J",), lambda: pressed.append("late")))
    canvas = canvas_of(viewer)
    QTest.keyClick(canvas, Qt.Key.Key_J)
    QTest.keyPress(canvas, Qt.Key.Key_H)
    assert pressed == ["late", "down"]
    QTest.keyRelease(canvas, Qt.Key.Key_H)
    assert pressed == ["late", "down", "up"]


def test_a_changed_key_is_kept_and_the_old_one_does_nothing(keymap, pressed, viewer, tmp_path):
    layer = viewer.add_labels(np.zeros((4, 8, 8), np.uint8))
    keymap.attach(layer)
    keymap.rebind("peek", ("K",))
    assert {plain(str(key)) for key in layer.keymap} == {"Ctrl+Alt+J", "K"}
    again = KeyMap(tmp_path / "keys.json")
    again.register(*keymap.commands)
    assert again.keys_of("peek") == ("K",)
    again.reset()
    assert again.keys_of("peek") == ("H",)


@pytest.mark.parametrize("key", ["H", "Control-Alt-J", "Space", "Ctrl+R"])
def test_a_key_that_does_something_else_is_refused(keymap, key):
    keymap.register(Command("new", "New", "Test", (), lambda: None))
    with pytest.raises(InputError, match="must do one thing"):
        keymap.rebind("new", (key,))
    assert keymap.keys_of("new") == ()


@pytest.mark.parametrize("text", ['{"tick": 5}', '{"tick": ["K"', "[]"])
def test_a_damaged_file_of_keys_is_set_aside_in_words_and_the_default_ones_hold(
    tmp_path, keymap, said, text
):
    file = tmp_path / "keys.json"
    file.write_text(text)
    again = KeyMap(file)
    again.register(*keymap.commands)
    assert again.keys_of("tick") == ("Control-Alt-J",)
    assert "was damaged" in said()[-1]
    assert (tmp_path / "keys.json.damaged").read_text() == text
    again.rebind("tick", ("K",))
    later = KeyMap(file)
    later.register(*keymap.commands)
    assert later.keys_of("tick") == ("K",)


def test_where_no_file_can_be_written_a_changed_key_holds_and_that_is_said(tmp_path, keymap, said):
    (tmp_path / "no folder").write_text("a file is in the way")
    again = KeyMap(tmp_path / "no folder" / "keys.json")
    again.register(*keymap.commands)
    again.rebind("peek", ("K",))
    assert again.keys_of("peek") == ("K",)
    assert "cannot be kept" in said()[-1]


def test_the_sheet_is_searched_and_changes_a_key(keymap, qtbot):
    sheet = KeySheet(keymap)
    qtbot.addWidget(sheet)
    sheet.search.setText("peek mask")
    shown = [row for row in range(sheet.table.rowCount()) if not sheet.table.isRowHidden(row)]
    assert [sheet.table.item(row, 1).text() for row in shown] == ["Peek under the mask"]
    sheet.table.cellDoubleClicked.emit(shown[0], 2)
    field = sheet.table.cellWidget(shown[0], 2)
    field.setKeySequence(QKeySequence("Ctrl+Alt+J"))
    field.editingFinished.emit()
    assert "Tick a box" in sheet.said.text()
    assert keymap.keys_of("peek") == ("H",)
    sheet.table.cellDoubleClicked.emit(shown[0], 2)
    field = sheet.table.cellWidget(shown[0], 2)
    field.setKeySequence(QKeySequence("K"))
    field.editingFinished.emit()
    assert keymap.keys_of("peek") == ("K",)
