"""One click adds a missed region or takes a false one away."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tool_phantoms import SHAPE, after, aim_at, ball, overlap, scene_of

from napari_medseg.correction.edit import Bools, Reach
from napari_medseg.correction.tools.probable import FixKnobs, click_to_fix
from napari_medseg.errors import InputError

MAIN, OTHER = ball((10, 32, 18), 10), ball((10, 32, 46), 9)


def given(where: Bools, high: float, low: float = 0.02) -> np.ndarray:
    """What a model says of a region: soft at its edge, with noise."""
    soft = gaussian_filter(where.astype(np.float32), (0.4, 1.2, 1.2))
    noise = np.random.default_rng(1).normal(0, 0.02, where.shape)
    return np.clip(low + (high - low) * soft + noise, 0, 1).astype(np.float16)


@pytest.mark.parametrize("high", [0.9, 0.6, 0.3])
def test_a_click_adds_what_the_model_half_saw(high: float) -> None:
    chances = {1: np.maximum(given(MAIN, 0.95), given(OTHER, high))}
    scene = scene_of(np.zeros(SHAPE, bool), MAIN.astype(np.uint8), chances=chances)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, 45)), FixKnobs())) == 1
    assert overlap(found, MAIN | OTHER) >= 0.93


@pytest.mark.parametrize("high", [0.4, 0.7])
def test_a_click_takes_away_what_the_model_doubts(high: float) -> None:
    chances = {1: np.maximum(given(MAIN, 0.97), given(OTHER, high))}
    labels = (MAIN | OTHER).astype(np.uint8)
    scene = scene_of(np.zeros(SHAPE, bool), labels, chances=chances)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, 45)), FixKnobs())) == 1
    assert overlap(found, MAIN) >= 0.93


def test_without_a_model_grey_values_show_what_is_missed() -> None:
    scene = scene_of(MAIN | OTHER, MAIN.astype(np.uint8), noise=12)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, 45)), FixKnobs())) == 1
    assert overlap(found, MAIN | OTHER) >= 0.93


def test_without_a_model_grey_values_show_what_is_false() -> None:
    leak = ball((10, 32, 34), 9) & ~MAIN
    scene = scene_of(MAIN, (MAIN | leak).astype(np.uint8), noise=12)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, 37)), FixKnobs())) == 1
    assert overlap(found, MAIN) >= 0.93


@pytest.mark.parametrize("reach", list(Reach))
@pytest.mark.parametrize("x", [45, 46, 47])
def test_a_click_in_a_missed_rim_grows_the_whole_mask_to_the_edge(x: int, reach: Reach) -> None:
    truth = ball((10, 32, 32), 16)
    scene = scene_of(truth, ball((10, 32, 32), 11).astype(np.uint8), noise=25)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, x)), FixKnobs(reach=reach))) == 1
    where = slice(10, 11) if reach is Reach.SLICE else slice(None)
    assert overlap(found[where], truth[where]) >= 0.97


@pytest.mark.parametrize("x", [49, 51])
def test_a_click_in_a_false_rim_takes_all_of_it_away(x: int) -> None:
    truth = ball((10, 32, 32), 16)
    scene = scene_of(truth, ball((10, 32, 32), 20).astype(np.uint8), noise=25)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, x)), FixKnobs())) == 1
    assert overlap(found, truth) >= 0.96


def test_a_mask_grows_only_where_grey_values_agree() -> None:
    truth = ball((10, 32, 32), 16) & (np.arange(64) >= 32)
    mask = ball((10, 32, 32), 11) & (np.arange(64) >= 32)
    scene = scene_of(truth, mask.astype(np.uint8), noise=12)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, 46)), FixKnobs())) == 1
    assert overlap(found, truth) >= 0.95


def test_where_the_model_is_silent_grey_values_decide() -> None:
    chances = {1: given(MAIN, 0.97, 0.0) * MAIN}
    scene = scene_of(MAIN | OTHER, MAIN.astype(np.uint8), noise=12, chances=chances)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, 45)), FixKnobs())) == 1
    assert overlap(found, MAIN | OTHER) >= 0.93


def test_in_the_slice_no_other_slice_changes() -> None:
    scene = scene_of(MAIN | OTHER, MAIN.astype(np.uint8), noise=12)
    edit = click_to_fix(scene, aim_at((10, 32, 45)), FixKnobs(reach=Reach.SLICE))
    assert edit is not None
    assert edit.box[0] == slice(10, 11)


def test_no_click_goes_further_than_it_may() -> None:
    scene = scene_of(np.ones(SHAPE, bool), noise=1)
    found = after(scene, click_to_fix(scene, aim_at((10, 32, 32)), FixKnobs(farthest_mm=8.0)))
    assert not found[~ball((10, 32, 32), 8.01)].any()


def test_a_structure_and_a_click_in_the_scan_are_needed() -> None:
    with pytest.raises(InputError, match="a structure must be chosen"):
        click_to_fix(scene_of(MAIN), aim_at((10, 32, 45), label=0), FixKnobs())
    with pytest.raises(InputError, match="must lie within the scan"):
        click_to_fix(scene_of(MAIN), aim_at((99, 0, 0)), FixKnobs())
