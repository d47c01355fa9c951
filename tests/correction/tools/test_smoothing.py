"""Smoothing of one structure and of all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from shapes import MIDDLE, SHAPE, applied, away_mm, ball_voxels, overlap, scene_of

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach
from napari_medseg.correction.tools import smoothing
from napari_medseg.correction.tools.smoothing import BallKnobs, GaussianKnobs, JointKnobs

BALL = away_mm() <= 15
ONE_STRUCTURE = [
    (smoothing.median, BallKnobs()),
    (smoothing.gaussian, GaussianKnobs()),
    (smoothing.closing, BallKnobs()),
    (smoothing.opening, BallKnobs()),
]


def rough(share: float = 0.1) -> Bools:
    """The ball with so many voxels flipped."""
    return BALL ^ (np.random.default_rng(0).random(SHAPE) < share)


@pytest.mark.parametrize(
    ("tool", "knobs"),
    [(smoothing.median, BallKnobs(radius_mm=3.0)), (smoothing.gaussian, GaussianKnobs())],
)
def test_noise_is_taken_off_a_ball(tool: Callable[..., Edit | None], knobs: Any) -> None:
    scene = scene_of(rough())
    after = applied(scene, tool(scene, Aim(1), knobs)) == 1
    assert overlap(rough(), BALL) < 0.75 < 0.94 < overlap(after, BALL)


@pytest.mark.parametrize("planes", [7, 48])
def test_median_is_the_majority_in_a_ball_of_millimetres(
    planes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoothing, "PLANES_AT_ONCE", planes)
    scene, around = scene_of(rough()), ball_voxels(4.0).astype(int)
    after = applied(scene, smoothing.median(scene, Aim(1), BallKnobs(radius_mm=4.0))) == 1
    votes = ndimage.convolve(rough().astype(int), around, mode="nearest")
    np.testing.assert_array_equal(after, votes > around.sum() / 2)


@pytest.mark.parametrize("radius_mm", [1.0, 3.2, 5.0])
def test_closing_and_opening_are_those_by_a_ball(radius_mm: float) -> None:
    scene, element = scene_of(rough(0.01)), ball_voxels(radius_mm)
    wide = np.pad(rough(0.01), 16, mode="edge")  # nothing ends at the image's border
    inner = np.s_[16:-16, 16:-16, 16:-16]
    knobs = BallKnobs(radius_mm=radius_mm)
    for tool, truth in (
        (smoothing.closing, ndimage.binary_closing),
        (smoothing.opening, ndimage.binary_opening),
    ):
        edit = tool(scene, Aim(1), knobs)
        after = scene.labels if edit is None else applied(scene, edit)
        np.testing.assert_array_equal(after == 1, truth(wide, element)[inner])


def test_a_gap_closes_by_a_ball_that_fits_not_and_stays_by_one_that_fits() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[6:18, 10:50, 10:30] = labels[6:18, 10:50, 34:54] = 1  # a gap of 4 mm along X
    scene = scene_of(labels)
    middle = np.s_[11:13, 28:32, 30:34]
    assert smoothing.closing(scene, Aim(1), BallKnobs(radius_mm=1.0)) is None
    closed = applied(scene, smoothing.closing(scene, Aim(1), BallKnobs(radius_mm=3.0)))
    assert (closed[middle] == 1).all()


@pytest.mark.parametrize(("tool", "knobs"), ONE_STRUCTURE)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_others_and_far_voxels_stay(
    tool: Callable[..., Edit | None], knobs: Any, dtype: type
) -> None:
    labels = rough().astype(dtype)
    labels[:, 40:] = 300 if dtype is np.uint16 else 200
    scene = scene_of(labels, dtype=dtype)
    after = applied(scene, tool(scene, Aim(1), knobs))
    np.testing.assert_array_equal(after[:, 40:], labels[:, 40:])
    assert set(np.unique(after)) == set(np.unique(labels))
    assert tool(scene, Aim(9), knobs) is None


@pytest.mark.parametrize(("tool", "knobs"), [*ONE_STRUCTURE, (smoothing.joint, JointKnobs())])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_in_the_slice_nothing_else_changes(
    tool: Callable[..., Edit | None], knobs: Any, axis: int
) -> None:
    scene = scene_of(rough())
    after = applied(scene, tool(scene, Aim(1, axis, MIDDLE[axis]), type(knobs)(Reach.SLICE)))
    changed = np.moveaxis(after != scene.labels, axis, 0)
    assert changed[MIDDLE[axis]].any()
    assert not np.delete(changed, MIDDLE[axis], 0).any()


def test_structures_that_touch_touch_after_smoothing_without_a_gap() -> None:
    labels = BALL.astype(np.uint8)
    wavy = np.indices(SHAPE)[2] > 30 + np.random.default_rng(0).integers(-3, 4, SHAPE)
    labels[BALL & wavy] = 2
    scene = scene_of(labels)
    after = applied(scene, smoothing.joint(scene, Aim(1), JointKnobs(sigma_mm=2.0)))
    assert overlap(after > 0, BALL) > 0.96
    deep = away_mm() < 10
    assert (after[deep] > 0).all()
    flat = np.indices(SHAPE)[2] > 30
    assert overlap((after == 2) & deep, flat & deep) > overlap((labels == 2) & deep, flat & deep)
    assert overlap((after == 2) & deep, flat & deep) > 0.95


def test_joint_smoothing_is_the_same_in_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of(rough().astype(np.uint8) + 3 * rough(0.01))
    whole = applied(scene, smoothing.joint(scene, Aim(1), JointKnobs()))
    monkeypatch.setattr(smoothing, "PLANES_AT_ONCE", 5)
    np.testing.assert_array_equal(
        applied(scene, smoothing.joint(scene, Aim(1), JointKnobs())), whole
    )


def test_an_empty_mask_is_not_smoothed() -> None:
    assert smoothing.joint(scene_of(np.zeros(SHAPE)), Aim(1), JointKnobs()) is None
