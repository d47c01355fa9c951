"""Islands: kept, removed, split, clicked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from shapes import SPACING, applied, scene_of

from napari_medseg.correction.edit import Aim, Reach
from napari_medseg.correction.tools.islands import (
    IslandKnobs,
    SmallKnobs,
    SplitKnobs,
    keep_clicked,
    keep_largest,
    remove_clicked,
    remove_small,
    split,
)
from napari_medseg.errors import InputError

BIG, MIDDLE, SMALL = np.s_[2:8, 2:12, 2:12], np.s_[10:14, 20:25, 20:25], np.s_[16:17, 2:4, 2:4]
SLICE = IslandKnobs(Reach.SLICE)


def three(label: int = 3) -> npt.NDArray[np.uint8]:
    """Islands of 600, 100 and 4 voxels, and another structure."""
    labels = np.zeros((20, 40, 40), np.uint8)
    for place in (BIG, MIDDLE, SMALL):
        labels[place] = label
    labels[0, 30:, 30:] = 7
    return labels


def click(*points: tuple[int, int, int], index: int = 0) -> Aim:
    return Aim(3, 0, index, np.array(points, np.int64))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_largest_island_is_kept_and_nothing_else_changes(dtype: type) -> None:
    scene = scene_of(three(), dtype=dtype)
    edit = keep_largest(scene, Aim(3), IslandKnobs())
    expected = three()
    expected[MIDDLE] = expected[SMALL] = 0
    np.testing.assert_array_equal(applied(scene, edit), expected)
    assert edit is not None
    assert edit.said.startswith("2 islands of 3 removed")


def test_in_the_slice_only_its_own_islands_count() -> None:
    labels = three()
    labels[3, 30, 5] = 3
    after = applied(scene_of(labels), keep_largest(scene_of(labels), Aim(3, 0, 3), SLICE))
    np.testing.assert_array_equal(after, three())


@pytest.mark.parametrize(("mm3", "left"), [(4 * 2.4, 3), (4 * 2.4 + 0.1, 2), (100 * 2.4 + 1, 1)])
def test_small_is_a_volume_in_ml(mm3: float, left: int) -> None:
    scene = scene_of(three())  # a voxel is 2.4 mm³
    edit = remove_small(scene, Aim(3), SmallKnobs(below_ml=mm3 / 1000))
    after = scene.labels if edit is None else applied(scene, edit)
    places = [place for place in (BIG, MIDDLE, SMALL) if (after[place] == 3).all()]
    assert len(places) == left
    assert np.count_nonzero(after == 7) == 100


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_small_in_the_slice_is_an_area_in_the_viewed_plane(axis: int) -> None:
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[4, 4, 4] = labels[2, 2, 2] = 3
    area = np.prod(SPACING) / SPACING[axis]
    scene = scene_of(labels)
    for below, gone in ((area * 0.99, False), (area * 1.01, True)):
        edit = remove_small(scene, Aim(3, axis, 4), SmallKnobs(Reach.SLICE, below_mm2=below))
        assert (edit is not None) is gone


def test_splitting_gives_each_island_a_number_nobody_has() -> None:
    edit = split(scene_of(three()), Aim(3), SplitKnobs())
    after = applied(scene_of(three()), edit)
    assert [set(after[place].ravel()) for place in (BIG, MIDDLE, SMALL)] == [{3}, {8}, {9}]
    assert edit is not None
    assert edit.said == "3 instances: 3, 8, 9"


def test_splitting_leaves_specks_with_their_structure() -> None:
    after = applied(scene_of(three()), split(scene_of(three()), Aim(3), SplitKnobs(below_ml=0.1)))
    assert [set(after[place].ravel()) for place in (BIG, MIDDLE, SMALL)] == [{3}, {8}, {3}]


def test_when_the_highest_numbers_are_used_up_gaps_are_filled() -> None:
    labels = three()
    labels[0, 0, :2] = 254, 255
    after = applied(scene_of(labels), split(scene_of(labels), Aim(3), SplitKnobs()))
    assert [set(after[place].ravel()) for place in (BIG, MIDDLE, SMALL)] == [{3}, {1}, {2}]


def test_splitting_refuses_when_no_number_is_free() -> None:
    labels = three()
    labels[19, :7, :37].flat = np.arange(1, 256)
    labels[19, :7, :37][labels[19, :7, :37] == 3] = 9
    with pytest.raises(InputError, match="2 islands need as many free numbers"):
        split(scene_of(labels), Aim(3), SplitKnobs())


def test_clicked_islands_are_kept_or_removed() -> None:
    scene = scene_of(three())
    kept = applied(scene, keep_clicked(scene, click((11, 21, 21)), IslandKnobs()))
    assert [(kept[place] == 3).all() for place in (BIG, MIDDLE, SMALL)] == [False, True, False]
    gone = applied(scene, remove_clicked(scene, click((11, 21, 21), (16, 2, 2)), IslandKnobs()))
    assert [(gone[place] == 3).all() for place in (BIG, MIDDLE, SMALL)] == [True, False, False]


def test_a_click_removes_the_island_it_is_on_whatever_is_chosen() -> None:
    after = applied(scene_of(three()), remove_clicked(scene_of(three()), click((0, 35, 35)), SLICE))
    np.testing.assert_array_equal(after, np.where(three() == 7, 0, three()))


@pytest.mark.parametrize("aim", [Aim(3), click((19, 39, 39))])
def test_a_click_beside_everything_is_refused(aim: Aim) -> None:
    with pytest.raises(InputError, match="click"):
        remove_clicked(scene_of(three()), aim, SLICE)


def test_the_slice_of_a_clicked_island_is_the_one_that_was_clicked() -> None:
    scene = scene_of(three())
    after = applied(scene, remove_clicked(scene, click((11, 21, 21), index=5), SLICE))
    expected = three()
    expected[11, 20:25, 20:25] = 0
    np.testing.assert_array_equal(after, expected)


def test_voxels_that_share_a_corner_touch_only_if_told() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = 3
    assert keep_largest(scene_of(labels), Aim(3), IslandKnobs(corners=True)) is None
    assert keep_largest(scene_of(labels), Aim(3), IslandKnobs()) is not None
