"""Slices between labelled ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from shapes import applied, overlap, scene_of

from napari_medseg.correction.edit import Aim, Bools, Reach
from napari_medseg.correction.tools.between_slices import Along, BetweenKnobs, fill_between

SHAPE, SPACING = (25, 80, 90), (3.0, 0.8, 0.5)


def discs(radii_mm: npt.NDArray[np.float64], x_mm: npt.NDArray[np.float64]) -> Bools:
    """A disc in each slice, by radius and centre."""
    _, y, x = np.ogrid[:25, :80, :90]
    away = np.hypot((y - 40) * 0.8, x * 0.5 - x_mm[:, None, None])
    return np.asarray(away <= radii_mm[:, None, None])


def only(truth: Bools, every: int, axis: int = 0) -> Bools:
    """The truth in each n-th slice."""
    drawn = np.zeros_like(truth)
    part = np.moveaxis(drawn, axis, 0)
    part[::every] = np.moveaxis(truth, axis, 0)[::every]
    return drawn


Z = np.arange(25)
CONE = discs(4 + 0.6 * Z, np.full(25, 22.0))
TUBE = discs(np.full(25, 3.0), 5 + 1.4 * Z)  # from one drawn slice to the next without overlap


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("truth", "dice"), [(CONE, 0.99), (TUBE, 0.97)])
def test_a_cone_and_an_oblique_tube_come_back(truth: Bools, dice: float, dtype: type) -> None:
    scene = scene_of(only(truth, 6), SPACING, dtype=dtype)
    after = applied(scene, fill_between(scene, Aim(1), BetweenKnobs())) == 1
    assert overlap(after, truth) > dice
    assert np.count_nonzero(after) == pytest.approx(np.count_nonzero(truth), rel=0.02)
    np.testing.assert_array_equal(after[::6], truth[::6])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_plane_can_be_filled_across(axis: int) -> None:
    scene = scene_of(only(CONE, 4, axis), SPACING)
    inside = np.zeros(SHAPE, bool)
    drawn = np.flatnonzero(only(CONE, 4, axis).any(tuple({0, 1, 2} - {axis})))
    np.moveaxis(inside, axis, 0)[drawn[0] : drawn[-1] + 1] = True
    viewed = fill_between(scene, Aim(1, axis), BetweenKnobs())
    after = applied(scene, viewed) == 1
    assert overlap(after, CONE & inside) > 0.96
    named = fill_between(scene, Aim(1), BetweenKnobs(along=list(Along)[axis + 1]))
    np.testing.assert_array_equal(applied(scene, named), after)


def test_between_two_equal_slices_all_are_equal() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[[3, 20]] = CONE[10]
    after = applied(
        scene_of(labels, SPACING), fill_between(scene_of(labels, SPACING), Aim(1), BetweenKnobs())
    )
    np.testing.assert_array_equal(after[3:21], np.broadcast_to(CONE[10], (18, 80, 90)))
    assert not after[:3].any()
    assert not after[21:].any()


def test_of_several_structures_each_comes_back_and_none_takes_of_another() -> None:
    ring = discs(9 + 0.6 * Z, np.full(25, 22.0)) & ~CONE
    truth = CONE.astype(np.uint8) + 5 * ring
    scene = scene_of(np.where(only(truth > 0, 6), truth, 0), SPACING)
    after = applied(scene, fill_between(scene, Aim(1), BetweenKnobs(all_structures=True)))
    assert overlap(after == 1, CONE) > 0.98
    assert overlap(after == 5, ring) > 0.96
    np.testing.assert_array_equal(after[::6], truth[::6])
    alone = applied(scene, fill_between(scene, Aim(1), BetweenKnobs()))
    np.testing.assert_array_equal(alone == 5, scene.labels == 5)


@pytest.mark.parametrize("over", [False, True])
def test_voxels_of_others_are_taken_only_if_told(over: bool) -> None:
    labels = only(CONE, 6).astype(np.uint8)
    labels[8, 30:50, 30:60] = 7
    scene = scene_of(labels, SPACING)
    after = applied(scene, fill_between(scene, Aim(1), BetweenKnobs(over_others=over)))
    assert (after[8, 40, 44] == 1) is np.bool_(over)
    assert after[9, 40, 44] == 1


@pytest.mark.parametrize(("axis", "index"), [(1, 40), (2, 20), (2, 2)])
def test_across_the_drawn_slices_the_viewed_one_is_filled_as_in_the_volume(
    axis: int, index: int
) -> None:
    scene = scene_of(only(CONE, 6), SPACING)
    whole = applied(scene, fill_between(scene, Aim(1), BetweenKnobs()))
    edit = fill_between(scene, Aim(1, axis, index), BetweenKnobs(Reach.SLICE, Along.AXIAL))
    after = scene.labels.copy()
    if edit is not None:
        after[edit.box] = edit.labels
    np.testing.assert_array_equal(after.take(index, axis), whole.take(index, axis))
    np.testing.assert_array_equal(
        np.delete(after, index, axis), np.delete(scene.labels, index, axis)
    )


def test_in_the_slice_only_that_one_is_filled_and_as_in_the_volume() -> None:
    scene = scene_of(only(CONE, 6), SPACING)
    whole = applied(scene, fill_between(scene, Aim(1), BetweenKnobs()))
    edit = fill_between(scene, Aim(1, 0, 8), BetweenKnobs(Reach.SLICE))
    after = applied(scene, edit)
    np.testing.assert_array_equal(after[8], whole[8])
    np.testing.assert_array_equal(np.delete(after, 8, 0), np.delete(scene.labels, 8, 0))
    assert edit is not None
    assert edit.said.startswith("1 slice filled")


@pytest.mark.parametrize(("index", "label"), [(6, 1), (8, 2)])
def test_a_labelled_slice_and_an_empty_structure_give_no_edit(index: int, label: int) -> None:
    scene = scene_of(only(CONE, 6), SPACING)
    assert fill_between(scene, Aim(label, 0, index), BetweenKnobs(Reach.SLICE)) is None
    assert fill_between(scene_of(CONE, SPACING), Aim(label), BetweenKnobs()) is None
