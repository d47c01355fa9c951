"""Structures added, taken from each other, swapped, inverted, mirrored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from shapes import applied, ball_voxels, scene_of

from napari_medseg.correction.edit import Aim, Reach
from napari_medseg.correction.tools import logic
from napari_medseg.correction.tools.logic import (
    About,
    InvertKnobs,
    MirrorKnobs,
    NearKnobs,
    OtherKnobs,
    Within,
)
from napari_medseg.errors import InputError

SHAPE = (10, 20, 30)


def pair() -> npt.NDArray[np.uint8]:
    """Structure 1 beside structure 2, and 9 elsewhere."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:8, 4:16, 4:12] = 1
    labels[2:8, 4:16, 12:18] = 2
    labels[0, 0, :5] = 9
    return labels


@pytest.mark.parametrize(
    ("tool", "to"), [("add", {2: 1}), ("move", {1: 2}), ("swap", {1: 2, 2: 1})]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_structures_get_other_numbers_and_nothing_else_changes(
    tool: str, to: dict[int, int], dtype: type
) -> None:
    scene = scene_of(pair(), dtype=dtype)
    for knobs, part in ((OtherKnobs(), np.s_[:]), (OtherKnobs(Reach.SLICE), np.s_[5])):
        expected = pair()
        for old, new in to.items():
            expected[part][pair()[part] == old] = new
        after = applied(scene, getattr(logic, tool)(scene, Aim(1, 0, 5), knobs))
        np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize("mm", [1.0, 3.0, 5.0])
def test_what_is_near_another_is_subtracted_and_what_is_far_intersected(mm: float) -> None:
    scene = scene_of(pair())
    near = ndimage.binary_dilation(pair() == 2, ball_voxels(mm))
    knobs = NearKnobs(margin_mm=mm)
    without = applied(scene, logic.subtract(scene, Aim(1), knobs))
    np.testing.assert_array_equal(without, np.where((pair() == 1) & near, 0, pair()))
    only = applied(scene, logic.intersect(scene, Aim(1), knobs))
    np.testing.assert_array_equal(only, np.where((pair() == 1) & ~near, 0, pair()))


def test_structures_never_overlap_so_no_margin_subtracts_nothing() -> None:
    assert logic.subtract(scene_of(pair()), Aim(1), NearKnobs(margin_mm=0.0)) is None


def test_another_that_is_not_there_leaves_nothing_to_intersect() -> None:
    scene = scene_of(pair())
    after = applied(scene, logic.intersect(scene, Aim(1), NearKnobs(other=5)))
    np.testing.assert_array_equal(after, np.where(pair() == 1, 0, pair()))


@pytest.mark.parametrize("other", [1, 300])
def test_a_number_that_cannot_be_the_other_is_refused(other: int) -> None:
    with pytest.raises(InputError, match=str(other)):
        logic.move(scene_of(pair()), Aim(1), OtherKnobs(other=other))


@pytest.mark.parametrize(
    ("within", "place"), [(Within.ALL, np.s_[5]), (Within.OWN_BOX, np.s_[5, 3:16, 4:13])]
)
def test_inverting_exchanges_structure_and_background_in_the_slice(
    within: Within, place: tuple[slice, ...]
) -> None:
    labels = pair()
    labels[5, 3, 12] = 1  # widens its box to (3:16, 4:13), with some background and some 2 in it
    scene = scene_of(labels)
    expected = labels.copy()
    expected[place][labels[place] == 0] = 1
    expected[place][labels[place] == 1] = 0
    knobs = InvertKnobs(Reach.SLICE, within)
    np.testing.assert_array_equal(
        applied(scene, logic.invert(scene, Aim(1, 0, 5), knobs)), expected
    )


def test_mirrored_at_the_images_middle_left_and_right_are_exchanged() -> None:
    one = np.where(pair() == 1, pair(), 0)
    scene = scene_of(one)
    both = applied(scene, logic.mirror(scene, Aim(1), MirrorKnobs(becomes=4)))
    np.testing.assert_array_equal(both == 1, one == 1)
    np.testing.assert_array_equal(both == 4, one[..., ::-1] == 1)
    moved = applied(scene, logic.mirror(scene, Aim(1), MirrorKnobs(keep=False)))
    np.testing.assert_array_equal(moved, one[..., ::-1])


def test_mirrored_at_its_own_middle_a_structure_becomes_symmetric() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:6, 3:6, 3:12] = labels[3:6, 8:12, 3:6] = 1
    scene = scene_of(labels)
    after = applied(scene, logic.mirror(scene, Aim(1), MirrorKnobs(about=About.STRUCTURE)))
    np.testing.assert_array_equal(after[..., 3:12], labels[..., 3:12] | labels[..., 11:2:-1])


def test_mirrored_at_the_viewed_sagittal_slice_what_falls_out_of_the_image_is_lost() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[4, 4, 10:20] = 1
    scene, knobs = scene_of(labels), MirrorKnobs(about=About.VIEWED)
    after = applied(scene, logic.mirror(scene, Aim(1, 2, 8), knobs))
    np.testing.assert_array_equal(np.flatnonzero(after[4, 4]), [*range(7), *range(10, 20)])
    with pytest.raises(InputError, match="sagittal"):
        logic.mirror(scene, Aim(1, 0, 4), knobs)


@pytest.mark.parametrize(("over", "number"), [(False, 9), (True, 1)])
def test_a_mirror_image_takes_nothing_of_others_unless_told(over: bool, number: int) -> None:
    labels = np.where(pair() == 1, pair(), 0)
    labels[4, 8, 20] = 9
    scene = scene_of(labels)
    after = applied(scene, logic.mirror(scene, Aim(1), MirrorKnobs(over_others=over)))
    assert after[4, 8, 20] == number
    assert after[4, 8, 21] == 1


def test_a_slice_is_mirrored_within_itself() -> None:
    scene = scene_of(pair())
    edit = logic.mirror(scene, Aim(1, 1, 6), MirrorKnobs(Reach.SLICE, becomes=3))
    changed = applied(scene, edit) != pair()
    assert changed[:, 6].any()
    assert not np.delete(changed, 6, 1).any()


@pytest.mark.parametrize("about", [About.IMAGE, About.STRUCTURE])
@pytest.mark.parametrize("keep", [True, False])
def test_a_sagittal_slice_gets_what_comes_from_the_other_side(about: About, keep: bool) -> None:
    labels = np.where(pair() == 1, pair(), 0)
    labels[2:4, 4:8, 4:8] = 0
    scene = scene_of(labels)
    whole = applied(scene, logic.mirror(scene, Aim(1), MirrorKnobs(about=about, keep=keep)))
    for index in (4, 10, 20):
        knobs = MirrorKnobs(Reach.SLICE, about, keep=keep)
        edit = logic.mirror(scene, Aim(1, 2, index), knobs)
        after = labels.copy()
        if edit is not None:
            after[edit.box] = edit.labels
        np.testing.assert_array_equal(after[..., index], whole[..., index])
        np.testing.assert_array_equal(np.delete(after, index, 2), np.delete(labels, index, 2))


@pytest.mark.parametrize("tool", ["subtract", "intersect", "invert", "mirror"])
def test_a_structure_without_a_voxel_gives_no_edit(tool: str) -> None:
    knobs = {"invert": InvertKnobs(), "mirror": MirrorKnobs()}.get(tool, NearKnobs())
    assert getattr(logic, tool)(scene_of(pair()), Aim(5), knobs) is None
    with pytest.raises(InputError, match="background"):
        getattr(logic, tool)(scene_of(pair()), Aim(0), knobs)
