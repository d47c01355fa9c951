"""Boxes around what was found hold all of it, and are as large as a tile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.inference.regions import boxes_around, merged, n_tiles
from napari_medseg.inference.tiles import Box

GRID, TILE = (40, 60, 80), (16, 16, 16)
spans = st.tuples(st.integers(0, 30), st.integers(1, 10)).map(lambda s: slice(s[0], s[0] + s[1]))
some_boxes = st.lists(st.tuples(spans, spans, spans), max_size=8)


def filled(boxes: list[Box]) -> np.ndarray:
    grid = np.zeros((40, 40, 40), dtype=int)
    for box in boxes:
        grid[box] += 1
    return grid


@given(some_boxes)
def test_merged_boxes_overlap_nowhere_and_hold_what_they_held(boxes: list[Box]) -> None:
    after = filled(merged(boxes))
    assert after.max(initial=0) <= 1
    assert (after[filled(boxes) > 0] == 1).all()


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 29), st.integers(0, 39)), max_size=5))
def test_what_was_found_lies_in_a_box_with_its_margin(places: list[tuple[int, int, int]]) -> None:
    found = np.zeros((20, 30, 40), dtype=bool)
    held = np.zeros(GRID, dtype=bool)
    for place in places:
        found[place] = True
    for box in boxes_around(found, GRID, TILE, (3, 3, 3)):
        assert all(span.stop - span.start >= 16 for span in box)
        assert all(span.start >= 0 and span.stop <= n for span, n in zip(box, GRID, strict=True))
        held[box] = True
    for place in places:
        near = tuple(slice(max(0, 2 * p - 3), 2 * p + 5) for p in place)
        assert held[near].all()


def test_nothing_found_needs_no_box() -> None:
    assert boxes_around(np.zeros((20, 30, 40), dtype=bool), GRID, TILE, (3, 3, 3)) == []


def test_a_small_find_takes_one_tile_of_many() -> None:
    found = np.zeros((20, 30, 40), dtype=bool)
    found[10, 15, 20] = True
    boxes = boxes_around(found, GRID, TILE, (2, 2, 2))
    whole = (slice(0, 40), slice(0, 60), slice(0, 80))
    assert n_tiles(boxes, TILE, 0.5) == 1
    assert n_tiles([whole], TILE, 0.5) == pytest.approx(4 * 7 * 9)
