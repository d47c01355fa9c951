"""The brush with a real mouse and real keys on a real window."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from mouse import canvas_of, on_canvas, send
from qtpy.QtCore import QEvent, Qt

from napari_medseg.widgets.brush_state import Tool

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
SQUARE = [(5, 6, 6), (5, 6, 18), (5, 18, 18), (5, 18, 6)]


@pytest.fixture
def brush(viewer, desk, drag):
    """The desk's brush over slice 5 of 12 x 24 x 24 voxels of (2, 0.5, 0.5) mm."""
    viewer.dims.set_current_step(0, 5)
    viewer.reset_view()
    desk.select_labels()
    desk.brush.state.set(tool=Tool.BRUSH, size_mm=2.5)
    return desk.brush


def press(viewer, layer, spot) -> None:
    send(
        canvas_of(viewer), QEvent.Type.MouseButtonPress, on_canvas(viewer, layer, spot), LEFT, LEFT
    )


def move(viewer, layer, spot, qtbot) -> None:
    send(canvas_of(viewer), QEvent.Type.MouseMove, on_canvas(viewer, layer, spot), NONE, LEFT)
    qtbot.wait(10)


def release(viewer, layer, spot) -> None:
    place = on_canvas(viewer, layer, spot)
    send(canvas_of(viewer), QEvent.Type.MouseButtonRelease, place, LEFT, NONE)


def test_a_fast_stroke_has_no_gaps(viewer, desk, brush, drag):
    drag(viewer, desk.labels, [(5, 4, 3), (5, 4, 20)])
    painted = desk.labels.data[5] == 1
    assert painted[4, 3:21].all()
    assert painted.sum() == np.count_nonzero(desk.labels.data)
    assert len(desk.workbench.editor.history.steps) == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_what_is_painted_shows_as_it_does_when_all_is_drawn_again(viewer, desk, brush, drag, order):
    viewer.dims.order = order
    viewer.dims.set_current_step(order[0], 6)
    viewer.reset_view()
    brush.state.set(ball=True, size_mm=4.0)
    whole: list[object] = []
    desk.labels.events.set_data.connect(lambda event: whole.append(event))
    points = np.array([(4, 6, 8), (7, 9, 14)])
    points[:, order[0]] = 6
    canvas = canvas_of(viewer)
    press(viewer, desk.labels, points[0])
    send(canvas, QEvent.Type.MouseMove, on_canvas(viewer, desk.labels, points[1]), NONE, LEFT)
    quick = viewer.screenshot(flash=False)
    assert not whole, "the move drew its own piece only"
    desk.labels.refresh()
    np.testing.assert_array_equal(viewer.screenshot(flash=False), quick)
    release(viewer, desk.labels, points[1])
    assert desk.labels.data.any()


def test_escape_in_mid_stroke_takes_it_back(viewer, desk, brush, qtbot):
    desk.labels.data[5, 10:14, 10:14] = 2
    desk.workbench.commit()
    before, steps = desk.labels.data.copy(), len(desk.workbench.editor.history.steps)
    press(viewer, desk.labels, (5, 8, 8))
    move(viewer, desk.labels, (5, 12, 12), qtbot)
    assert (desk.labels.data != before).any()
    qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Escape)
    np.testing.assert_array_equal(desk.labels.data, before)
    move(viewer, desk.labels, (5, 16, 16), qtbot)
    release(viewer, desk.labels, (5, 16, 16))
    np.testing.assert_array_equal(desk.labels.data, before)
    assert len(desk.workbench.editor.history.steps) == steps


def test_another_layer_in_mid_stroke_ends_it(viewer, desk, brush, qtbot):
    press(viewer, desk.labels, (5, 6, 6))
    move(viewer, desk.labels, (5, 6, 10), qtbot)
    viewer.layers.selection.active = desk.image
    assert not desk.stroke_is_on()
    assert len(desk.workbench.editor.history.steps) == 1
    release(viewer, desk.labels, (5, 6, 10))


