"""The second dock, with a real mouse: strokes become corrections on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mouse import canvas_of
from napari.layers._layer_actions import _convert_dtype
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QInputDialog

from napari_medseg.correction.edit import Rules
from napari_medseg.inference.events import BoxDone
from napari_medseg.widgets import layers
from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.correct_dock import CorrectDock
from napari_medseg.widgets.label_list import millilitres

STROKE = [(5, 8, 8), (5, 10, 12), (5, 12, 16)]


@pytest.fixture
def dock(viewer, desk) -> CorrectDock:
    made = CorrectDock(viewer)
    viewer.window.add_dock_widget(made, name="Correct")
    viewer.dims.set_current_step(0, 5)
    viewer.reset_view()
    return made


def paint(dock, drag) -> int:
    """One stroke across slice 5; how many voxels it changed."""
    dock.panel.buttons[Tool.BRUSH].click()
    drag(dock.desk.viewer, dock.desk.labels, STROKE)
    return int(np.count_nonzero(dock.desk.labels.data))


def test_a_stroke_is_committed_shown_and_on_disk(dock, drag, qtbot):
    voxels = paint(dock, drag)
    assert voxels > 20
    assert dock.desk.tally.voxels == voxels
    assert f"{voxels} voxels on 1 slice" in dock.changed.text()
    qtbot.waitUntil(lambda: dock.saved.text().startswith("Saved"), timeout=2000)
    assert dock.desk.workbench.saved


def test_a_stroke_comes_back_when_the_scan_is_opened_again(dock, drag, qtbot, scan):
    voxels = paint(dock, drag)
    again = dock.desk.open_volume(scan)
    assert np.count_nonzero(again.labels) == voxels


def test_another_scan_puts_the_mask_aside_and_coming_back_brings_it(dock, viewer, scan):
    desk, first = dock.desk, dock.desk.image
    desk.workbench.receive(BoxDone((0, 0, 0), np.ones(desk.labels.data.shape, np.uint8)))
    other, aside = layers.show(viewer, replace(scan, array=scan.array + 1))[0], desk.labels
    desk.open_scan(other)
    assert (aside.editable, np.count_nonzero(desk.labels.data)) == (False, 0)
    desk.open_scan(first)
    assert (desk.labels.data == 1).all()
    assert aside not in viewer.layers


def test_undo_takes_a_correction_back_and_redo_gives_it_again(dock, drag, qtbot):
    voxels = paint(dock, drag)
    dock.panel.undo.click()
    qtbot.waitUntil(lambda: dock.desk.tally.voxels == 0)
    assert not dock.desk.labels.data.any()
    dock.panel.redo.click()
    qtbot.waitUntil(lambda: dock.desk.tally.voxels == voxels)
    assert np.count_nonzero(dock.desk.labels.data) == voxels


def test_a_prediction_spares_painted_voxels_and_the_erased_ones(dock, drag, viewer):
    dock.desk.labels.data[...] = 1
    dock.desk.workbench.case.tracker.baseline[...] = 1
    dock.desk.workbench.commit()
    dock.panel.buttons[Tool.ERASER].click()
    drag(viewer, dock.desk.labels, STROKE)
    erased = int(np.count_nonzero(dock.desk.labels.data == 0))
    dock.desk.workbench.receive(BoxDone((0, 0, 0), np.ones(dock.desk.labels.data.shape, np.uint8)))
    assert np.count_nonzero(dock.desk.labels.data == 0) == erased > 20


def test_nothing_is_written_while_the_brush_is_down(dock, drag, viewer, qtbot):
    during = []
    viewer.layers.selection.active = dock.desk.labels
    dock.desk.labels.mouse_move_callbacks.append(lambda *_: None)
    dock.desk.labels.events.labels_update.connect(lambda _: during.append(dock.desk.stroke_is_on()))
    paint(dock, drag)
    assert during
    assert all(during)
    assert not dock.desk.stroke_is_on()


def test_a_bucket_fill_is_a_correction_too(dock, drag, viewer, qtbot):
    dock.panel.buttons[Tool.FILL].click()
    drag(viewer, dock.desk.labels, [(5, 8, 8)])
    assert dock.desk.tally.voxels == 24 * 24


def test_a_converted_or_replaced_array_is_taken_over_and_painting_goes_on(dock, drag, viewer):
    desk, mine = dock.desk, dock.desk.case.labels
    viewer.layers.selection.active = desk.labels
    _convert_dtype(viewer.layers, "int64")
    assert desk.labels.data is mine
    desk.labels.data = np.pad(np.ones((1, 24, 24), np.int32), ((0, 11), (0, 0), (0, 0)))
    assert desk.labels.data is mine
    assert desk.tally.voxels == mine.sum() == 24 * 24
    assert paint(dock, drag) == desk.tally.voxels > 24 * 24


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (np.full((12, 24, 24), 256), "must hold 0 to 255, got 0 to 256"),
        (np.full((12, 24, 24), -1), "must hold 0 to 255, got -1 to 0"),
        (np.ones((3, 24, 24), np.uint8), "must stay (12, 24, 24), got (3, 24, 24)"),
        (np.ones((24, 24), np.uint8), "must stay (12, 24, 24), got (24, 24)"),
    ],
)
def test_an_array_that_does_not_fit_the_case_is_refused(dock, said, other, sentence):
    dock.desk.labels.data = other
    assert dock.desk.labels.data is dock.desk.case.labels
    assert not dock.desk.case.labels.any()
    assert sentence in said()[-1]


def test_a_mask_that_was_put_aside_keeps_the_names_that_it_had_last(dock):
    dock.desk.rename(1, "liver")
    assert [one.name for one in layers.mask_of(dock.desk.labels).names] == ["liver"]


def test_the_key_confirms_the_slice_on_the_screen_and_again_takes_it_back(dock, viewer, qtbot):
    canvas = viewer.window._qt_viewer.canvas.native
    viewer.layers.selection.active = dock.desk.labels
    qtbot.keyClick(canvas, Qt.Key.Key_C)
    assert dock.mark.isChecked()
    assert dock.marked.text() == "1 of 12 axial slices confirmed"
    viewer.dims.set_current_step(0, 6)
    assert not dock.mark.isChecked()
    viewer.dims.set_current_step(0, 5)
    dock.mark.click()
    assert dock.marked.text() == "0 of 12 axial slices confirmed"


def test_volumes_follow_the_mask(dock, drag, qtbot):
    voxels = paint(dock, drag)
    expected = millilitres(voxels * 2.0 * 0.5 * 0.5 / 1000)
    qtbot.waitUntil(lambda: dock.list.topLevelItem(0).text(1) == expected)


def test_unticking_a_structure_hides_it_and_keeps_its_voxels(dock, drag):
    voxels = paint(dock, drag)
    dock.list.topLevelItem(0).setCheckState(0, Qt.CheckState.Unchecked)
    assert dock.desk.labels.colormap.map(np.array([1]))[0][3] == 0
    assert np.count_nonzero(dock.desk.labels.data) == voxels


def test_an_added_structure_is_the_one_to_paint(dock, monkeypatch):
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("tumour", True))
    dock.new.click()
    assert [one.name for one in dock.desk.case.names] == ["organ", "tumour"]
    assert dock.desk.labels.selected_label == dock.desk.case.names[1].value
    assert dock.list.currentItem().text(0) == "tumour"


def test_a_structure_without_a_name_is_refused(dock, monkeypatch, said):
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("  ", True))
    dock.new.click()
    assert "must have a name" in said()[-1]


def test_double_clicking_a_name_renames_the_structure(dock):
    dock.list.topLevelItem(0).setText(0, "liver")
    assert dock.desk.case.names[0].name == "liver"


@pytest.mark.parametrize("size_mm", [0.5, 3.5, 10.5])
def test_the_brush_is_as_wide_in_mm_as_asked(dock, size_mm):
    dock.panel.brush.setValue(size_mm)
    assert dock.desk.brush.state.now.size_mm == pytest.approx(size_mm)
    dock.panel.choose(Tool.BRUSH)
    hand, middle = dock.desk.brush.hand_of(dock.desk.labels), np.array([5.0, 12, 12])
    dock.desk.brush.press(hand, middle, False)
    dock.desk.brush.release(hand)
    assert np.count_nonzero(dock.desk.labels.data[5, 12]) * 0.5 == pytest.approx(size_mm)


def test_the_layers_own_brush_size_shows_in_the_dock(dock):
    dock.desk.labels.brush_size = 13
    assert dock.panel.brush.value() == pytest.approx(6.5)


def test_undo_and_redo_are_offered_only_where_there_is_something(dock, drag):
    assert not dock.panel.undo.isEnabled()
    paint(dock, drag)
    assert dock.panel.undo.isEnabled()
    assert not dock.panel.redo.isEnabled()
    dock.panel.undo.click()
    assert not dock.panel.undo.isEnabled()
    assert dock.panel.redo.isEnabled()


def test_a_locked_structure_is_painted_neither_over_nor_with(dock, drag):
    dock.panel.lock.click()
    assert dock.desk.workbench.editor.rules.locked == {dock.desk.labels.selected_label}
    assert paint(dock, drag) == 0
    dock.panel.lock.click()
    assert paint(dock, drag) > 0


def padlock(dock, row: int) -> QPoint:
    rect = dock.list.visualItemRect(dock.list.topLevelItem(row))
    return QPoint(dock.list.columnViewportPosition(2) + 8, rect.center().y())


def test_a_padlock_locks_its_structure_and_not_the_one_that_is_painted(dock, drag, qtbot):
    dock.desk.add_label("tumour")
    dock.show()
    left, viewport = Qt.MouseButton.LeftButton, dock.list.viewport()
    qtbot.mouseClick(viewport, left, pos=padlock(dock, 0))
    rules = dock.desk.workbench.editor.rules
    assert rules.locked == {dock.list.topLevelItem(0).data(0, Qt.ItemDataRole.UserRole)}
    assert dock.list.currentItem().text(0) == "tumour"
    assert "Locked" in dock.list.topLevelItem(0).toolTip(2)
    assert "Lock it" in dock.list.topLevelItem(1).toolTip(2)
    qtbot.mouseDClick(viewport, left, pos=padlock(dock, 0))
    assert dock.list.state() != dock.list.State.EditingState
    dock.list.choose(*rules.locked)
    dock.desk.workbench.editor.rules = Rules()
    dock.desk.brush.ruled.emit()
    assert "Lock it" in dock.list.topLevelItem(0).toolTip(2)
    qtbot.keyClick(dock.list, Qt.Key.Key_L, Qt.KeyboardModifier.AltModifier)
    assert dock.desk.workbench.editor.rules.locked == rules.locked


def test_the_key_locks_the_structure_that_is_painted_and_unlocks_it(dock, drag, qtbot):
    canvas, alt = canvas_of(dock.desk.viewer), Qt.KeyboardModifier.AltModifier
    dock.desk.labels.selected_label = 1
    dock.desk.select_labels()
    for locked in (True, False):
        qtbot.keyClick(canvas, Qt.Key.Key_L, alt)
        assert dock.panel.lock.isChecked() == locked
        assert ("Locked" in dock.list.topLevelItem(0).toolTip(2)) == locked


def test_without_a_mask_it_says_what_to_do(viewer, empty):
    made = CorrectDock(viewer)
    viewer.window.add_dock_widget(made, name="Correct")
    assert not made.closed.isHidden()
    assert made.body.isHidden()
