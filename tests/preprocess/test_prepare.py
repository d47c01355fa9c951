"""A scan reaches the network upright, at the right size and near zero, whatever the file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_medseg.errors import GridError, InputError, ModelError
from napari_medseg.preprocess.intensity import finite, without_padding
from napari_medseg.preprocess.prepare import prepare, prepare_mask, resized
from napari_medseg.preprocess.recipe import Denoise, Normalise, Recipe
from napari_medseg.volume import Geometry, Label, Mask, Volume

RECIPE = Recipe(labels=(Label(3, "a"), Label(9, "b")))
RAMP = replace(
    RECIPE, spacing_mm=(1.0, 1.0, 1.0), normalise=Normalise.CT_WINDOW, window=(-100.0, 100.0)
)


def ramp_of_world_x(affine_ras: np.ndarray) -> Volume:  # type: ignore[type-arg]
    geometry = Geometry.from_ras((12, 20, 24), affine_ras)
    index = np.stack(np.indices(geometry.shape), -1).reshape(-1, 3)
    return Volume(geometry.world(index)[:, 0].reshape(geometry.shape), geometry)


@pytest.mark.parametrize("affine", [np.diag([1, 1, 2, 1.0]), np.diag([-1.5, 1, 1, 1.0])])
def test_a_resampled_scan_keeps_its_place_in_the_patient(affine: np.ndarray) -> None:  # type: ignore[type-arg]
    prepared = prepare(ramp_of_world_x(affine), RAMP)
    inner = (5, 10, 10)
    world_x = prepared.geometry.world([inner])[0, 0]
    assert prepared.tensor[0][inner].item() == pytest.approx(world_x / 100, abs=1e-5)


def test_a_scan_at_the_models_spacing_is_not_resampled() -> None:
    volume = ramp_of_world_x(np.eye(4))
    prepared = prepare(volume, RAMP)
    expected = prepared.turn.apply(volume.array) / 100
    np.testing.assert_allclose(prepared.tensor[0].numpy(), expected, atol=1e-6)


def test_the_field_of_view_stays_when_voxels_change() -> None:
    coarse = resized(Geometry.from_spacing((10, 10, 10)), (5, 20, 10))
    assert coarse.spacing_mm == (2.0, 0.5, 1.0)
    assert coarse.world([(-0.5, -0.5, -0.5)])[0] == pytest.approx([-0.5, -0.5, -0.5])


def test_a_network_of_another_program_sees_the_axes_in_its_own_order() -> None:
    prepared = prepare(ramp_of_world_x(np.diag([1, 1, 2, 1.0])), replace(RAMP, orientation="SAR"))
    ras_x = np.arange(24.0)  # the file's own x grows to the right, and comes first now
    np.testing.assert_allclose(prepared.tensor[0][:, 3, 3].numpy(), -ras_x / 100, atol=1e-6)
    assert prepared.tensor.shape == (1, 24, 20, 24)


@pytest.mark.parametrize("wrong", ["", "LP", "RLS", "XYZ", "LPSS"])
def test_axes_that_grow_to_no_three_sides_are_refused(wrong: str) -> None:
    with pytest.raises(ModelError, match="three sides"):
        replace(RECIPE, orientation=wrong)


@pytest.mark.parametrize(
    ("normalise", "low", "high"), [(Normalise.ZERO_ONE, 0, 1), (Normalise.MINUS_ONE_ONE, -1, 1)]
)
def test_ranges_are_what_their_names_say(normalise: Normalise, low: float, high: float) -> None:
    image = np.linspace(0, 1e6, 1000).reshape(10, 10, 10)
    volume = Volume(image, Geometry.from_spacing((10, 10, 10)))
    tensor = prepare(volume, replace(RECIPE, normalise=normalise)).tensor
    assert (tensor.min().item(), tensor.max().item()) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e30])
def test_a_z_score_does_not_depend_on_the_scanners_units(scale: float) -> None:
    image = np.random.default_rng(0).normal(5, 2, (8, 8, 8)) * scale
    tensor = prepare(Volume(image, Geometry.from_spacing((8, 8, 8))), RECIPE).tensor
    assert tensor.mean().item() == pytest.approx(0, abs=1e-4)
    assert tensor.std().item() == pytest.approx(1, abs=1e-2)


def test_nan_and_infinity_never_reach_the_network() -> None:
    image = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)
    image[0, 0, :3] = np.nan, np.inf, -np.inf
    tensor = prepare(Volume(image, Geometry.from_spacing((8, 8, 8))), RECIPE).tensor
    assert torch.isfinite(tensor).all()
    assert torch.isfinite(torch.from_numpy(finite(np.full((2, 2, 2), np.nan)))).all()


@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_scan_becomes_zeros(value: int) -> None:
    image = np.full((4, 4, 4), value, np.int16)
    assert not prepare(Volume(image, Geometry.from_spacing((4, 4, 4))), RECIPE).tensor.any()


def test_padding_far_below_the_scan_does_not_own_the_statistics() -> None:
    image = np.random.default_rng(0).normal(100, 10, (10, 20, 20)).astype(np.float32)
    padded = image.copy()
    padded[:, :5] = -32768
    assert without_padding(padded).min() == image[:, 5:].min()
    assert without_padding(image) is image


@pytest.mark.parametrize("dtype", ["uint8", "int8", ">i2", "uint32", "int64", "uint64", ">f8"])
def test_every_integer_and_byte_order_is_taken(dtype: str) -> None:
    image = np.arange(64).reshape(4, 4, 4).astype(dtype)
    tensor = prepare(Volume(image, Geometry.from_spacing((4, 4, 4))), RECIPE).tensor
    assert tensor.dtype is torch.float32
    assert tensor[0].flatten().diff().min() >= 0


@pytest.mark.parametrize("denoise", [Denoise.MEDIAN, Denoise.MEAN, Denoise.GAUSSIAN])
def test_denoising_calms_noise_and_keeps_the_level(denoise: Denoise) -> None:
    noisy = np.random.default_rng(0).normal(50, 10, (12, 16, 16))
    volume = Volume(noisy, Geometry.from_spacing((12, 16, 16)))
    recipe = replace(RECIPE, normalise=Normalise.CT_WINDOW, window=(0.0, 100.0))
    rough, calm = (
        prepare(volume, replace(recipe, denoise=d)).tensor for d in (Denoise.NONE, denoise)
    )
    assert calm.std() < 0.7 * rough.std()
    assert calm.mean().item() == pytest.approx(rough.mean().item(), abs=0.02)


def test_thick_slices_are_not_blurred_into_each_other() -> None:
    image = np.zeros((5, 9, 9))
    image[2] = 1
    recipe = replace(
        RECIPE, denoise=Denoise.MEAN, normalise=Normalise.CT_WINDOW, window=(-1.0, 1.0)
    )
    tensor = prepare(
        Volume(image, Geometry.from_spacing((5, 9, 9), (6.0, 1.0, 1.0))), recipe
    ).tensor
    np.testing.assert_array_equal(tensor[0].numpy(), image)


def test_a_scan_of_other_channels_is_refused_with_both_numbers() -> None:
    two = Volume(np.zeros((2, 4, 4, 4)), Geometry.from_spacing((4, 4, 4)), name="two")
    with pytest.raises(InputError, match="two: this model reads 1 channel"):
        prepare(two, RECIPE)


def test_mask_values_become_outputs_and_unknown_ones_teach_nothing() -> None:
    geometry = Geometry.from_spacing((1, 1, 5))
    prepared = prepare(Volume(np.zeros(geometry.shape), geometry), RECIPE)
    mask = Mask(np.array([[[0, 3, 9, 4, 255]]], np.uint8), geometry)
    assert prepare_mask(mask, prepared, RECIPE).tolist() == [[[0, 1, 2, 255, 255]]]


def test_a_mask_of_another_grid_is_refused() -> None:
    volume = Volume(np.zeros((4, 4, 4)), Geometry.from_spacing((4, 4, 4)))
    mask = Mask(np.zeros((4, 4, 4), np.uint8), Geometry.from_spacing((4, 4, 4), (2.0, 1.0, 1.0)))
    with pytest.raises(GridError, match="must lie on its scan's grid"):
        prepare_mask(mask, prepare(volume, RECIPE), RECIPE)


def test_a_mask_turns_with_its_scan() -> None:
    volume = ramp_of_world_x(np.diag([1, 1, 2, 1.0]))
    marked = np.zeros(volume.geometry.shape, np.uint8)
    marked[2, 3, 4] = 3
    recipe = replace(RECIPE, spacing_mm=None)
    prepared = prepare(volume, recipe)
    outputs = prepare_mask(Mask(marked, volume.geometry), prepared, recipe).numpy()
    np.testing.assert_allclose(
        prepared.geometry.world(np.argwhere(outputs == 1)), volume.geometry.world([(2, 3, 4)])
    )


def test_a_corrected_slice_survives_on_thicker_slices() -> None:
    thin = Volume(np.zeros((20, 4, 4)), Geometry.from_spacing((20, 4, 4)))
    recipe = replace(RECIPE, spacing_mm=(5.0, 1.0, 1.0))
    labels = np.full((20, 4, 4), 255, np.uint8)
    labels[11] = 3
    labels[11, 0] = 0
    outputs = prepare_mask(Mask(labels, thin.geometry), prepare(thin, recipe), recipe)
    known = outputs != 255
    assert known.flatten(1).any(1).tolist() == [False, False, True, False]
    assert sorted(outputs[known].tolist()) == [0] * 4 + [1] * 12


def test_most_voxels_decide_what_a_coarser_one_is() -> None:
    fine = Volume(np.zeros((1, 2, 4)), Geometry.from_spacing((1, 2, 4)))
    recipe = replace(RECIPE, spacing_mm=(1.0, 2.0, 2.0))
    mask = Mask(np.array([[[3, 3, 9, 0], [3, 0, 9, 9]]], np.uint8), fine.geometry)
    assert prepare_mask(mask, prepare(fine, recipe), recipe).tolist() == [[[1, 2]]]
