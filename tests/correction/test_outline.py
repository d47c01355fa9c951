"""Outlines, scissors and fill, on shapes whose inside is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.correction.edit import Reach, Scene
from napari_medseg.correction.outline import fill_outline, inside_of, pour, scissors

SHAPE = (6, 12, 14)
SQUARE = np.array([(2.5, 3.5), (2.5, 9.5), (8.5, 9.5), (8.5, 3.5)])


@pytest.fixture
def scene() -> Scene:
    labels = np.ones(SHAPE, np.uint8)
    labels[:, 5, 5] = 2
    return Scene(np.zeros(SHAPE, np.int16), labels, (5.0, 0.7, 0.7))


def applied(scene: Scene, edit) -> np.ndarray:
    labels = scene.labels.copy()
    if edit is not None:
        labels[edit.box] = edit.labels
    return labels


def test_a_square_holds_the_centres_within_it():
    inside = inside_of(SQUARE, (12, 14))
    assert inside.sum() == inside[3:9, 4:10].sum() == 36


def test_each_centre_obeys_the_even_odd_rule_also_where_lines_cross():
    star = 20 + 17 * np.array([(np.cos(a), np.sin(a)) for a in np.arange(5) * 4 * np.pi / 5])
    inside = inside_of(star, (40, 40))
    assert not inside[20, 20], "the middle of a pentagram is enclosed twice"
    assert inside[34, 20]
    rows, columns = np.mgrid[:40, :40]
    for (y0, x0), (y1, x1) in zip(star, np.roll(star, -1, 0), strict=True):
        crosses = (y0 <= rows) != (y1 <= rows)
        inside ^= crosses & (columns >= x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    assert not inside.any(), "turned once more by each edge nothing is left"


def test_areas_that_share_an_edge_share_no_pixel_and_leave_none_out():
    corners = [
        np.array([(0, 0), (0, 7), (9, 7), (9, 0)]),
        np.array([(0, 7), (0, 13), (9, 13), (9, 7)]),
    ]
    both = [inside_of(one, (12, 14)) for one in corners]
    assert not (both[0] & both[1]).any()
    np.testing.assert_array_equal(
        both[0] | both[1], inside_of(np.array([(0, 0), (0, 13), (9, 13), (9, 0)]), (12, 14))
    )


def test_an_outline_that_leaves_the_slice_is_cut_at_its_border():
    inside = inside_of(np.array([(-5.0, -5), (-5, 30), (4.5, 30), (4.5, -5)]), (12, 14))
    assert inside[:5].all()
    assert not inside[5:].any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_filling_changes_one_slice_across_any_axis(scene, axis):
    outline = np.array([(0.5, 0.5), (0.5, 4.5), (4.5, 4.5), (4.5, 0.5)])
    changed = applied(scene, fill_outline(scene, outline, axis, 3, 9)) == 9
    expected = np.zeros(SHAPE, bool)
    np.moveaxis(expected, axis, 0)[3, 1:5, 1:5] = True
    np.testing.assert_array_equal(changed, expected)


def test_nothing_enclosed_is_no_edit(scene):
    assert fill_outline(scene, SQUARE[:2], 0, 3, 9) is None
    assert fill_outline(scene, SQUARE * 0.01 + 3.1, 0, 3, 9) is None
    assert scissors(scene, SQUARE, 0, value=5) is None


@pytest.mark.parametrize("slices", [None, slice(1, 4)])
@pytest.mark.parametrize("keep", [False, True])
def test_scissors_take_the_chosen_structure_inside_or_outside(scene, keep, slices):
    now = applied(scene, scissors(scene, SQUARE, 0, 1, keep, slices))
    inside = np.zeros(SHAPE, bool)
    inside[:, 3:9, 4:10] = True
    reached = np.zeros(SHAPE, bool)
    reached[slices or slice(None)] = True
    gone = reached & (inside ^ keep) & (scene.labels == 1)
    np.testing.assert_array_equal(now, np.where(gone, 0, scene.labels))


def test_scissors_of_no_structure_cut_all_of_them(scene):
    assert not applied(scene, scissors(scene, SQUARE, 0, 0))[:, 3:9, 4:10].any()


@pytest.mark.parametrize(("reach", "slices"), [(Reach.SLICE, 1), (Reach.VOLUME, 4)])
def test_fill_pours_over_what_touches_with_the_same_label(scene, reach, slices):
    scene.labels[:, :, 7] = 3  # a wall
    scene.labels[4] = 3
    now = applied(scene, pour(scene, (2, 1, 1), 0, 9, reach))
    assert np.count_nonzero(now == 9) == slices * (12 * 7 - 1)
    assert not (now[:, :, 8:] == 9).any()
    assert pour(scene, (2, 1, 1), 0, 1) is None
