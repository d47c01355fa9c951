"""A structure carried from slice to slice."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import applied, away_mm, overlap, scene_of

from napari_medseg.correction.edit import Aim, Bools, Scene
from napari_medseg.correction.tools.flow import flow, pulled
from napari_medseg.correction.tools.propagate import (
    CopyKnobs,
    Direction,
    PropagateKnobs,
    copy_to_next,
    copy_to_previous,
    propagate,
)

SHAPE, SPACING, MIDDLE = (24, 90, 80), (2.5, 0.7, 0.9), (12, 45, 40)
BALL = away_mm(MIDDLE, SHAPE, SPACING) <= 21


def scan(truth: Bools, labels: Bools, axis: int = 0, dtype: type = np.uint8) -> Scene:
    """The truth, bright in noise, on a grid whose given axis has the thick slices."""
    image = 100 * truth + np.random.default_rng(0).normal(0, 15, truth.shape)
    spacing = tuple(np.roll(SPACING, axis))
    image = np.moveaxis(image.astype(np.int16), 0, axis)
    return scene_of(np.moveaxis(labels, 0, axis), spacing, image, dtype)


def middle_only(truth: Bools = BALL) -> Bools:
    labels = np.zeros_like(truth)
    labels[12] = truth[12]
    return labels


@pytest.mark.parametrize(("tool", "to"), [(copy_to_next, 13), (copy_to_previous, 11)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_plain_copy_is_the_same_in_the_next_slice(
    tool: object, to: int, axis: int, dtype: type
) -> None:
    scene = scan(BALL, middle_only(), axis, dtype)
    edit = tool(scene, Aim(1, axis, 12), CopyKnobs())  # type: ignore[operator]
    expected = middle_only()
    expected[to] = BALL[12]
    np.testing.assert_array_equal(applied(scene, edit), np.moveaxis(expected, 0, axis))


@pytest.mark.parametrize("replace", [True, False])
def test_what_the_next_slice_had_is_replaced_or_kept(replace: bool) -> None:
    labels = middle_only()
    labels[13, :5, :5] = True
    scene = scan(BALL, labels)
    after = applied(scene, copy_to_next(scene, Aim(1, 0, 12), CopyKnobs(replace=replace)))
    assert (after[13, :5, :5] == 1).all() != replace
    np.testing.assert_array_equal(after[13, 10:], labels[12, 10:])


def test_a_copy_with_deformation_follows_a_disc_that_moves_and_shrinks() -> None:
    _, y, x = np.ogrid[:24, :90, :80]
    z = np.arange(24)[:, None, None]
    truth = np.hypot((y - 40 - 4 * (z - 12)) * 0.7, (x - 40) * 0.9) <= 16 - (z - 12)
    scene = scan(truth, middle_only(truth))
    plain = applied(scene, copy_to_next(scene, Aim(1, 0, 12), CopyKnobs()))[13]
    warped = applied(scene, copy_to_next(scene, Aim(1, 0, 12), CopyKnobs(deform=True)))[13]
    assert overlap(plain == 1, truth[13]) < 0.91
    assert overlap(warped == 1, truth[13]) > 0.97


@pytest.mark.parametrize("axis", [0, 2])
def test_a_ball_is_carried_to_its_ends_and_stops_there(axis: int) -> None:
    scene = scan(BALL, middle_only(), axis)
    edit = propagate(scene, Aim(1, axis, 12), PropagateKnobs(slices=100))
    after = np.moveaxis(applied(scene, edit), axis, 0) == 1
    assert overlap(after, BALL) > 0.96
    ends = np.flatnonzero(after.any((1, 2)))[[0, -1]]
    assert np.abs(ends - np.flatnonzero(BALL.any((1, 2)))[[0, -1]]).max() <= 1
    assert edit is not None
    assert "do not fit" in edit.said


@pytest.mark.parametrize(
    ("direction", "slices"),
    [
        (Direction.NEXT, [13, 14]),
        (Direction.PREVIOUS, [10, 11]),
        (Direction.BOTH, [10, 11, 13, 14]),
    ],
)
def test_it_goes_as_many_slices_each_way_as_told(direction: Direction, slices: list[int]) -> None:
    scene = scan(BALL, middle_only())
    edit = propagate(scene, Aim(1, 0, 12), PropagateKnobs(direction, slices=2))
    changed = (applied(scene, edit) != scene.labels).any((1, 2))
    np.testing.assert_array_equal(np.flatnonzero(changed), slices)


def test_it_ends_at_a_slice_that_has_the_structure() -> None:
    labels = middle_only()
    labels[15, :3, :3] = True
    scene = scan(BALL, labels)
    edit = propagate(scene, Aim(1, 0, 12), PropagateKnobs(Direction.NEXT, deform=False))
    changed = (applied(scene, edit) != scene.labels).any((1, 2))
    np.testing.assert_array_equal(np.flatnonzero(changed), [13, 14])
    assert edit is not None
    assert edit.said == "next: 2 slices, slice 15 has it"


def test_voxels_of_others_are_taken_only_if_told() -> None:
    labels = middle_only().astype(np.uint8)
    labels[13, 40:50] = 6
    scene = scan(BALL, labels)
    for over, number in ((False, 6), (True, 1)):
        edit = copy_to_next(scene, Aim(1, 0, 12), CopyKnobs(over_others=over))
        assert applied(scene, edit)[13, 45, 40] == number


def test_a_slice_without_the_structure_and_the_last_slice_give_no_edit() -> None:
    scene = scan(BALL, middle_only())
    assert copy_to_next(scene, Aim(1, 0, 5), CopyKnobs()) is None
    assert propagate(scene, Aim(2, 0, 12), PropagateKnobs()) is None
    top = np.zeros_like(BALL)
    top[23] = BALL[12]
    assert copy_to_next(scan(BALL, top), Aim(1, 0, 23), CopyKnobs(deform=True)) is None


@pytest.mark.parametrize("shape", [(3, 60), (40, 200), (7, 7)])
def test_slices_of_any_form_can_be_followed(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    field = flow(image, image)
    assert field.shape == (2, *shape)
    np.testing.assert_allclose(pulled(image, field), image, atol=1e-5)
