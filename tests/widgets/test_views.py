"""Four views of one scan in a real window, with a real mouse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from in_views import (
    CORONAL,
    MIDDLE,
    NONE,
    PLAIN,
    SAGITTAL,
    eye_of,
    four_views,
    mouse,
    spot,
    stroke,
)
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_medseg.widgets.attach import show_dock
from napari_medseg.widgets.brush_state import Tool


@pytest.fixture
def views(desk, drag, qtbot):
    """All four views of the small scan, whose own axes are flipped and spacing is (2, .5, .5)."""
    return four_views(desk, qtbot)


def turn(canvas, notches: int) -> None:
    middle = QPointF(canvas.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(canvas.mapToGlobal(middle.toPoint())),
        QPoint(),
        QPoint(0, 120 * notches),
        NONE,
        PLAIN,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def test_a_middle_click_moves_all_views_to_the_voxel_and_the_lines_cross_there(views, qtbot):
    desk = views.desk
    for number, voxel in ((0, (6, 20, 3)), (CORONAL, (9, 20, 17)), (SAGITTAL, (2, 5, 17))):
        axis = eye_of(views, number).look().order[0]
        voxel = (*voxel[:axis], views.voxel(views.at)[axis], *voxel[axis + 1 :])
        stroke(views, number, [voxel], MIDDLE)
        assert views.voxel(views.at) == voxel
        for each in (0, CORONAL, SAGITTAL):
            eye = eye_of(views, each)
            axis = eye.look().order[0]
            shown = desk.labels.world_to_data(eye.model.dims.point)[axis]
            assert round(float(shown)) == voxel[axis]
            cross, truth = eye.crosshair.spot, spot(views, each, voxel)
            assert (cross.x(), cross.y()) == pytest.approx((truth.x(), truth.y()), abs=1.5)
    assert not desk.labels.data.any(), "a click with the middle button paints nothing"
    _the_wheel_turns_one_view_and_moves_the_lines_of_the_others(views)
    _the_letters_follow_each_view(views)
    _the_solid_view_is_no_mirror(views, qtbot)


def _the_wheel_turns_one_view_and_moves_the_lines_of_the_others(views):
    before, line = views.voxel(views.at), views.main.crosshair.spot
    turn(eye_of(views, CORONAL).canvas, 3)
    assert views.voxel(views.at) == (before[0], before[1] + 3, before[2])
    now = views.main.crosshair.spot
    assert now.x() == pytest.approx(line.x())
    assert now.y() > line.y(), "to the back is down in the axial view"
    views.desk.viewer.dims.set_current_step(0, 2)
    assert views.voxel(views.at)[0] == 2, "napari's own slider moves the cursor too"


def _the_letters_follow_each_view(views):
    shown = [eye_of(views, n).letters.shown() for n in (0, CORONAL, SAGITTAL)]
    assert shown == [("A", "L", "P", "R"), ("S", "L", "I", "R"), ("S", "P", "I", "A")]
    views.desk.viewer.dims.order = (2, 0, 1)
    assert views.main.letters.shown() == ("S", "P", "I", "A")


def test_a_stroke_in_the_coronal_view_is_one_of_the_mask_and_seen_in_the_others(views, qtbot):
    desk = views.desk
    views.go_to(np.array(desk.labels.data_to_world((6, 12, 12))))
    desk.select_labels()
    desk.brush.state.set(tool=Tool.PENCIL)
    desk.labels.selected_label = 2
    drawn = {number: [] for number in (0, SAGITTAL)}
    desk.labels.events.set_data.connect(lambda: drawn[0].append(1))
    sagittal = views._twins[SAGITTAL].copy_of(desk.labels)
    sagittal.events.set_data.connect(lambda: drawn[SAGITTAL].append(1))
    stroke(views, CORONAL, [(6, 12, 8), (6, 12, 12), (6, 12, 15)])
    assert set(np.argwhere(desk.labels.data == 2)[:, 2]) == set(range(8, 16))
    assert {tuple(zy) for zy in np.argwhere(desk.labels.data)[:, :2]} == {(6, 12)}
    qtbot.waitUntil(lambda: all(drawn.values()), timeout=2000)
    qtbot.waitUntil(lambda: desk.case.source.any(), timeout=2000)
    assert desk.workbench.editor.undo()
    assert not desk.labels.data.any(), "one undo for all views"
    _tools_hear_of_each_pane_and_of_its_end(views)


def test_windows_opacity_outline_and_hiding_are_the_same_in_all_views(views, qtbot):
    desk = views.desk
    copies = [views._twins[number] for number in (CORONAL, SAGITTAL)]
    views.bar.use_preset(1)
    preset = views.bar.presets[1]
    views.bar.opacity.setValue(30)
    views.set_outline(True)
    for twins in copies:
        image, mask = twins.copy_of(desk.image), twins.copy_of(desk.labels)
        assert tuple(image.contrast_limits) == pytest.approx((preset.low, preset.high))
        assert (mask.opacity, mask.contour) == (0.3, 1)
    canvas = eye_of(views, CORONAL).canvas  # keys pressed there are the window's
    qtbot.keyPress(canvas, Qt.Key.Key_R)
    assert not desk.labels.visible
    assert not any(twins.copy_of(desk.labels).visible for twins in copies)
    qtbot.keyRelease(canvas, Qt.Key.Key_R)
    assert desk.labels.visible
    before = tuple(desk.image.contrast_limits)
    views.drag_window(50, 0)
    assert np.ptp(desk.image.contrast_limits) > np.ptp(before)
    _the_difference_of_two_masks_is_shown_and_ends_without_a_trace(views)
    _one_view_alone_is_all_of_the_window_and_the_choice_is_kept(views, qtbot)


def _one_view_alone_is_all_of_the_window_and_the_choice_is_kept(views, qtbot):
    views.enlarge(SAGITTAL)
    qtbot.waitUntil(lambda: not views.main.seen)
    assert [n for n, pane in views.panes.items() if pane.seen] == [SAGITTAL]
    views.enlarge(SAGITTAL)
    assert views.main.seen
    from napari_medseg.correction.store import data_folder
    from napari_medseg.widgets import view_state

    assert view_state.load(data_folder()).four
    views.show_four(False)
    assert views.main.seen
    assert not any(pane.seen for pane in views.panes.values())


def _the_difference_of_two_masks_is_shown_and_ends_without_a_trace(views):
    desk = views.desk
    other = desk.viewer.add_labels(
        np.zeros_like(desk.labels.data),
        name="second",
        scale=desk.labels.scale,
        translate=desk.labels.translate,
        units=desk.labels.units,
    )
    desk.labels.data[5, 5, 5:8] = 1
    other.data[5, 5, 6:9] = 1
    row = views.bar.compare
    row.set_on(True)
    assert row.other is other
    assert row.comparison.dice == pytest.approx(2 / 3)
    assert "0.667" in row.legend.text()
    assert [desk.labels.visible, other.visible, row.layer.visible] == [False, False, True]
    row.flicker(True)
    assert other.visible
    row.flicker(False)
    row.show_only("B")
    assert other.visible
    row.set_on(False)
    assert desk.labels.visible
    assert "difference" not in [layer.name for layer in desk.viewer.layers]


def _tools_hear_of_each_pane_and_of_its_end(views):
    heard: list[tuple[ViewerModel, Labels]] = []
    gone: list[Labels] = []
    views.attach(lambda model, layer: heard.append((model, layer)))
    views.pane_removed.connect(lambda _, layer: gone.append(layer))
    assert [model.dims.order for model, _ in heard] == [(1, 0, 2), (2, 0, 1)]
    assert all(layer.data is views.desk.labels.data for _, layer in heard)
    views.desk.workbench.rename_label(1, "liver")
    views.desk.hide(frozenset({1}))
    assert not heard[0][1].colormap.map(np.array([1]))[0, 3]
    views.desk.viewer.layers.remove(views.desk.labels)
    assert gone == [layer for _, layer in heard]
    assert not views.bar.isVisible()


def _the_solid_view_is_no_mirror(views, qtbot):
    """From the front, head up: the patient's left is on the right of the screen."""
    solid, labels = views.panes[3], views.desk.labels
    views.desk.workbench.add_label("left")
    left, right = views.desk.case.names[-1].value, 1
    labels.data[2:10, 4:20, 2:8], labels.data[6:12, 4:20, 16:22] = right, left
    labels.refresh()
    qtbot.waitUntil(lambda: len(solid.model.layers) > 2, timeout=10_000)
    solid.eye.canvas.repaint()
    scene = solid.qt_viewer.canvas.view.scene

    def screen(name):
        layer = solid.model.layers[name]
        middle = layer.data_to_world(layer.data[0].mean(0))
        x, y, _, w = scene.transform.map([*middle[::-1], 1])[:4]
        return x / w, y / w

    (x, y), (left_x, higher_y) = screen("organ"), screen("left")
    assert left_x > x
    assert higher_y < y
    labels.data[:] = 0