def test_every_stroke_is_undone_and_redone_by_key_bit_for_bit(viewer, desk, brush, drag, qtbot):
    random = np.random.default_rng(7)
    desk.labels.data[...] = random.integers(0, 3, desk.labels.data.shape)
    desk.workbench.commit(name="")
    masks = [desk.labels.data.copy()]
    for number in range(120):
        a, b = random.uniform(2, 22, (2, 2))
        desk.labels.selected_label = 1 + number % 3
        brush.state.set(tool=Tool.ERASER if number % 4 == 3 else Tool.BRUSH, ball=number % 2 == 0)
        drag(viewer, desk.labels, [(5, *a), (5, *b)])
        masks.append(desk.labels.data.copy())
    steps = len(desk.workbench.editor.history.steps)
    assert steps == sum((a != b).any() for a, b in pairwise(masks))
    for _ in range(steps):
        qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Z, CTRL)
    np.testing.assert_array_equal(desk.labels.data, masks[0])
    for _ in range(steps):
        qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Z, CTRL | SHIFT)
    np.testing.assert_array_equal(desk.labels.data, masks[-1])


@pytest.mark.parametrize("tool", [Tool.LASSO, Tool.POLYGON])
def test_an_outline_is_filled_in_its_slice(viewer, desk, brush, drag, qtbot, tool):
    brush.state.set(tool=tool)
    if tool is Tool.LASSO:
        drag(viewer, desk.labels, SQUARE)
    else:
        for corner in SQUARE:
            drag(viewer, desk.labels, [corner])
        assert not desk.labels.data.any()
        qtbot.keyClick(canvas_of(viewer), Qt.Key.Key_Return)
    assert desk.labels.data[5, 7:18, 7:18].all()
    assert np.count_nonzero(desk.labels.data) <= 13 * 13
    assert "outline" not in viewer.layers
    assert desk.workbench.editor.history.steps[-1].name == str(tool)


def test_naparis_keys_take_up_our_tools(viewer, desk, brush, qtbot, drag):
    brush.state.set(tool=Tool.PAN)
    assert str(desk.labels.mode) == "pan_zoom"
    for key, tool in (
        ("2", Tool.BRUSH),
        ("E", Tool.ERASER),
        ("4", Tool.FILL),
        ("S", Tool.SCISSORS),
    ):
        qtbot.keyClick(canvas_of(viewer), key)
        assert brush.state.now.tool is tool
        assert not viewer.scene.camera.mouse_pan
    qtbot.keyClick(canvas_of(viewer), "Z")
    assert viewer.scene.camera.mouse_pan


def test_two_quick_clicks_do_not_zoom_and_the_drag_does_not_pan(viewer, desk, brush, drag):
    zoom, center = viewer.scene.camera.zoom, viewer.scene.camera.center
    canvas, spot = canvas_of(viewer), on_canvas(viewer, desk.labels, (5, 12, 12))
    send(canvas, QEvent.Type.MouseButtonDblClick, spot, LEFT, LEFT)
    send(canvas, QEvent.Type.MouseButtonRelease, spot, LEFT, NONE)
    drag(viewer, desk.labels, [(5, 4, 3), (5, 18, 20)])
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center) == (zoom, center)


def test_keys_and_a_right_drag_set_the_size(viewer, desk, brush, qtbot):
    canvas, right = canvas_of(viewer), Qt.MouseButton.RightButton
    qtbot.keyClick(canvas, Qt.Key.Key_BracketRight)
    assert brush.state.now.size_mm == pytest.approx(3.0)
    qtbot.keyClick(canvas, Qt.Key.Key_BracketLeft)
    assert brush.state.now.size_mm == pytest.approx(2.5)
    spots = [on_canvas(viewer, desk.labels, spot) for spot in ((5, 12, 12), (5, 12, 16))]
    send(canvas, QEvent.Type.MouseButtonPress, spots[0], right, right)
    send(canvas, QEvent.Type.MouseMove, spots[1], NONE, right)
    qtbot.wait(10)
    send(canvas, QEvent.Type.MouseButtonRelease, spots[1], right, NONE)
    assert brush.state.now.size_mm == pytest.approx(2.5 + 2 * 4 * 0.5, abs=0.2)
    assert desk.labels.cursor_size == brush.state.now.size_mm
    assert not desk.labels.data.any()
