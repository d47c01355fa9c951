"""Flood and threshold find what has the grey values of a click, an outline or a range."""

from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import SHAPE, after, aim_at, ball, overlap, scene_of

from napari_medseg.correction.edit import Aim, Reach, Scene
from napari_medseg.correction.tools.regions import (
    FloodKnobs,
    Method,
    Side,
    ThresholdKnobs,
    Where,
    flood,
    threshold,
)
from napari_medseg.errors import InputError

TRUTH = ball((10, 32, 32), 15)


def test_a_flood_through_the_volume_finds_a_noisy_ball() -> None:
    scene = scene_of(TRUTH, noise=12)
    found = after(scene, flood(scene, aim_at((10, 32, 32)), FloodKnobs(reach=Reach.VOLUME)))
    assert overlap(found == 1, TRUTH) >= 0.97


def test_a_flood_in_the_slice_stays_in_it() -> None:
    scene = scene_of(TRUTH, noise=12)
    edit = flood(scene, aim_at((10, 32, 32)), FloodKnobs())
    found = after(scene, edit)
    assert overlap(found[10] == 1, TRUTH[10]) >= 0.97
    assert not np.delete(found, 10, axis=0).any()


@pytest.mark.parametrize(("tolerance", "expected"), [(40.0, 1), (60.0, 2)])
def test_a_tolerance_is_in_the_units_of_the_image(tolerance: float, expected: int) -> None:
    image = np.zeros((1, 1, 30), np.float32)
    image[..., 10:20], image[..., 20:] = 100, 150
    scene = Scene(image, np.zeros(image.shape, np.uint8), (1.0, 1.0, 1.0))
    edit = flood(scene, aim_at((0, 0, 14)), FloodKnobs(tolerance=tolerance))
    assert np.count_nonzero(after(scene, edit)) == 10 * expected


def test_a_flood_goes_no_further_than_its_distance_in_mm() -> None:
    scene = scene_of(np.ones(SHAPE, bool), noise=0)
    knobs = FloodKnobs(farthest_mm=6.0, tolerance=1.0, reach=Reach.VOLUME)
    found = after(scene, flood(scene, aim_at((10, 32, 32)), knobs))
    assert np.array_equal(found == 1, ball((10, 32, 32), 6))


def test_a_flood_where_all_is_labelled_changes_nothing() -> None:
    scene = scene_of(TRUTH, TRUTH.astype(np.uint8), noise=0)
    assert flood(scene, aim_at((10, 32, 32)), FloodKnobs(tolerance=1.0)) is None


@pytest.mark.parametrize("aim", [Aim(1), aim_at((10, 99, 3)), aim_at((10, 32, 32), label=0)])
def test_a_flood_needs_a_click_in_the_scan_and_a_structure(aim: Aim) -> None:
    with pytest.raises(InputError):
        flood(scene_of(TRUTH), aim, FloodKnobs())


def test_otsu_finds_the_threshold_between_two_tissues() -> None:
    scene = scene_of(TRUTH, noise=12)
    edit = threshold(scene, Aim(1), ThresholdKnobs(reach=Reach.VOLUME))
    assert overlap(after(scene, edit) == 1, TRUTH) >= 0.97
    dark = threshold(scene, Aim(1), ThresholdKnobs(side=Side.DARK, reach=Reach.VOLUME))
    assert overlap(after(scene, dark) == 1, ~TRUTH) >= 0.97


def test_a_range_within_the_structure_takes_away_what_lies_outside_it() -> None:
    scene = scene_of(TRUTH, ball((10, 32, 32), 20).astype(np.uint8), noise=12)
    knobs = ThresholdKnobs(Method.RANGE, where=Where.STRUCTURE, low=50, reach=Reach.VOLUME)
    assert overlap(after(scene, threshold(scene, Aim(1), knobs)) == 1, TRUTH) >= 0.97


def test_a_threshold_in_an_outline_stays_within_it_through_all_slices() -> None:
    other = ball((10, 10, 10), 8)
    scene = scene_of(TRUTH | other, noise=12)
    corners = [(10, 14, 14), (10, 14, 50), (10, 50, 50), (10, 50, 14)]
    knobs = ThresholdKnobs(where=Where.OUTLINE, reach=Reach.VOLUME)
    found = after(scene, threshold(scene, aim_at(*corners), knobs)) == 1
    assert overlap(found, TRUTH) >= 0.97
    assert not found[:, :14].any()


def test_the_local_mean_sees_spots_on_a_slope() -> None:
    spots = ball((10, 20, 20), 4) | ball((10, 40, 48), 4)
    scene = scene_of(spots, noise=5)
    image = scene.image + 4 * np.arange(64)
    knobs = ThresholdKnobs(Method.LOCAL, window_mm=30, offset=40)
    edit = threshold(Scene(image, scene.labels, scene.spacing_mm), aim_at((10, 0, 0)), knobs)
    assert overlap(after(scene, edit)[10] == 1, spots[10]) >= 0.9


def test_otsu_refuses_a_region_of_one_value() -> None:
    scene = scene_of(np.zeros(SHAPE, bool), noise=0)
    with pytest.raises(InputError, match="two different grey values"):
        threshold(scene, Aim(1), ThresholdKnobs())


def test_a_threshold_in_an_absent_structure_changes_nothing() -> None:
    assert threshold(scene_of(TRUTH), Aim(3), ThresholdKnobs(where=Where.STRUCTURE)) is None
