"""The most doubtful places of a mask, each put right where that is plain."""

from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import SHAPE, after, ball, scene_of

from napari_medseg.correction.edit import Scene
from napari_medseg.correction.tools.doubts import Doubt, Doubtful, DoubtKnobs, doubts

TRUTH = ball((10, 32, 32), 15)


def labelled(where: np.ndarray, **chances: np.ndarray) -> Scene:
    given = {1: chances["given"]} if chances else {}
    return scene_of(TRUTH, where.astype(np.uint8), chances=given)


def only(found: tuple[Doubt, ...], kind: Doubtful) -> Doubt:
    assert [one.kind for one in found] == [kind]
    return found[0]


def test_a_good_mask_has_no_doubts() -> None:
    assert doubts(labelled(TRUTH)) == ()
    assert doubts(labelled(np.zeros(SHAPE, bool))) == ()


def test_an_island_is_found_and_its_fix_removes_it() -> None:
    scene = labelled(TRUTH | ball((3, 10, 10), 3))
    island = only(doubts(scene, {1: "nodule"}), Doubtful.ISLAND)
    assert island.voxel == (3, 10, 10)
    assert island.why.startswith("nodule")
    assert np.array_equal(after(scene, island.edit) == 1, TRUTH)


def test_a_hole_is_found_and_its_fix_fills_it() -> None:
    scene = labelled(TRUTH & ~ball((10, 32, 32), 2.5))
    hole = only(doubts(scene), Doubtful.HOLE)
    assert np.array_equal(after(scene, hole.edit) == 1, TRUTH)


def test_another_structure_inside_is_no_hole() -> None:
    scene = labelled(TRUTH)
    scene.labels[ball((10, 32, 32), 8)] = 2
    assert Doubtful.HOLE not in {one.kind for one in doubts(scene)}


@pytest.mark.parametrize("wrong", ["empty", "small", "shifted"])
def test_a_slice_that_jumps_is_found_and_set_between_its_neighbours(wrong: str) -> None:
    labels = TRUTH.copy()
    if wrong == "shifted":
        labels[9] = np.roll(labels[9], 12, axis=1)
    else:
        labels[9] = ball((9, 32, 32), 6)[9] & (wrong == "small")
    scene = labelled(labels)
    jump = only(doubts(scene), Doubtful.JUMP)
    assert (jump.axis, jump.index) == (0, 9)
    wrongly = np.count_nonzero((after(scene, jump.edit) == 1) ^ TRUTH)
    assert wrongly < 0.1 * np.count_nonzero(TRUTH[9])


def test_a_structure_at_the_scans_border_is_named() -> None:
    border = only(doubts(labelled(ball((10, 32, 2), 10))), Doubtful.BORDER)
    assert border.voxel[2] == 0


def test_structures_that_touch_in_a_voxel_are_named_but_not_broad_neighbours() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:15, 10:50, 10:30], labels[5:15, 10:50, 31:50] = 1, 2
    labels[10, 20, 30] = 1
    contact = only(doubts(scene_of(TRUTH, labels)), Doubtful.CONTACT)
    assert contact.voxel in {(10, 20, 30), (10, 20, 31)}
    labels[5:15, 10:50, 30] = 1
    assert doubts(scene_of(TRUTH, labels)) == ()


def test_where_the_model_is_unsure_is_named() -> None:
    given = TRUTH * 0.97
    given[ball((10, 32, 41), 6)] = 0.52
    unsure = doubts(labelled(TRUTH, given=given.astype(np.float16)))
    assert unsure[0].kind is Doubtful.UNSURE
    assert ball((10, 32, 41), 9)[unsure[0].voxel]


def test_the_worst_come_first_and_no_more_than_asked_for() -> None:
    labels = TRUTH.copy()
    labels[9] = False
    labels |= ball((3, 10, 10), 3)
    found = doubts(labelled(labels))
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert len(doubts(labelled(labels), knobs=DoubtKnobs(most=1))) == 1
