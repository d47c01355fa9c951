"""Footprints of the brush: round in millimetres, without gaps, small; and strokes taken back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from napari_medseg.correction.brush import footprint, line
from napari_medseg.correction.edit import Over, Rules, Scene
from napari_medseg.correction.paint import Paint, grey_range

SHAPE = (20, 40, 44)
THICK = (5.0, 0.7, 0.7)


def filled(found, shape=SHAPE) -> np.ndarray:
    """A footprint in a volume of its own."""
    volume = np.zeros(shape, bool)
    if found is not None:
        volume[found[0]] = found[1]
    return volume


def near(start, end, radius_mm, spacing_mm, shape=SHAPE) -> np.ndarray:
    """Voxels within a radius of a segment, each by itself: the long way round."""
    a, b = (np.asarray(p, float) * spacing_mm for p in (start, end))
    centres = np.stack(np.indices(shape), -1) * np.asarray(spacing_mm)
    way = b - a
    t = np.clip((centres - a) @ way / max(way @ way, 1e-300), 0, 1)
    return np.linalg.norm(centres - a - t[..., None] * way, axis=-1) <= radius_mm + 1e-7


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), THICK, (0.5, 2.0, 1.0)])
@pytest.mark.parametrize("end", [(9, 20, 20), (9, 25.3, 31.8), (12, 3, 40), (9, 60, 20)])
def test_a_ball_covers_all_within_its_radius_in_mm_of_the_way(spacing_mm, end):
    start = (9, 20, 20)
    found = filled(footprint(start, end, 6.0, spacing_mm, SHAPE))
    np.testing.assert_array_equal(found, near(start, end, 6.0, spacing_mm))


def test_a_ball_on_thick_slices_is_a_ball_in_mm():
    found = filled(footprint((10, 20, 20), (10, 20, 20), 10.5, THICK, SHAPE))
    widths_mm = [np.count_nonzero(found.any(others)) for others in ((1, 2), (0, 2), (0, 1))]
    assert widths_mm == [5, 31, 31]  # 25, 21.7 and 21.7 mm from rim to rim


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_disc_stays_in_its_slice_and_is_a_circle_in_mm(axis):
    start, end = np.array([10.0, 20, 20]), np.array([13.0, 22, 30])
    end[axis] = start[axis]
    found = filled(footprint(start, end, 6.0, THICK, SHAPE, axis))
    expected = near(start, end, 6.0, THICK)
    inside = np.zeros(SHAPE, bool)
    inside[(slice(None),) * axis + (int(start[axis]),)] = True
    np.testing.assert_array_equal(found, expected & inside)


def test_its_box_is_small_and_inside_the_volume():
    box, inside = footprint((10, 2, 2), (10, 2, 8), 3.0, (1, 1, 1), SHAPE)
    assert box == (slice(7, 14), slice(0, 6), slice(0, 12))
    assert inside.shape == (7, 6, 12)
    assert footprint((10, -9, 2), (10, -9, 8), 3.0, (1, 1, 1), SHAPE) is None


@pytest.mark.parametrize("draw", [line, lambda a, b, shape: footprint(a, b, 0.1, THICK, shape, 0)])
def test_the_thinnest_stroke_is_a_line_without_gaps(draw):
    found = filled(draw((5, 2.4, 3.4), (5, 30.6, 13.2), SHAPE))[5]
    rows, columns = np.nonzero(found)
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (2, 3, 31, 13)
    np.testing.assert_array_equal(rows, np.arange(2, 32))
    assert np.abs(np.diff(columns)).max() <= 1


def test_a_stroke_of_many_moves_is_that_of_one():
    corners = np.array([(5, 3, 3), (5, 30, 12), (5, 8, 38)], float)
    whole = sum(filled(footprint(a, b, 2.0, (1, 1, 1), SHAPE)) for a, b in pairwise(corners))
    steps = np.concatenate([np.linspace(a, b, 7) for a, b in pairwise(corners)])
    pieces = sum(filled(footprint(a, b, 2.0, (1, 1, 1), SHAPE)) for a, b in pairwise(steps))
    np.testing.assert_array_equal(whole > 0, pieces > 0)


@pytest.fixture
def scene() -> Scene:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 10:20, 10:20], labels[:, 10:20, 20:30] = 1, 2
    image = np.broadcast_to(np.arange(SHAPE[2], dtype=np.int16), SHAPE).copy()
    return Scene(image, labels, (1.0, 1.0, 1.0))


ALL = ((slice(4, 5), slice(0, 40), slice(0, 44)), np.ones((1, 40, 44), bool))


@pytest.mark.parametrize(
    ("rules", "may"),
    [
        (Rules(), lambda labels, image: labels >= 0),
        (Rules(Over.BACKGROUND), lambda labels, image: labels == 0),
        (Rules(Over.CHOSEN), lambda labels, image: labels == 2),
        (Rules(locked=frozenset({1})), lambda labels, image: labels != 1),
        (Rules(locked=frozenset({3})), lambda labels, image: labels < 0),
        (Rules(low=12, high=25), lambda labels, image: (image >= 12) & (image <= 25)),
    ],
)
def test_paint_changes_what_the_rules_allow_and_can_be_taken_back(scene, rules, may):
    before = scene.labels.copy()
    allowed = may(before[4], scene.image[4])
    paint = Paint(scene, rules, 3, chosen=2)
    assert paint.put(ALL) == bool(allowed.any())
    assert (scene.labels[4][allowed] == 3).all()
    np.testing.assert_array_equal(scene.labels[4][~allowed], before[4][~allowed])
    paint.put(footprint((4, 5, 5), (8, 30, 30), 4.0, (1, 1, 1), SHAPE))
    paint.take_back()
    np.testing.assert_array_equal(scene.labels, before)


def test_the_box_of_a_stroke_holds_all_that_it_changed(scene):
    before = scene.labels.copy()
    paint = Paint(scene, Rules(), 7, 7)
    assert paint.box is None
    for end in ((4, 5, 5), (9, 30, 30)):
        paint.put(footprint(end, end, 2.0, (1, 1, 1), SHAPE))
    changed = scene.labels != before
    inside = np.zeros(SHAPE, bool)
    inside[paint.box] = True
    assert changed.any()
    assert not (changed & ~inside).any()


def test_a_grey_range_is_the_mean_and_some_deviations():
    image = np.zeros(SHAPE)
    image[4] = np.random.default_rng(0).normal(50, 3, SHAPE[1:])
    image[4, 0, 0] = np.nan
    low, high = grey_range(image, ALL, 2.0)
    assert (low, high) == (pytest.approx(44, abs=0.5), pytest.approx(56, abs=0.5))
    assert grey_range(np.full(SHAPE, np.nan), ALL, 2.0) is None
