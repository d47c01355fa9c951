"""What a hand does in the four views: grey values, the cursor, paint; another mask from a file."""

from __future__ import annotations

import numpy as np
import pytest
from in_views import (
    CORONAL,
    NONE,
    RIGHT,
    SAGITTAL,
    SHIFT,
    drag_pixels,
    eye_of,
    four_views,
    mouse,
    spot,
    stroke,
)
from qtpy.QtCore import QEvent, QPointF
from qtpy.QtWidgets import QFileDialog

from napari_medseg.widgets.attach import show_dock
from napari_medseg.widgets.brush_state import Tool


@pytest.fixture
def views(desk, drag, qtbot):
    return four_views(desk, qtbot)


def test_a_drag_to_the_right_widens_the_window_and_one_down_moves_it_in_all_views(views):
    desk, canvas = views.desk, eye_of(views, SAGITTAL).canvas
    low, high = desk.image.contrast_limits
    middle = QPointF(canvas.rect().center())
    drag_pixels(canvas, [middle, middle + QPointF(40, 0)], RIGHT, SHIFT)
    wide = desk.image.contrast_limits
    assert wide[1] - wide[0] > high - low
    assert sum(wide) == pytest.approx(low + high)
    drag_pixels(canvas, [middle, middle + QPointF(0, 30)], RIGHT, SHIFT)
    brighter = desk.image.contrast_limits
    assert brighter[1] - brighter[0] == pytest.approx(wide[1] - wide[0])
    assert sum(brighter) < sum(wide)
    for number in (CORONAL, SAGITTAL):
        copy = views._twins[number].copy_of(desk.image)
        assert tuple(copy.contrast_limits) == pytest.approx(tuple(brighter))
    assert not desk.labels.data.any(), "a drag of the window paints nothing"
    _shift_and_a_move_take_the_cursor_along(views)
    _what_is_painted_in_the_sagittal_view_is_where_it_was_drawn_and_one_step(views)


def _shift_and_a_move_take_the_cursor_along(views):
    for number, voxel in ((CORONAL, (9, 0, 17)), (SAGITTAL, (2, 5, 0)), (0, (0, 20, 3))):
        axis = eye_of(views, number).look().order[0]
        voxel = tuple(views.voxel(views.at)[n] if n == axis else v for n, v in enumerate(voxel))
        place = spot(views, number, voxel)
        mouse(eye_of(views, number).canvas, QEvent.Type.MouseMove, place, NONE, NONE, SHIFT)
        assert views.voxel(views.at) == voxel
        for each in (0, CORONAL, SAGITTAL):
            eye = eye_of(views, each)
            axis = eye.look().order[0]
            shown = views.desk.labels.world_to_data(eye.model.dims.point)[axis]
            assert round(float(shown)) == voxel[axis]


def _what_is_painted_in_the_sagittal_view_is_where_it_was_drawn_and_one_step(views):
    desk = views.desk
    views.go_to(np.array(desk.labels.data_to_world((6, 12, 9))))
    desk.select_labels()
    desk.labels.selected_label = 1
    desk.brush.state.set(tool=Tool.BRUSH, size_mm=4.0, ball=False)
    stroke(views, SAGITTAL, [(6, 8, 9), (6, 12, 9), (6, 16, 9)])
    z, y, _ = np.ogrid[tuple(slice(0, n) for n in desk.labels.data.shape)]
    away = np.hypot(2.0 * (z - 6), 0.5 * np.maximum(np.abs(y - 12) - 4, 0))
    painted = desk.labels.data == 1
    assert set(np.argwhere(painted)[:, 2]) == {9}, "a disc in the slice that is looked at"
    painted = painted[:, :, 9]
    assert painted[away[:, :, 0] <= 1.5].all()
    assert not painted[away[:, :, 0] > 2.5].any()
    steps = desk.workbench.editor.history.steps
    assert len(steps) == 1
    assert desk.workbench.editor.undo()
    assert not desk.labels.data.any()


def test_the_cursor_stays_where_it_is_when_the_other_views_open(
    desk, drag, qtbot, tmp_path, monkeypatch
):
    show_dock(desk.viewer, "Correct")
    desk.look_at((3, 19, 5))
    views = four_views(desk, qtbot)
    views.fit()
    assert views.voxel(views.at) == (3, 19, 5)
    for number in (0, CORONAL, SAGITTAL):
        look = eye_of(views, number).look()
        assert look.depth == pytest.approx(views.at[look.order[0]])
    path = tmp_path / "other.nii.gz"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    _a_mask_from_a_file_is_laid_beside_the_open_one(views, path)


def _a_mask_from_a_file_is_laid_beside_the_open_one(views, path):
    desk = views.desk
    desk.labels.data[5, 5, 6:9] = 1
    desk.workbench.commit()
    desk.workbench.save_mask(path)  # on the scan's own, flipped axes
    desk.labels.data[5, 5, 5:9] = (1, 1, 1, 0)
    desk.workbench.commit()
    row = views.bar.compare
    views.bar.comparing.click()  # no other mask is open: it asks for a file
    assert row.comparison.dice == pytest.approx(2 / 3)
    only_a, only_b = ((5, 5, 5), (5, 5, 8))
    shown = row.layer.data
    assert shown[only_a] != shown[only_b]
    assert {tuple(v) for v in np.argwhere(shown)} == {(5, 5, x) for x in (5, 6, 7, 8)}
    assert views._twins[SAGITTAL].copy_of(row.layer) is not None, "all views show the difference"
    row.show_only("B")
    assert row.other.data[only_b]
    assert not row.other.data[only_a]
    assert [layer.visible for layer in (desk.labels, row.other, row.layer)] == [False, True, False]
