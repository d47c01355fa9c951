"""A rough stroke snaps to the edge."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tool_phantoms import SHAPE, after, aim_at, ball, overlap, scene_of

from napari_medseg.correction.edit import Reach, Scene
from napari_medseg.correction.tools.assisted import AssistedKnobs, Does, assisted

TRUTH = ball((10, 32, 32), 12)
STROKE = ((10, 31, 28), (10, 33, 36))
VOLUME = AssistedKnobs(radius_mm=16, reach=Reach.VOLUME)


def test_a_stroke_in_the_slice_fills_the_disc() -> None:
    scene = scene_of(TRUTH, noise=30)
    found = after(scene, assisted(scene, aim_at(*STROKE), AssistedKnobs(radius_mm=14)))
    assert overlap(found[10] == 1, TRUTH[10]) >= 0.96
    assert not np.delete(found, 10, axis=0).any()


def test_a_stroke_in_one_slice_fills_the_ball() -> None:
    scene = scene_of(TRUTH, noise=30)
    assert overlap(after(scene, assisted(scene, aim_at(*STROKE), VOLUME)) == 1, TRUTH) >= 0.95


def test_nothing_beyond_the_radius_is_touched() -> None:
    scene = scene_of(np.ones(SHAPE, bool), noise=1)
    found = after(scene, assisted(scene, aim_at((10, 32, 32)), VOLUME))
    assert not found[~ball((10, 32, 32), 16.01)].any()


def test_a_leak_is_taken_away_and_the_structure_stays() -> None:
    leak = ball((10, 32, 50), 9) & ~TRUTH
    scene = scene_of(TRUTH, (TRUTH | leak).astype(np.uint8), noise=25)
    knobs = AssistedKnobs(Does.REMOVE, radius_mm=12, reach=Reach.VOLUME)
    found = after(scene, assisted(scene, aim_at((10, 30, 51), (10, 34, 51)), knobs)) == 1
    assert overlap(found, TRUTH) >= 0.98


def test_set_anew_adds_and_takes_in_one_stroke() -> None:
    scene = scene_of(TRUTH, ball((10, 35, 37), 12).astype(np.uint8), noise=25)
    knobs = AssistedKnobs(Does.BOTH, radius_mm=20)
    found = after(scene, assisted(scene, aim_at(*STROKE), knobs)) == 1
    assert overlap(found[10], TRUTH[10]) >= 0.96


def test_set_anew_does_not_hear_the_mask_beyond_the_radius() -> None:
    false = ball((10, 32, 56), 8)
    alone, beside = (
        scene_of(TRUTH, labels.astype(np.uint8), noise=25) for labels in (TRUTH & False, false)
    )
    knobs = AssistedKnobs(Does.BOTH, radius_mm=16)
    first, second = (after(one, assisted(one, aim_at(*STROKE), knobs)) for one in (alone, beside))
    within = ball((10, 32, 32), 12)[10]
    assert overlap(second[10][within] == 1, first[10][within] == 1) >= 0.99
    assert np.array_equal(second[10, :, 60:] == 1, false[10, :, 60:])


def test_the_edge_can_be_drawn_tighter_or_wider() -> None:
    blurred = gaussian_filter(100.0 * TRUTH, (0.5, 2, 2)) + scene_of(TRUTH & False, noise=8).image
    scene = Scene(blurred, np.zeros(SHAPE, np.uint8), (3.0, 1.0, 1.0))
    sizes = [
        np.count_nonzero(
            after(scene, assisted(scene, aim_at(*STROKE), AssistedKnobs(radius_mm=16, edge=edge)))
        )
        for edge in (-1.0, 0.0, 1.0)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_models_probabilities_find_what_grey_values_do_not_show() -> None:
    chances = {1: (0.15 + 0.7 * TRUTH).astype(np.float16)}
    blind = scene_of(np.zeros(SHAPE, bool), noise=20)
    shown = scene_of(np.zeros(SHAPE, bool), noise=20, chances=chances)
    without, with_ = (after(one, assisted(one, aim_at(*STROKE), VOLUME)) for one in (blind, shown))
    assert overlap(with_ == 1, TRUTH) >= 0.95 > overlap(without == 1, TRUTH)


def test_other_structures_are_not_painted_over() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[..., 40:] = 2
    scene = scene_of(TRUTH, labels)
    found = after(scene, assisted(scene, aim_at(*STROKE), VOLUME))
    assert np.array_equal(found == 2, labels == 2)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_stroke_works_in_the_other_views(axis: int) -> None:
    scene = scene_of(TRUTH, noise=20)
    found = after(
        scene, assisted(scene, aim_at((10, 32, 32), axis=axis), AssistedKnobs(radius_mm=15))
    )
    plane = np.take(TRUTH, 32, axis=axis)
    assert overlap(np.take(found == 1, 32, axis=axis), plane) >= 0.93


def test_a_long_stroke_in_a_fine_volume_is_thinned_out_and_still_right() -> None:
    shape, spacing = (100, 120, 120), (0.5, 0.5, 0.5)
    truth = ball((50, 60, 60), 18, shape, spacing)
    scene = scene_of(truth, noise=25, spacing_mm=spacing)
    knobs = AssistedKnobs(radius_mm=25, reach=Reach.VOLUME)
    found = after(scene, assisted(scene, aim_at((50, 60, 55), (50, 60, 65)), knobs))
    assert overlap(found == 1, truth) >= 0.96


def test_erasing_where_nothing_is_changes_nothing() -> None:
    scene: Scene = scene_of(TRUTH)
    assert assisted(scene, aim_at(*STROKE), AssistedKnobs(Does.REMOVE)) is None
