"""Grids as another program makes them: the first voxel stays, the others keep their step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_medseg.preprocess.prepare import prepare, prepare_mask
from napari_medseg.preprocess.recipe import Grid, Normalise, Recipe
from napari_medseg.volume import Geometry, Label, Mask, Volume

RECIPE = Recipe(
    (Label(1, "a"),),
    spacing_mm=(2.0, 1.0, 1.0),
    grid=Grid.CORNER,
    normalise=Normalise.RANGE,
    window=(0.0, 100.0),
    onto=(-1.0, 3.0),
    clip=False,
)
GRID = Geometry.from_spacing((9, 9, 9), (1.0, 1.0, 0.5))


def ramp() -> Volume:
    return Volume(np.broadcast_to(np.arange(9.0), (9, 9, 9)).copy(), GRID)


def test_the_first_voxel_stays_and_every_step_is_as_told() -> None:
    prepared = prepare(ramp(), RECIPE)
    assert prepared.geometry.shape == (5, 9, 5)
    assert prepared.geometry.spacing_mm == pytest.approx((2.0, 1.0, 1.0))
    assert prepared.geometry.world([(0, 0, 0)]) == pytest.approx(GRID.world([(0, 0, 0)]))


def test_a_range_is_mapped_onto_another_and_goes_on_beyond_it() -> None:
    tensor = prepare(ramp(), RECIPE).tensor[0]
    np.testing.assert_allclose(tensor[2, 3].numpy(), np.arange(0, 9, 2) * 0.04 - 1, atol=1e-6)
    clipped = prepare(ramp(), replace(RECIPE, window=(2.0, 4.0), clip=True)).tensor
    assert (clipped.min().item(), clipped.max().item()) == (-1.0, 3.0)


def test_mean_and_deviation_may_be_those_of_what_is_not_zero() -> None:
    image = np.zeros((9, 9, 9))
    image[4:] = np.random.default_rng(0).normal(50, 5, (5, 9, 9))
    recipe = replace(RECIPE, normalise=Normalise.MEAN_STD, nonzero=True, spacing_mm=None)
    tensor = prepare(Volume(image, GRID), recipe).tensor[0]
    assert tensor[:4].abs().max() == 0
    assert tensor[4:].mean().item() == pytest.approx(0, abs=1e-5)
    assert tensor[4:].std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_percentiles_of_all_voxels_are_the_ends() -> None:
    recipe = replace(RECIPE, normalise=Normalise.PERCENTILES, percentiles=(0.0, 100.0))
    tensor = prepare(ramp(), recipe).tensor
    assert (tensor.min().item(), tensor.max().item()) == pytest.approx((-1.0, 3.0))


def test_a_mask_follows_its_scan() -> None:
    volume = ramp()
    mask = Mask((volume.array >= 4).astype(np.uint8), GRID)
    prepared = prepare(volume, RECIPE)
    on = prepare_mask(mask, prepared, RECIPE)
    assert on[0, 0].tolist() == [0, 0, 1, 1, 1]
