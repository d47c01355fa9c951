"""Holes: closed in the slice or in the volume, up to a size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from shapes import applied, scene_of

from napari_medseg.correction.edit import Aim, Reach
from napari_medseg.correction.tools.holes import HoleKnobs, fill_holes

CAVE, TUNNEL = np.s_[4:6, 4:7, 4:7], np.s_[:, 9:11, 9:11]


def block() -> npt.NDArray[np.uint8]:
    """A block with a cave of 18 voxels and a tunnel along Z, open at both ends."""
    labels = np.zeros((12, 20, 20), np.uint8)
    labels[2:10, 2:14, 2:14] = 4
    labels[CAVE] = labels[TUNNEL] = 0
    return labels


def test_in_the_volume_a_cave_is_filled_and_a_tunnel_stays_open() -> None:
    expected = block()
    expected[CAVE] = 4
    edit = fill_holes(scene_of(block()), Aim(4), HoleKnobs())
    np.testing.assert_array_equal(applied(scene_of(block()), edit), expected)
    assert edit is not None
    assert edit.said == "1 hole filled, 43 mm³"


def test_in_the_slice_a_tunnel_is_a_hole_and_other_slices_stay() -> None:
    expected = block()
    expected[7, 9:11, 9:11] = 4
    knobs = HoleKnobs(Reach.SLICE)
    after = applied(scene_of(block()), fill_holes(scene_of(block()), Aim(4, 0, 7), knobs))
    np.testing.assert_array_equal(after, expected)


def test_slice_by_slice_fills_the_tunnel_along_the_viewed_axis_only() -> None:
    knobs = HoleKnobs(each_slice=True)
    after = applied(scene_of(block()), fill_holes(scene_of(block()), Aim(4, 0), knobs))
    assert (after[2:10, 2:14, 2:14] == 4).all()
    across = applied(scene_of(block()), fill_holes(scene_of(block()), Aim(4, 1), knobs))
    assert (across[TUNNEL] == 0).all()


@pytest.mark.parametrize(("ml", "filled"), [(18 * 2.4e-3, True), (18 * 2.4e-3 - 1e-4, False)])
def test_holes_above_a_size_stay(ml: float, filled: bool) -> None:
    edit = fill_holes(scene_of(block()), Aim(4), HoleKnobs(up_to_ml=ml))
    assert (edit is not None) is filled


@pytest.mark.parametrize(("over", "number"), [(False, 6), (True, 4)])
def test_another_structure_in_a_hole_stays_unless_told(over: bool, number: int) -> None:
    labels = block()
    labels[4, 5, 5] = 6
    after = applied(
        scene_of(labels), fill_holes(scene_of(labels), Aim(4), HoleKnobs(over_others=over))
    )
    assert after[4, 5, 5] == number
    assert after[5, 5, 5] == 4


def test_what_is_open_to_the_images_border_is_no_hole() -> None:
    labels = np.full((5, 8, 8), 4, np.uint8)
    labels[0, 3, 3] = 0
    assert fill_holes(scene_of(labels), Aim(4), HoleKnobs()) is None


def test_an_image_of_one_slice_has_holes_in_its_plane() -> None:
    labels = np.full((1, 8, 8), 4, np.uint8)
    labels[0, 3, 3] = 0
    assert (applied(scene_of(labels), fill_holes(scene_of(labels), Aim(4), HoleKnobs())) == 4).all()
