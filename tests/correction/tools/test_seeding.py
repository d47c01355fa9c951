"""Structures grow from strokes until they meet at an edge."""

from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import after, ball, overlap, scene_of

from napari_medseg.correction.edit import Aim, Reach, Scene
from napari_medseg.correction.tools.seeding import Grow, SeedKnobs, grow_from_seeds
from napari_medseg.errors import InputError

FIRST, SECOND = ball((10, 32, 20), 10), ball((10, 32, 42), 10)


def scene() -> Scene:
    base = scene_of(FIRST, noise=10)
    return Scene(base.image + 200 * SECOND, base.labels, base.spacing_mm)


def line(x: int) -> np.ndarray:
    return np.array([(10, y, x) for y in range(28, 37)])


@pytest.mark.parametrize("how", list(Grow))
@pytest.mark.parametrize("reach", list(Reach))
def test_two_structures_grow_to_their_edges(how: Grow, reach: Reach) -> None:
    aim = Aim(1, 0, 10, seeds={1: line(20), 2: line(42)})
    found = after(scene(), grow_from_seeds(scene(), aim, SeedKnobs(how, 14, reach=reach)))
    where = slice(10, 11) if reach is Reach.SLICE else slice(None)
    assert overlap((found == 1)[where], FIRST[where]) >= 0.93
    assert overlap((found == 2)[where], SECOND[where]) >= 0.93


def test_drawn_background_bounds_a_structure() -> None:
    ring = np.argwhere(ball((10, 32, 20), 16) & ~ball((10, 32, 20), 14))
    ring = ring[ring[:, 0] == 10]
    aim = Aim(1, 0, 10, seeds={1: line(20), 0: ring})
    found = after(scene(), grow_from_seeds(scene(), aim, SeedKnobs(margin_mm=2)))
    assert overlap(found[10] == 1, FIRST[10]) >= 0.95


def test_other_structures_stay_as_they_are() -> None:
    base = scene()
    base.labels[FIRST & (np.arange(64)[:, None] < 30)] = 5
    aim = Aim(1, 0, 10, seeds={1: line(20), 2: line(42)})
    found = after(base, grow_from_seeds(base, aim, SeedKnobs()))
    assert np.array_equal(found == 5, base.labels == 5)


def test_labels_that_are_there_can_be_seeds() -> None:
    base = scene()
    base.labels[ball((10, 32, 20), 4)] = 1
    aim = Aim(1, 0, 10, seeds={2: line(42)})
    knobs = SeedKnobs(keep_labels=True, margin_mm=34, reach=Reach.VOLUME)
    assert overlap(after(base, grow_from_seeds(base, aim, knobs)) == 1, FIRST) >= 0.9


@pytest.mark.parametrize("seeds", [{}, {0: line(4)}])
def test_seeds_of_one_kind_are_refused(seeds: dict[int, np.ndarray]) -> None:
    with pytest.raises(InputError, match="strokes of two structures"):
        grow_from_seeds(scene(), Aim(1, 0, 10, seeds=seeds), SeedKnobs())
