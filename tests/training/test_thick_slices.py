"""Scans whose slices are thicker than the network's: a painted slice is on one side alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_medseg.correction.record import Example
from napari_medseg.jobs import finish
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Grid, Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.examples import lessons_of
from napari_medseg.training.gate import Held, hold_back
from tests.training.cubes import example_of

PAINTED = (3, 6, 9, 11)


def painted(moved: int | None = None) -> Example:
    """Of 16 slices four are corrected, each with a square; that of one slice lies elsewhere."""
    example = example_of(30)
    labels, confirmed = np.zeros_like(example.mask.labels), np.zeros_like(example.confirmed)
    for z in PAINTED:
        at = 8 if z == moved else 2
        labels[z, at : at + 5, at : at + 5] = 1
        confirmed[z] = True
    return replace(example, mask=replace(example.mask, labels=labels), confirmed=confirmed)


def finer(recipe: Recipe, example: Example, times: float, grid: Grid) -> Recipe:
    """The recipe of a network whose slices are so much thinner than the scan's."""
    z, y, x = example.volume.geometry.spacing_mm
    return replace(recipe, spacing_mm=(z / times, y, x), grid=grid)


def sides(example: Example, recipe: Recipe) -> Held:
    return hold_back(finish(lessons_of([example], recipe, IGNORE)))


def same(one: Held, other: Held) -> tuple[bool, bool]:
    """Whether what teaches is the same in both, and what examines."""
    return tuple(  # type: ignore[return-value]
        len(here) == len(there)
        and all(torch.equal(a.target, b.target) for a, b in zip(here, there, strict=True))
        for here, there in ((one.train, other.train), (one.exam, other.exam))
    )


@pytest.mark.parametrize("grid", Grid)
@pytest.mark.parametrize("times", [0.35, 0.7, 1.0, 1.2, 1.5, 2.5, 5.0])
def test_no_painted_slice_both_teaches_and_examines(
    segmenter: Segmenter, times: float, grid: Grid
) -> None:
    recipe = finer(segmenter.recipe, painted(), times, grid)
    before = sides(painted(), recipe)
    changed = [same(before, sides(painted(z), recipe)) for z in PAINTED]
    assert all(taught or examined for taught, examined in changed)
    assert not all(taught for taught, _ in changed)  # some slice does teach
    assert not all(examined for _, examined in changed)  # and some does examine


def test_what_is_held_back_is_counted_in_slices_that_were_painted(segmenter: Segmenter) -> None:
    recipe = finer(segmenter.recipe, painted(), 5.0, Grid.EDGES)
    assert "on 1 corrected slice(s)" in sides(painted(), recipe).how


def test_a_slice_keeps_its_side_when_more_are_painted(segmenter: Segmenter) -> None:
    example = painted()
    recipe = finer(segmenter.recipe, example, 2.5, Grid.EDGES)
    first = sides(example, recipe).split.slices_of(example.subject)
    every = replace(example, confirmed=np.ones_like(example.confirmed))
    later = hold_back(finish(lessons_of([every], recipe, IGNORE)), sides(example, recipe).split)
    now = later.split.slices_of(example.subject)
    assert first.exam | first.teach <= set(PAINTED)
    assert first.exam <= now.exam
    assert first.teach <= now.teach
