"""The brush in a view without a window: what is painted, under which rules, and taken back."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_medseg.correction.brush import footprint
from napari_medseg.correction.edit import Over, Rules
from napari_medseg.inference.events import BoxDone
from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.brush_tool import BrushTool
from napari_medseg.workbench import Workbench

SQUARE = [(5, 6, 6), (5, 6, 18), (5, 18, 18), (5, 18, 6)]


@pytest.fixture
def desk(qapp, tmp_path, scan) -> Iterator[SimpleNamespace]:
    """12 x 24 x 24 voxels of (2, 0.5, 0.5) mm, and the hand over slice 5."""
    bench = Workbench(tmp_path)
    case = bench.open_case(scan)
    viewer = ViewerModel()
    labels = viewer.add_layer(Labels(case.labels, scale=case.volume.geometry.spacing_mm))
    viewer.dims.set_current_step(0, 5)
    brush = BrushTool(bench)
    brush.attach(viewer, labels)
    hand = brush.hand_of(labels)
    labels.selected_label = 1
    brush.state.set(tool=Tool.BRUSH, size_mm=2.5)
    yield SimpleNamespace(
        workbench=bench, case=case, viewer=viewer, labels=labels, brush=brush, hand=hand
    )
    brush.detach(labels)
    bench.close()


@pytest.fixture
def brush(desk) -> BrushTool:
    return desk.brush


@pytest.fixture
def drag(desk):
    """Press, move and release over points (z, y, x)."""

    def go(points, erases: bool = False) -> None:
        first, *others = [np.array(point, float) for point in points]
        desk.brush.press(desk.hand, first, erases)
        for place in others:
            desk.brush.drag(desk.hand, place)
        desk.brush.release(desk.hand)

    return go


@pytest.mark.parametrize("ball", [False, True])
def test_a_click_paints_all_that_is_near_in_millimetres(desk, brush, drag, ball):
    brush.state.set(size_mm=8.0, ball=ball)
    drag([(5, 12, 12)])
    z, y, x = np.ogrid[:12, :24, :24]
    far = ((z - 5) * 2.0) ** 2 + ((y - 12) * 0.5) ** 2 + ((x - 12) * 0.5) ** 2
    near = (far < 3.8**2) & ((z == 5) | ball)  # the mouse lies within a pixel of the voxel's centre
    assert (desk.labels.data[near] == 1).all()
    assert not desk.labels.data[(far > 4.2**2) | ~((z == 5) | ball)].any()


def test_the_pencil_draws_a_line_of_single_voxels(desk, brush, drag):
    brush.state.set(tool=Tool.PENCIL)
    drag([(5, 4, 3), (5, 12, 19)])
    painted = desk.labels.data[5]
    assert (painted.sum(0)[3:20] == 1).all()
    assert painted.sum() == 17


def test_ctrl_erases_and_the_eraser_does(desk, brush, drag):
    desk.labels.data[...] = 1
    desk.workbench.commit()
    brush.state.set(tool=Tool.ERASER)
    drag([(5, 12, 12)])
    assert desk.labels.data[5, 12, 12] == 0
    assert desk.labels.data[4, 12, 12] == 1


@pytest.mark.parametrize(
    ("rules", "changed"),
    [
        (Rules(Over.BACKGROUND), [1, 2, 3]),
        (Rules(Over.CHOSEN), [1, 2, 0]),
        (Rules(locked=frozenset({2})), [1, 2, 1]),
        (Rules(locked=frozenset({1})), [1, 2, 0]),
    ],
)
def test_the_rules_are_obeyed(desk, brush, drag, rules, changed):
    desk.labels.data[5, :, 4:8] = 1
    desk.labels.data[5, :, 8:12] = 2
    desk.workbench.commit()
    before = desk.labels.data.copy()
    desk.workbench.editor.rules = rules
    desk.labels.selected_label = 1
    drag([(5, 12, 2), (5, 12, 20)])
    now = desk.labels.data
    assert (
        now[before == 2] == (1 if rules.over is Over.EVERYTHING and not rules.locked else 2)
    ).all()
    touched = bool((now != before).any())
    assert touched == (rules.over is Over.BACKGROUND or rules.locked == {2})


def test_a_grey_range_picked_by_a_click_limits_the_brush(desk, brush, drag):
    image = desk.case.volume.channel(0).array
    image[5, :, :12] = 500
    image[5, 12, 4] = 501
    brush.state.set(tool=Tool.GREY)
    drag([(5, 12, 5)])
    rules = desk.workbench.editor.rules
    assert 490 < rules.low <= 500 <= rules.high < 510
    assert brush.state.now.tool is Tool.BRUSH
    drag([(5, 12, 4), (5, 12, 20)])
    assert desk.labels.data[5, 12, 5:12].all()
    assert not desk.labels.data[5, 12, 12:].any()


@pytest.mark.parametrize("tool", [Tool.BRUSH, Tool.LASSO, Tool.FILL])
@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (Rules(Over.BACKGROUND), "“Paint over background only” is on"),
        (Rules(Over.CHOSEN), "“Change this structure only” is on"),
        (Rules(locked=frozenset({2, 5})), " is locked"),
        (Rules(low=1e6), "below 1e+06"),
        (Rules(Over.BACKGROUND, low=1e6), "only” is on, and the grey values are below"),
    ],
)
def test_a_stroke_that_the_rules_forbid_says_which_did(desk, brush, drag, tool, rules, words):
    desk.labels.data[5] = 2
    desk.workbench.commit()
    heard: list[str] = []
    brush.said.connect(heard.append)
    brush.state.set(tool=tool)
    desk.workbench.editor.rules = rules
    drag([(5, 4, 4), (5, 4, 12), (5, 12, 12), (5, 12, 4)])
    assert [words in told for told in heard if told] == [True], "once a stroke"
    desk.workbench.editor.rules = Rules()
    drag([(5, 4, 4), (5, 4, 12), (5, 12, 12), (5, 12, 4)])
    assert heard[-1] == ""
    assert (desk.labels.data == 1).any()


def test_a_stroke_over_what_is_painted_already_blames_no_rule(desk, brush, drag):
    heard: list[str] = []
    brush.said.connect(heard.append)
    desk.workbench.editor.rules = Rules(Over.BACKGROUND)
    drag([(5, 4, 4), (5, 4, 12)])
    drag([(5, 4, 4), (5, 4, 12)])
    assert not any(heard)


def test_another_slice_in_mid_stroke_draws_no_line_through_the_stack(desk, brush, drag):
    brush.state.set(size_mm=2.5, ball=False)
    drag([(5, 6, 6), (8, 18, 18)])
    assert set(np.flatnonzero(desk.labels.data.any((1, 2)))) == {5, 8}
    assert not desk.labels.data[8, :12].any()
    assert len(desk.workbench.editor.history.steps) == 1


def test_a_stroke_may_leave_the_image_and_come_back(desk, brush, drag):
    drag([(5, 12, 20), (5, 12, 40), (5, 4, 40), (5, 4, 20)])
    assert desk.labels.data[5, 12, 20:].all()
    assert desk.labels.data[5, 4, 20:].all()
    assert not desk.workbench.case.labels[4].any()


def test_naparis_own_history_hears_of_no_stroke(desk, brush, drag):
    drag([(5, 4, 3), (5, 4, 20)])
    painted = desk.labels.data.copy()
    desk.labels.undo()
    np.testing.assert_array_equal(desk.labels.data, painted)


@pytest.mark.parametrize(("keep", "around"), [(False, None), (True, None), (False, 2)])
def test_scissors_cut_or_keep_through_slices(desk, brush, drag, keep, around):
    desk.labels.data[...] = 1
    desk.labels.data[:, 10, 10] = 2
    desk.workbench.commit()
    desk.labels.selected_label = 1
    brush.state.set(tool=Tool.SCISSORS, keep=keep, around=around)
    drag(SQUARE)
    inside, outside = desk.labels.data[:, 12, 12], desk.labels.data[:, 2, 2]
    reached = np.abs(np.arange(12) - 5) <= (12 if around is None else around)
    np.testing.assert_array_equal(inside == 0, reached & (not keep))
    np.testing.assert_array_equal(outside == 0, reached & keep)
    assert (desk.labels.data[:, 10, 10] == 2).all()


def test_cancelling_takes_an_unfinished_outline_away(desk, brush, drag):
    brush.state.set(tool=Tool.POLYGON)
    for corner in SQUARE:
        drag([corner])
    assert "outline" in desk.viewer.layers
    brush.cancel()
    assert "outline" not in desk.viewer.layers
    brush.close_outline()
    assert not desk.labels.data.any()


def test_fill_pours_into_a_closed_area_of_the_slice(desk, brush, drag):
    desk.labels.data[:, 6:18, 6] = desk.labels.data[:, 6:18, 18] = 2
    desk.labels.data[:, 6, 6:19] = desk.labels.data[:, 17, 6:19] = 2
    desk.workbench.commit()
    desk.labels.selected_label = 1
    brush.state.set(tool=Tool.FILL)
    drag([(5, 12, 12)])
    assert np.count_nonzero(desk.labels.data == 1) == 10 * 11
    assert (desk.labels.data[5, 7:17, 7:18] == 1).all()


def test_naparis_buttons_take_up_our_tools(desk, brush, drag):
    desk.labels.mode = "paint"
    assert str(desk.labels.mode) != "paint"
    desk.labels.mode = "erase"
    assert brush.state.now.tool is Tool.ERASER
    desk.labels.mode = "pan_zoom"
    assert brush.state.now.tool is Tool.PAN


def test_another_view_of_the_array_is_painted_across_its_own_axis(desk, brush):
    other = ViewerModel()
    layer = other.add_layer(Labels(desk.case.labels, scale=desk.labels.scale))
    other.dims.order = (1, 0, 2)
    brush.attach(other, layer)
    hand = brush.hand_of(layer)
    assert (hand.axis, layer.cursor_size) == (1, brush.state.now.size_mm)
    place = np.array([6.0, 9.0, 12.0])
    brush.press(hand, place, False)
    brush.release(hand)
    scene = desk.workbench.editor.scene()
    found = footprint(place, place, 1.25, scene.spacing_mm, scene.shape, 1)
    expected = np.zeros(scene.shape, bool)
    expected[found[0]] = found[1]
    np.testing.assert_array_equal(desk.case.labels == 1, expected)
    brush.undo()
    assert not desk.case.labels.any()
    brush.detach(layer)


def test_painting_what_a_quick_look_shows_stays_when_that_goes(desk, brush, drag):
    everywhere = np.ones(desk.labels.data.shape, np.uint8)
    desk.workbench.receive(BoxDone((0, 0, 0), everywhere, preview=True))
    drag([(5, 4, 3), (5, 4, 20)])
    assert (desk.labels.data == 1).all()
    desk.workbench.drop_previews()
    assert desk.labels.data[5, 4, 3:21].all()
    assert not desk.labels.data[4].any()
    brush.undo()
    assert not desk.labels.data.any()
