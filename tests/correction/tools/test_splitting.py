"""Touching objects are cut where they are narrow."""

from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import SHAPE, after, aim_at, ball, overlap, scene_of

from napari_medseg.correction.edit import Aim, Reach, Scene
from napari_medseg.correction.tools.splitting import SplitKnobs, split, split_off
from napari_medseg.errors import InputError

LEFT, RIGHT = ball((10, 32, 22), 12), ball((10, 32, 41), 9)


def touching(kind: type = np.uint8) -> Scene:
    return scene_of(LEFT | RIGHT, (LEFT | RIGHT).astype(kind))


@pytest.mark.parametrize("reach", list(Reach))
def test_two_touching_balls_become_two_numbers(reach: Reach) -> None:
    scene = touching()
    found = after(scene, split(scene, Aim(1, 0, 10), SplitKnobs(reach=reach)))
    assert set(np.unique(found)) == {0, 1, 2}
    where = slice(10, 11) if reach is Reach.SLICE else slice(None)
    assert overlap((found == 1)[where], LEFT[where]) >= 0.97
    assert overlap((found == 2)[where], (RIGHT & ~LEFT)[where]) >= 0.95


def test_one_ball_is_not_split() -> None:
    assert split(scene_of(LEFT, LEFT.astype(np.uint8)), Aim(1), SplitKnobs()) is None


def test_the_clicked_piece_gets_a_number_of_its_own() -> None:
    scene = touching()
    found = after(scene, split_off(scene, aim_at((10, 32, 44)), SplitKnobs()))
    assert overlap(found == 2, RIGHT & ~LEFT) >= 0.95


def test_new_numbers_are_not_in_use_yet() -> None:
    scene = touching()
    scene.labels[0, 0, 0] = 7
    assert 8 in after(scene, split(scene, Aim(1), SplitKnobs()))


def test_numbers_beyond_the_masks_type_are_refused() -> None:
    scene = touching()
    scene.labels[0, 0, 0] = 255
    with pytest.raises(InputError, match="must not exceed 255"):
        split(scene, Aim(1), SplitKnobs())


def test_nothing_of_the_structure_is_nothing_to_split() -> None:
    assert split(scene_of(np.zeros(SHAPE, bool)), Aim(1), SplitKnobs()) is None


def test_a_click_beside_the_structure_is_refused() -> None:
    with pytest.raises(InputError, match="must be on structure 1"):
        split_off(touching(), aim_at((10, 2, 2)), SplitKnobs())