def hover(views, number: int, voxel: Sequence[int]) -> None:
    canvas = eye_of(views, number).canvas
    mouse(canvas, QEvent.Type.MouseMove, spot(views, number, voxel), NONE, NONE)


def test_this_slice_is_right_means_the_view_under_the_mouse(views, qtbot):
    desk, dock = views.desk, show_dock(views.desk.viewer, "Correct")
    confirmed = desk.workbench.confirmed_slices
    desk.look_at((6, 9, 12))
    desk.select_labels()
    hover(views, CORONAL, (6, 9, 12))
    qtbot.keyClick(eye_of(views, CORONAL).canvas, Qt.Key.Key_C)
    assert [confirmed(axis) for axis in range(3)] == [(), (9,), ()]
    assert dock.mark.text() == "✓  This coronal slice is right"
    views.step(eye_of(views, CORONAL), 1)
    assert dock.mark.text() == "This coronal slice is right"
    hover(views, SAGITTAL, (6, 9, 12))
    hover(views, 0, (6, 9, 12))
    QApplication.sendEvent(views.main.canvas, QEvent(QEvent.Type.Leave))
    qtbot.wait(400)
    dock.mark.click()  # views that the mouse only crossed on its way are not meant
    assert [confirmed(axis) for axis in range(3)] == [(), (9, 10), ()]
    hover(views, 0, (6, 9, 12))
    qtbot.waitUntil(lambda: dock.mark.text() == "This axial slice is right", timeout=2000)
    dock.mark.click()
    assert confirmed(0) == (6,)
    hover(views, SAGITTAL, (6, 9, 12))
    views.show_four(False)
    qtbot.wait(400)
    assert "axial" in dock.mark.text(), "the other views are gone"
