"""Smart tools in a real window: pointed at with a real mouse, previewed, applied, undone."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from mouse import canvas_of, on_canvas, send
from qtpy.QtCore import QEvent, Qt
from qtpy.QtTest import QTest

from napari_medseg.correction.edit import Aim, Edit, Over, Reach, Rules, Scene, edit_of
from napari_medseg.correction.tools.catalogue import catalogue
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError
from napari_medseg.widgets.attach import show_dock
from napari_medseg.widgets.brush_state import Tool as Hold
from napari_medseg.widgets.tool_run import NAME, ToolRun


@dataclass(frozen=True)
class Knobs:
    half: int = 2
    reach: Reach = Reach.SLICE


def cube(scene: Scene, aim: Aim, knobs: Knobs) -> Edit | None:
    """A cube around the last point, or a square of it."""
    if not len(aim.points):
        raise InputError("a cube needs a place, got none; click first")
    z, y, x = aim.points[-1].tolist()
    deep = knobs.half if knobs.reach is Reach.VOLUME else 0
    spans = [
        slice(max(at - half, 0), at + half + 1)
        for at, half in ((z, deep), (y, knobs.half), (x, knobs.half))
    ]
    box = (spans[0], spans[1], spans[2])
    return edit_of(scene, box, np.ones_like(scene.labels[box], bool), aim.label, "a cube")


CUBE = Tool("Cube", "Test", "A cube.", Wants.CLICK, Knobs(), cube)
DRAWN = replace(CUBE, wants=Wants.STROKE)


@pytest.fixture
def run(desk, viewer) -> ToolRun:
    viewer.dims.set_current_step(0, 5)
    viewer.reset_view()
    return desk.toolbox.smart


def proposed(run, qtbot):
    qtbot.waitUntil(lambda: run.proposal is not None and not run.busy, timeout=5000)
    return run.proposal


def test_a_click_proposes_enter_applies_and_undo_takes_back(run, drag, qtbot, viewer, desk):
    run.choose(CUBE)
    drag(viewer, desk.labels, [(5, 10, 12)])
    shown = proposed(run, qtbot)
    assert (shown.box, shown.voxels) == ((slice(5, 6), slice(8, 13), slice(10, 15)), 25)
    assert not desk.labels.data.any()
    assert NAME in viewer.layers
    layer = viewer.layers[NAME]
    np.testing.assert_allclose(
        layer.data_to_world((0, 0, 0)), desk.labels.data_to_world((5, 8, 10))
    )
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Return)
    assert np.count_nonzero(desk.labels.data) == 25
    assert NAME not in viewer.layers
    assert desk.workbench.editor.undo()
    assert not desk.labels.data.any()


def test_escape_leaves_the_mask_as_it_was(run, drag, qtbot, viewer, desk):
    run.choose(CUBE)
    drag(viewer, desk.labels, [(5, 10, 12)])
    proposed(run, qtbot)
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Escape)
    assert run.proposal is None
    assert not run.apply()
    assert not desk.labels.data.any()
    assert NAME not in viewer.layers


def test_a_turned_knob_proposes_again_without_a_click(run, drag, qtbot, viewer, desk):
    run.choose(CUBE)
    drag(viewer, desk.labels, [(5, 10, 12)])
    proposed(run, qtbot)
    run.turn(Knobs(half=3, reach=Reach.VOLUME))
    qtbot.waitUntil(lambda: run.proposal.voxels == 343, timeout=5000)
    assert run.proposal.box == (slice(2, 9), slice(7, 14), slice(9, 16))


def test_a_stroke_is_shown_to_the_tool_and_does_not_move_the_view(run, drag, qtbot, viewer, desk):
    run.choose(DRAWN)
    centre = viewer.scene.camera.center
    drag(viewer, desk.labels, [(5, 8, 8), (5, 10, 10), (5, 14, 16)])
    assert proposed(run, qtbot).box[1] == slice(12, 17)
    assert viewer.scene.camera.center == centre


def test_undoing_something_meanwhile_proposes_for_the_mask_as_it_is_now(
    run, drag, qtbot, viewer, desk
):
    editor = desk.workbench.editor
    box = (slice(5, 6), slice(8, 13), slice(10, 15))
    editor.apply(edit_of(editor.scene(), box, np.ones((1, 5, 5), bool), 1), "first", 1)
    run.choose(replace(CUBE, knobs=Knobs(half=3)))
    drag(viewer, desk.labels, [(5, 10, 12)])
    assert proposed(run, qtbot).voxels == 49 - 25
    editor.undo()
    qtbot.waitUntil(lambda: run.proposal.voxels == 49, timeout=5000)


def test_a_tool_that_cannot_work_says_why_and_goes_on(run, drag, qtbot, viewer, desk, said):
    run.choose(CUBE)
    run.preview()
    qtbot.waitUntil(lambda: any("click first" in one for one in said()), timeout=5000)
    drag(viewer, desk.labels, [(5, 10, 12)])
    assert proposed(run, qtbot).voxels == 25


def test_taking_up_the_brush_puts_the_tool_s_hand_away(run, drag, qtbot, viewer, desk):
    run.choose(DRAWN)
    desk.labels.mode = "paint"
    drag(viewer, desk.labels, [(5, 8, 8), (5, 10, 12)])
    assert np.count_nonzero(desk.labels.data)
    assert run.proposal is None


def test_a_stroke_meanwhile_is_not_overwritten_by_what_was_proposed(run, drag, qtbot, viewer, desk):
    run.choose(replace(CUBE, knobs=Knobs(half=3)))
    drag(viewer, desk.labels, [(5, 10, 12)])
    proposed(run, qtbot)
    desk.labels.data[5, 9:12, 11:14] = 3  # before anybody could compute anew
    assert run.apply()
    assert np.count_nonzero(desk.labels.data == 3) == 9
    assert np.count_nonzero(desk.labels.data == 1) == 49 - 9


def test_what_the_rules_forbid_is_not_proposed(run, drag, qtbot, viewer, desk):
    desk.labels.data[5, 8:13, 10:12] = 2
    desk.workbench.commit()
    desk.workbench.editor.rules = Rules(over=Over.BACKGROUND)
    run.choose(CUBE)
    drag(viewer, desk.labels, [(5, 10, 12)])
    assert proposed(run, qtbot).voxels == 15


def test_a_tool_of_which_the_rules_leave_nothing_says_which_rule_it_was(
    run, drag, qtbot, viewer, desk
):
    desk.labels.data[5] = 2
    desk.workbench.commit()
    desk.workbench.editor.rules = Rules(over=Over.BACKGROUND)
    run.choose(CUBE)
    drag(viewer, desk.labels, [(5, 10, 12)])
    qtbot.waitUntil(lambda: bool(run.said) and not run.busy, timeout=5000)
    assert "“Paint over background only” is on" in run.said
    assert run.proposal is None
    desk.workbench.editor.rules = Rules()
    drag(viewer, desk.labels, [(5, 10, 12)])
    assert proposed(run, qtbot).voxels == 25


def test_knobs_turned_while_it_computes_give_the_last_answer(run, drag, qtbot, viewer, desk):
    run.choose(CUBE)
    drag(viewer, desk.labels, [(5, 10, 12)])
    proposed(run, qtbot)
    for half in (1, 4, 3):
        run.knobs = Knobs(half=half)
        run._compute()
    qtbot.waitUntil(lambda: not run.busy and run.proposal.voxels == 49, timeout=5000)
    assert run.apply()
    assert np.count_nonzero(desk.labels.data) == 49


def test_hiding_the_mask_for_a_while_leaves_the_brush_in_hand(run, drag, viewer, desk):
    desk.brush.state.set(tool=Hold.BRUSH)
    desk.labels.visible = False
    desk.labels.visible = True
    assert desk.brush.state.now.tool is Hold.BRUSH
    drag(viewer, desk.labels, [(5, 8, 8), (5, 10, 12)])
    assert np.count_nonzero(desk.labels.data)


@pytest.fixture
def disc(run, desk) -> np.ndarray:
    """A bright disc in slice 5, and the live wire in hand."""
    y, x = np.ogrid[:24, :24]
    truth = (y - 12) ** 2 + (x - 12) ** 2 <= 49
    desk.case.volume.array[..., 5, :, :] = 100 + 200 * truth
    run.choose(next(tool for tool in catalogue() if tool.name == "Live wire"))
    run.knobs = replace(run.knobs, smooth_mm=0.4, snap_mm=0.6)
    return truth


CLICKS = [(5, 5, 12), (5, 12, 19), (5, 19, 12), (5, 12, 5)]


def test_clicks_along_an_edge_show_the_line_and_enter_fills_it_as_one_step(
    run, disc, drag, qtbot, viewer, desk
):
    for number, click in enumerate(CLICKS, 1):
        drag(viewer, desk.labels, [click])
        qtbot.waitUntil(lambda: not run.busy and run.proposal is not None, timeout=5000)
        assert len(run._aim.points) == number
        assert not desk.labels.data.any()
    assert 0 < np.count_nonzero(viewer.layers[NAME].data) < 70, "the line, not its inside"
    QTest.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Return)
    painted = desk.labels.data[5] == 1
    assert 2 * (painted & disc).sum() / (painted.sum() + disc.sum()) > 0.9
    assert len(desk.workbench.editor.history.steps) == 1
    assert NAME not in viewer.layers


def test_a_double_click_closes_the_line_and_moves_no_view(run, disc, drag, qtbot, viewer, desk):
    show_dock(viewer, "Correct")
    viewer.reset_view()
    zoom, canvas = viewer.scene.camera.zoom, canvas_of(viewer)
    for click in CLICKS:
        drag(viewer, desk.labels, [click])
    spot, left = on_canvas(viewer, desk.labels, CLICKS[-1]), Qt.MouseButton.LeftButton
    send(canvas, QEvent.Type.MouseButtonDblClick, spot, left, left)
    qtbot.waitUntil(lambda: desk.labels.data[5, 12, 12] == 1, timeout=5000)
    assert viewer.scene.camera.zoom == zoom


def test_backspace_takes_the_last_click_back_and_another_slice_begins_anew(
    run, disc, drag, qtbot, viewer, desk
):
    canvas = canvas_of(viewer)
    for click in CLICKS[:2]:
        drag(viewer, desk.labels, [click])
    QTest.keyClick(canvas, Qt.Key.Key_Backspace)
    assert run._aim.points.tolist() == [list(CLICKS[0])]
    viewer.dims.set_current_step(0, 6)
    drag(viewer, desk.labels, [(6, 8, 8)])
    assert run._aim.points.tolist() == [[6, 8, 8]]
    QTest.keyClick(canvas, Qt.Key.Key_Backspace)
    assert run.proposal is None
    assert not run.step_back()
