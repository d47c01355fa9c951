"""This piece and this structure are right, by mouse and key; and the tints of who set what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mouse import canvas_of, on_canvas, send
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest

from napari_medseg.correction.record import Source
from napari_medseg.inference.events import BoxDone
from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.correct_dock import CorrectDock
from napari_medseg.widgets.whose import CONFIRMED, MODEL, NOBODY, PAINTED

PIECE = (slice(4, 7), slice(4, 10), slice(4, 10))
OTHER = (slice(4, 7), slice(4, 10), slice(18, 22))
STROKE = [(5, 16, 4), (5, 16, 12)]


@pytest.fixture
def dock(viewer, desk) -> CorrectDock:
    """A model said that there are two pieces."""
    labels = np.zeros(desk.labels.data.shape, np.uint8)
    labels[PIECE] = labels[OTHER] = 1
    desk.workbench.receive(BoxDone((0, 0, 0), desk.case.turn.undo(labels)))
    made = CorrectDock(viewer)
    viewer.window.add_dock_widget(made, name="Correct")
    viewer.dims.set_current_step(0, 5)
    viewer.reset_view()
    return made


def confirmed(dock) -> np.ndarray:
    return np.asarray(dock.desk.case.source == Source.CONFIRMED)


def test_the_chosen_structure_is_confirmed_by_its_button_and_taken_back(dock):
    dock.desk.labels.selected_label = 1
    dock.whole.click()
    assert confirmed(dock)[PIECE].all()
    assert confirmed(dock)[OTHER].all()
    assert "organ: 180 voxels confirmed" in dock.word.text()
    assert "voxels of pieces and structures" in dock.marked.text()
    dock.whole.click()
    assert not confirmed(dock).any()
    assert "taken back" in dock.word.text()


def test_a_structure_without_voxels_is_refused_in_words(dock, said):
    dock.desk.add_label("empty")
    dock.whole.click()
    assert "must have voxels" in said()[-1]


def test_a_piece_is_confirmed_by_a_click_and_the_brush_is_in_the_hand_again(dock, drag, qtbot):
    dock.panel.buttons[Tool.BRUSH].click()
    dock.piece.click()
    assert "Click on the piece" in dock.word.text()
    before = dock.desk.labels.data.copy()
    drag(dock.desk.viewer, dock.desk.labels, [(5, 6, 6)])
    qtbot.waitUntil(lambda: not dock.piece.isChecked())
    assert confirmed(dock)[PIECE].all()
    assert not confirmed(dock)[OTHER].any()
    assert dock.desk.brush.state.now.tool is Tool.BRUSH
    np.testing.assert_array_equal(dock.desk.labels.data, before)


def test_taking_up_a_tool_or_escape_ends_the_waiting_for_a_click(dock, drag):
    canvas = canvas_of(dock.desk.viewer)
    dock.piece.click()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert not dock.piece.isChecked()
    dock.piece.click()
    dock.panel.buttons[Tool.ERASER].click()
    assert not dock.piece.isChecked()
    assert dock.desk.brush.state.now.tool is Tool.ERASER
    assert not confirmed(dock).any()


def test_keys_confirm_the_piece_under_the_mouse_and_the_chosen_structure(dock, drag, qtbot):
    viewer, desk = dock.desk.viewer, dock.desk
    canvas, none = canvas_of(viewer), Qt.MouseButton.NoButton
    desk.select_labels()
    send(canvas, QEvent.Type.MouseMove, on_canvas(viewer, desk.labels, (5, 6, 20)), none, none)
    qtbot.waitUntil(lambda: desk.views.hover is not None)
    QTest.keyClick(canvas, Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert confirmed(dock)[OTHER].all()
    assert not confirmed(dock)[PIECE].any()
    desk.labels.selected_label = 1
    QTest.keyClick(canvas, Qt.Key.Key_C, Qt.KeyboardModifier.AltModifier)
    assert confirmed(dock)[PIECE].all()


def test_what_is_under_a_mouse_that_rests_is_of_the_slice_and_the_mask_that_are_seen(
    dock, drag, qtbot
):
    viewer, desk = dock.desk.viewer, dock.desk
    canvas, none = canvas_of(viewer), Qt.MouseButton.NoButton
    desk.select_labels()
    status = desk.views.status
    qtbot.wait(500)  # until the views have found their size
    send(canvas, QEvent.Type.MouseMove, on_canvas(viewer, desk.labels, (5, 6, 20)), none, none)
    qtbot.waitUntil(lambda: "organ" in status.text())
    viewer.dims.set_current_step(0, 9)
    qtbot.waitUntil(lambda: status.text() and "organ" not in status.text())
    QTest.keyClick(canvas, Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier)
    assert not confirmed(dock).any(), "the piece is on slices that are not seen"
    desk.workbench.receive(BoxDone((0, 0, 0), np.ones_like(desk.case.turn.undo(desk.labels.data))))
    qtbot.waitUntil(lambda: "organ" in status.text())


def test_their_keys_do_nothing_else(dock, drag):
    keys = dock.desk.toolbox.keys
    mine = ("piece_right", "structure_right", "whose")
    assert [keys.taken(key, name) for name in mine for key in keys.keys_of(name)] == [""] * 3


def shown(layer) -> np.ndarray:
    """What a layer draws of the slice that it shows."""
    return np.asarray(layer._slice.image.raw)


def test_the_tints_say_who_set_what_and_follow_strokes_in_all_views(dock, drag, qtbot):
    desk, views = dock.desk, dock.desk.views
    views.show_four(True)
    desk.workbench.editor.voucher.toggle_piece((5, 6, 20))
    views.bar.sources.click()
    layer = views.bar.whose.layer
    assert shown(layer)[6, 6] == MODEL
    assert shown(layer)[6, 20] == CONFIRMED
    assert shown(layer)[16, 8] == NOBODY
    coronal = views._twins[1].copy_of(layer)
    desk.look_at((5, 16, 8))
    dock.panel.buttons[Tool.BRUSH].click()
    drag(desk.viewer, desk.labels, STROKE)
    for one, place in ((layer, (16, 8)), (coronal, (5, 8))):
        qtbot.waitUntil(lambda one=one, place=place: shown(one)[place] == PAINTED)
    desk.workbench.editor.undo()
    qtbot.waitUntil(lambda: shown(layer)[16, 8] == NOBODY)


def test_the_tints_are_no_mask(dock, drag, viewer, scan, tmp_path):
    desk, views = dock.desk, dock.desk.views
    views.bar.sources.click()
    layer = views.bar.whose.layer
    assert not layer.editable
    assert viewer.layers.selection.active is desk.labels
    assert desk.first_image() is desk.image
    assert layer not in views.bar.compare._candidates()
    views.hide_mask(True)
    assert not layer.visible
    views.hide_mask(False)
    desk.open_volume(replace(scan, array=scan.array + 1))
    assert layer not in viewer.layers
    assert not views.bar.sources.isChecked()


def test_a_click_on_the_bin_puts_the_tints_away(dock, drag, viewer):
    views = dock.desk.views
    views.bar.sources.click()
    viewer.layers.remove(views.bar.whose.layer)
    assert (views.bar.sources.isChecked(), views.bar.whose.isVisible()) == (False, False)
    views.bar.sources.click()
    assert views.bar.whose.layer in viewer.layers
    viewer.layers.remove(dock.desk.labels)
    assert views.bar.whose.layer is None
