"""Strokes on a quick look, with a real mouse: they stay, and undoing them brings no look back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from mouse import canvas_of, on_canvas, send
from qtpy.QtCore import QEvent, Qt

from napari_medseg.correction.record import Source
from napari_medseg.inference.events import BoxDone

STROKE = [(5, 8, 8), (5, 10, 12), (5, 12, 16)]
SETTLED_MS = 400  # after undo and redo, until they are noted


@pytest.fixture
def brush(viewer, desk, drag):
    """A stroke with a structure across slice 5, 0 erases; gives the voxels that it crossed."""
    viewer.dims.set_current_step(0, 5)
    viewer.reset_view()
    desk.labels.brush_size = 5

    def paint(value: int) -> np.ndarray:
        desk.select_labels()
        desk.labels.mode = "paint" if value else "erase"
        if value:
            desk.labels.selected_label = value
        drag(viewer, desk.labels, STROKE)
        return crossed(desk)

    return paint


def crossed(desk) -> np.ndarray:
    """What a stroke of the same kind changes in an empty mask, bool."""
    touched = np.zeros(desk.labels.data.shape, bool)
    for (z, y, x), (_, b, a) in pairwise(STROKE):
        for step in np.linspace(0, 1, 20):
            touched[z, round(y + step * (b - y)), round(x + step * (a - x))] = True
    return touched


def look(desk, value: int) -> None:
    """A quick look at everything."""
    everywhere = np.full(desk.labels.data.shape, value, np.uint8)
    desk.workbench.receive(BoxDone((0, 0, 0), everywhere, preview=True))


def finish(desk, value: int | None) -> None:
    """The prediction says `value` everywhere, or it is stopped."""
    if value is None:
        desk.workbench.drop_previews()
    else:
        everywhere = np.full(desk.labels.data.shape, value, np.uint8)
        desk.workbench.receive(BoxDone((0, 0, 0), everywhere))


@pytest.mark.parametrize("final", [None, 3])
def test_a_stroke_on_a_quick_look_stays_and_undoing_it_gives_what_came_instead(
    desk, brush, qtbot, final
):
    look(desk, 1)
    touched = brush(2)
    finish(desk, final)
    mine = desk.labels.data == 2
    assert mine[touched].all()
    assert (desk.labels.data[~mine] == (final or 0)).all()
    assert (desk.case.source[mine] == Source.PAINTED).all()
    desk.brush.undo()
    assert (desk.labels.data == (final or 0)).all()
    qtbot.wait(SETTLED_MS)
    assert not desk.case.source.any(), "nothing of a stroke that was undone counts"
    desk.brush.redo()
    qtbot.wait(SETTLED_MS)
    np.testing.assert_array_equal(desk.case.source == Source.PAINTED, mine)


@pytest.mark.parametrize("final", [None, 3])
def test_a_stroke_that_says_what_the_quick_look_says_stays_when_that_goes(desk, brush, final):
    look(desk, 1)
    touched = brush(1)
    assert (desk.labels.data == 1).all(), "the quick look is whole again after the stroke"
    finish(desk, final)
    mine = desk.labels.data == 1
    assert mine[touched].all()
    assert np.count_nonzero(mine) < 3 * np.count_nonzero(touched) * 5
    assert (desk.case.source[mine] == Source.PAINTED).all()
    desk.brush.undo()
    assert (desk.labels.data == (final or 0)).all()


def test_what_was_erased_from_a_quick_look_is_not_filled_by_the_final_labels(desk, brush):
    look(desk, 1)
    touched = brush(0)
    finish(desk, 1)
    assert not desk.labels.data[touched].any()
    desk.brush.undo()
    assert (desk.labels.data == 1).all()


def test_a_stroke_that_the_final_labels_agree_with_stays_the_persons(desk, brush):
    look(desk, 1)
    touched = brush(2)
    finish(desk, 2)
    assert (desk.case.source[touched] == Source.PAINTED).all()
    finish(desk, 3)
    assert (desk.labels.data[touched] == 2).all()
    desk.brush.undo()
    assert not (desk.labels.data == 1).any()


def test_a_stroke_undone_while_the_quick_look_is_there_leaves_nothing(desk, brush, qtbot):
    look(desk, 1)
    brush(2)
    desk.brush.undo()
    finish(desk, 3)
    assert (desk.labels.data == 3).all()
    desk.brush.redo()
    desk.brush.undo()
    assert (desk.labels.data == 3).all()


def test_the_strokes_under_and_over_each_other_are_undone_one_by_one(desk, brush):
    look(desk, 1)
    brush(2)
    brush(4)
    finish(desk, 3)
    desk.brush.undo()
    assert set(np.unique(desk.labels.data)) == {2, 3}
    desk.brush.undo()
    assert (desk.labels.data == 3).all()


def test_a_fill_of_a_quick_look_is_undone_to_the_labels_of_before(viewer, desk, drag, qtbot):
    viewer.dims.set_current_step(0, 5)
    viewer.reset_view()
    look(desk, 1)
    desk.select_labels()
    desk.labels.mode, desk.labels.selected_label = "fill", 2
    drag(viewer, desk.labels, STROKE[:1])
    qtbot.waitUntil(lambda: desk.tally.voxels == 24 * 24)
    finish(desk, None)
    assert np.count_nonzero(desk.labels.data == 2) == np.count_nonzero(desk.labels.data) == 24 * 24
    desk.brush.undo()
    assert not desk.labels.data.any()


def test_a_stop_while_the_brush_is_down_waits_for_the_stroke(viewer, desk, brush, qtbot):
    look(desk, 1)
    brush(2)
    desk.brush.undo()
    canvas = canvas_of(viewer)
    spots = [on_canvas(viewer, desk.labels, point) for point in STROKE]
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    send(canvas, QEvent.Type.MouseButtonPress, spots[0], left, left)
    send(canvas, QEvent.Type.MouseMove, spots[1], none, left)
    desk.prediction._on_stopped()
    assert desk.case.previews
    send(canvas, QEvent.Type.MouseButtonRelease, spots[1], left, none)
    qtbot.waitUntil(lambda: not desk.case.previews)
    assert set(np.unique(desk.labels.data)) == {0, 2}
    desk.brush.undo()
    assert not desk.labels.data.any()


def test_a_mask_taken_from_the_store_after_a_stop_holds_the_stroke_and_no_quick_look(
    desk, brush, scan
):
    look(desk, 1)
    brush(2)
    finish(desk, None)
    mine = desk.labels.data == 2
    again = desk.open_volume(scan)
    np.testing.assert_array_equal(again.labels == 2, mine)
    assert not (again.baseline == 1).any()
