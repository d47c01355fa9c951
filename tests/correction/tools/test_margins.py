"""Margins and shells in millimetres."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from shapes import MIDDLE, SHAPE, applied, away_mm, ball_voxels, scene_of

from napari_medseg.correction.edit import Aim, Reach
from napari_medseg.correction.tools.margins import (
    GrowKnobs,
    HollowKnobs,
    ShrinkKnobs,
    Side,
    grow,
    hollow,
    shrink,
)

AWAY = away_mm()
BALL = AWAY <= 12


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_voxel_grows_to_a_ball_round_in_millimetres(dtype: type) -> None:
    labels = np.zeros(SHAPE, dtype)
    labels[MIDDLE] = 5
    scene = scene_of(labels, dtype=dtype)
    after = applied(scene, grow(scene, Aim(5), GrowKnobs(by_mm=9.0)))
    np.testing.assert_array_equal(after == 5, AWAY <= 9.0)


@pytest.mark.parametrize("mm", [0.8, 2.5, 6.0])
def test_growing_and_shrinking_are_dilation_and_erosion_by_a_ball(mm: float) -> None:
    scene, element = scene_of(BALL), ball_voxels(mm)
    grown = applied(scene, grow(scene, Aim(1), GrowKnobs(by_mm=mm)))
    np.testing.assert_array_equal(grown == 1, ndimage.binary_dilation(BALL, element))
    shrunk = applied(scene, shrink(scene, Aim(1), ShrinkKnobs(by_mm=mm)))
    np.testing.assert_array_equal(shrunk == 1, ndimage.binary_erosion(BALL, element))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_in_the_slice_a_margin_stays_in_the_slice(axis: int) -> None:
    scene = scene_of(BALL)
    knobs = GrowKnobs(Reach.SLICE, by_mm=3.0)
    after = applied(scene, grow(scene, Aim(1, axis, MIDDLE[axis]), knobs))
    slab = np.zeros(SHAPE, bool)
    np.moveaxis(slab, axis, 0)[MIDDLE[axis]] = True
    element = ball_voxels(3.0)
    flat = element.take([element.shape[axis] // 2], axis)
    np.testing.assert_array_equal(after == 1, BALL | ndimage.binary_dilation(BALL & slab, flat))


@pytest.mark.parametrize(("over", "left"), [(False, True), (True, False)])
def test_growing_takes_nothing_of_others_unless_told(over: bool, left: bool) -> None:
    labels = BALL.astype(np.uint8)
    wall = np.zeros(SHAPE, bool)
    wall[:, :, 44:46] = True
    labels[wall] = 9
    scene = scene_of(labels)
    after = applied(scene, grow(scene, Aim(1), GrowKnobs(by_mm=5.0, over_others=over)))
    assert (after[wall] == 9).all() == left
    np.testing.assert_array_equal(
        (after == 1)[~wall], ndimage.binary_dilation(BALL, ball_voxels(5))[~wall]
    )


def test_the_images_border_does_not_erode() -> None:
    labels = np.zeros((6, 20, 20), np.uint8)
    labels[:, :10] = 1
    after = applied(scene_of(labels), shrink(scene_of(labels), Aim(1), ShrinkKnobs(by_mm=1.7)))
    np.testing.assert_array_equal(after[:, :8], 1)
    np.testing.assert_array_equal(after[:, 8:], 0)


def test_a_structure_thinner_than_the_margin_vanishes() -> None:
    after = applied(scene_of(BALL), shrink(scene_of(BALL), Aim(1), ShrinkKnobs(by_mm=30.0)))
    assert not after.any()


@pytest.mark.parametrize(
    ("side", "low", "high"),
    [(Side.INSIDE, 8, 12), (Side.OUTSIDE, 12, 16), (Side.BOTH, 10, 14)],
)
def test_a_hollow_ball_is_a_shell_of_the_thickness(side: Side, low: float, high: float) -> None:
    spacing, shape = (1.0, 0.5, 0.5), (36, 72, 72)
    away = away_mm((18, 36, 36), shape, spacing)
    scene = scene_of(away <= 12, spacing)
    shell = applied(scene, hollow(scene, Aim(1), HollowKnobs(thickness_mm=4.0, side=side))) == 1
    voxel = 1.0  # no voxel's centre is off by more than the largest spacing
    assert shell[(away > low + voxel) & (away < high - voxel)].all()
    assert not shell[(away < low - voxel) | (away > high + voxel)].any()


def test_an_empty_structure_gives_no_edit() -> None:
    scene = scene_of(BALL)
    for reach in Reach:
        assert grow(scene, Aim(2), GrowKnobs(reach)) is None
        assert shrink(scene, Aim(2), ShrinkKnobs(reach)) is None
        assert hollow(scene, Aim(2), HollowKnobs(reach)) is None


def test_what_is_said_names_the_size_before_and_after() -> None:
    edit = grow(scene_of(BALL), Aim(1), GrowKnobs(by_mm=3.0))
    before = np.count_nonzero(BALL) * 2.4e-3
    assert edit is not None
    assert edit.said.startswith(f"Grown by 3 mm: {before:.1f} ml → ")
