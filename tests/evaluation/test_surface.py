"""Surface distances, on regions whose distance is known."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.distance import cdist

from napari_medseg.evaluation.surface import surface_distances, surface_scores

Spacing = tuple[float, float, float]


def cube(
    shape: tuple[int, int, int], start: tuple[int, int, int], size: int
) -> npt.NDArray[np.bool_]:
    region = np.zeros(shape, bool)
    region[tuple(slice(s, s + size) for s in start)] = True
    return region


@pytest.mark.parametrize(
    ("axis", "spacing_mm"), [(0, (3, 1, 1)), (1, (5, 1.5, 0.7)), (2, (5, 1, 1))]
)
def test_shifting_a_cube_by_3_mm_gives_hd95_of_3_mm(axis: int, spacing_mm: Spacing) -> None:
    steps = round(3 / spacing_mm[axis])
    pred = cube((20, 20, 20), (6, 6, 6), 5)
    ref = np.roll(pred, steps, axis)
    assert surface_scores(pred, ref, spacing_mm).hd95_mm == pytest.approx(3.0, abs=1e-5)


def test_equal_regions_have_no_distance() -> None:
    region = cube((9, 9, 9), (2, 3, 4), 4)
    scores = surface_scores(region, region, (2, 1, 1))
    assert (scores.hd95_mm, scores.assd_mm, scores.nsd) == (0.0, 0.0, 1.0)


def test_two_single_voxels_are_as_far_apart_as_their_centres() -> None:
    pred, ref = cube((8, 8, 8), (1, 1, 1), 1), cube((8, 8, 8), (3, 4, 1), 1)
    scores = surface_scores(pred, ref, (2.0, 1.0, 1.0), tolerance_mm=4.9)
    assert scores.hd95_mm == scores.assd_mm == pytest.approx(5.0)
    assert scores.nsd == 0.0


def test_a_distance_equal_to_the_tolerance_is_within_it() -> None:
    pred, ref = cube((4, 4, 9), (1, 1, 1), 1), cube((4, 4, 9), (1, 1, 4), 1)
    assert surface_scores(pred, ref, (1, 1, 0.7), tolerance_mm=2.1).nsd == 1.0


def test_distances_are_those_of_all_pairs_of_boundary_voxels() -> None:
    rng = np.random.default_rng(1)
    pred, ref = rng.random((2, 7, 8, 9)) > 0.8  # sparse: nearly every voxel is boundary
    spacing = np.array([2.5, 1.0, 0.6])
    to_ref, to_pred = surface_distances(pred, ref, tuple(spacing))
    points = [np.argwhere(inner_edge(region)) * spacing for region in (pred, ref)]
    pairs = cdist(*points)
    np.testing.assert_allclose(to_ref, pairs.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(to_pred, pairs.min(axis=0), rtol=1e-5)


def inner_edge(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    wide = np.pad(region, 1)
    hidden = wide.copy()
    for axis in range(3):
        hidden &= np.roll(wide, 1, axis) & np.roll(wide, -1, axis)
    return region & ~hidden[1:-1, 1:-1, 1:-1]


def test_a_region_at_the_border_has_a_surface_there() -> None:
    everything = np.ones((5, 5, 5), bool)
    to_ref, _ = surface_distances(everything, everything, (1, 1, 1))
    assert to_ref.size == 125 - 27


def test_a_single_slice_is_measured_in_the_plane() -> None:
    pred, ref = np.zeros((2, 1, 20, 20), bool)
    pred[0, 5:15, 5:15], ref[0, 5:15, 7:17] = True, True
    to_ref, _ = surface_distances(pred, ref, (5, 1, 1))
    assert to_ref.size == 36
    assert surface_scores(pred, ref, (5, 1, 1)).hd95_mm == 2.0


def test_a_line_and_a_lone_voxel_can_be_measured() -> None:
    line = np.zeros((1, 1, 9), bool)
    line[0, 0, 2] = True
    assert surface_scores(line, np.roll(line, 3, 2), (1, 1, 2)).hd95_mm == pytest.approx(6.0)
    dot = np.ones((1, 1, 1), bool)
    assert surface_scores(dot, dot, (1, 1, 1)).hd95_mm == 0.0


def test_a_missed_region_is_infinitely_far_and_none_in_both_is_no_score() -> None:
    some, none = cube((4, 4, 4), (1, 1, 1), 2), np.zeros((4, 4, 4), bool)
    missed = surface_scores(some, none, (1, 1, 1))
    assert (missed.hd95_mm, missed.assd_mm, missed.nsd) == (math.inf, math.inf, 0.0)
    assert math.isnan(surface_scores(none, none, (1, 1, 1)).hd95_mm)
