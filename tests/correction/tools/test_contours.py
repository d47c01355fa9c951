"""An edge near the right one moves onto it."""

from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import SHAPE, after, ball, overlap, scene_of

from napari_medseg.correction.edit import Aim, Reach
from napari_medseg.correction.tools.contours import ContourKnobs, Force, refine
from napari_medseg.errors import InputError

TRUTH = ball((10, 32, 32), 15)


@pytest.mark.parametrize("force", list(Force))
@pytest.mark.parametrize("radius", [12, 18])
def test_a_wrong_radius_is_put_right_in_the_slice(force: Force, radius: int) -> None:
    scene = scene_of(TRUTH, ball((10, 32, 32), radius).astype(np.uint8), noise=15)
    found = after(scene, refine(scene, Aim(1, 0, 10), ContourKnobs(force)))
    assert overlap(found[10] == 1, TRUTH[10]) >= 0.95


def test_a_shifted_ball_is_put_right_in_the_volume() -> None:
    scene = scene_of(TRUTH, ball((10, 34, 29), 15).astype(np.uint8), noise=15)
    found = after(scene, refine(scene, Aim(1), ContourKnobs(reach=Reach.VOLUME)))
    assert overlap(found == 1, TRUTH) >= 0.96


def test_nothing_far_from_the_edge_is_changed() -> None:
    start = ball((10, 32, 32), 8).astype(np.uint8)
    scene = scene_of(TRUTH, start, noise=5)
    edit = refine(scene, Aim(1), ContourKnobs(farthest_mm=3.0, reach=Reach.VOLUME))
    assert not (after(scene, edit)[~ball((10, 32, 32), 11.1)]).any()


def test_other_structures_are_not_entered() -> None:
    labels = ball((10, 32, 32), 12).astype(np.uint8)
    labels[(labels == 0) & (np.arange(64) < 30)] = 2
    scene = scene_of(TRUTH, labels)
    assert np.array_equal(
        after(scene, refine(scene, Aim(1, 0, 10), ContourKnobs())) == 2, labels == 2
    )


def test_nothing_to_refine_is_no_edit() -> None:
    assert refine(scene_of(TRUTH), Aim(1), ContourKnobs()) is None


def test_a_structure_that_fills_the_view_has_no_edge() -> None:
    with pytest.raises(InputError, match="must have an edge"):
        refine(scene_of(TRUTH, np.ones(SHAPE, np.uint8)), Aim(1, 0, 10), ContourKnobs())
