"""nnU-Net's steps between scan and tensor, each against what it is said to equal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from skimage.transform import resize

from napari_medseg.errors import ModelError
from napari_medseg.preprocess.nnunet import (
    bounding_box,
    intensity,
    nearest_planes,
    network_axes,
    new_shape,
    resampled,
    resampled_labels,
    separate_axis,
)
from napari_medseg.preprocess.nnunet_plan import Intensity, NnUNetPlan, Resampling, Resize, Scheme
from napari_medseg.preprocess.pad import margin, padded
from napari_medseg.volume import Geometry

NOISE = np.random.default_rng(0).normal(50, 20, (9, 12, 11)).astype(np.float32)
CUBIC, LINEAR = Resampling(), Resampling(order=1)
PLAIN = (1.0, 1.0, 1.0)


def test_an_isotropic_scan_is_resized_by_scikit_image() -> None:
    wanted = resize(NOISE.astype(float), (7, 15, 11), 3, mode="edge", anti_aliasing=False)
    assert np.allclose(resampled(NOISE, (7, 15, 11), CUBIC, PLAIN, PLAIN), wanted, atol=1e-4)


def test_thick_slices_are_interpolated_inside_and_repeated_between() -> None:
    out = resampled(NOISE, (18, 15, 10), CUBIC, (4.0, 1.0, 1.0), (2.0, 0.8, 1.1))
    inside = resize(NOISE[4].astype(float), (15, 10), 3, mode="edge", anti_aliasing=False)
    assert np.allclose(out[8], inside, atol=1e-4)
    assert np.array_equal(out[8], out[9])


def test_torch_resamples_linearly() -> None:
    how = Resampling(Resize.TORCH, 1)
    wanted = F.interpolate(torch.from_numpy(NOISE)[None, None], size=(7, 15, 11), mode="trilinear")
    assert np.array_equal(resampled(NOISE, (7, 15, 11), how, PLAIN, PLAIN), wanted[0, 0].numpy())


@pytest.mark.parametrize(("n", "size"), [(10, 20), (20, 10), (7, 13), (13, 7), (5, 5), (3, 10)])
def test_nearest_planes_are_those_of_scipys_order_0(n: int, size: int) -> None:
    at = size / n * (np.arange(n) + 0.5) - 0.5
    wanted = map_coordinates(np.arange(float(size)), [at], order=0, mode="nearest")
    assert np.array_equal(nearest_planes(n, size), wanted)


@pytest.mark.parametrize(
    ("separate", "old_mm", "new_mm", "axis"),
    [
        (None, (5.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0),
        (None, (1.0, 1.0, 1.0), (1.0, 1.0, 3.5), 2),
        (None, (3.0, 1.0, 1.0), (2.0, 1.0, 1.0), None),
        (None, (0.2, 1.0, 1.0), (1.0, 1.0, 1.0), None),
        (False, (5.0, 1.0, 1.0), (1.0, 1.0, 1.0), None),
        (True, (2.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0),
        (True, (1.0, 1.0, 1.0), (2.0, 1.0, 1.0), None),
    ],
)
def test_an_axis_stays_apart_where_it_is_thrice_as_coarse(
    separate: bool | None,
    old_mm: tuple[float, float, float],
    new_mm: tuple[float, float, float],
    axis: int | None,
) -> None:
    assert separate_axis(Resampling(separate=separate), old_mm, new_mm) == axis


def test_halves_of_a_voxel_are_rounded_to_even() -> None:
    assert new_shape((5, 7, 1), (1.0, 1.0, 1.0), (2.0, 2.0, 9.0)) == (2, 4, 1)


def test_a_ct_is_clipped_and_scaled_by_its_training_set() -> None:
    how = Intensity(Scheme.CT, mean=40.0, std=10.0, low=20.0, high=70.0)
    out = intensity(np.array([[[0.0, 50.0, 90.0]]], np.float32), how, np.ones((1, 1, 3), bool))
    assert out.ravel().tolist() == [-2.0, 1.0, 3.0]


def test_a_masked_z_score_leaves_the_background_alone() -> None:
    image = NOISE.copy()
    image[:3] = 0
    out = intensity(image, Intensity(Scheme.Z_SCORE, masked=True), image != 0)
    assert not out[:3].any()
    assert abs(out[3:].mean()) < 1e-5
    assert out[3:].std() == pytest.approx(1, abs=1e-5)


def test_other_schemes_do_what_their_names_say() -> None:
    seen = np.ones(NOISE.shape, bool)
    unit = intensity(NOISE, Intensity(Scheme.UNIT), seen)
    assert (unit.min(), unit.max()) == (0, pytest.approx(1))
    assert np.array_equal(intensity(NOISE, Intensity(Scheme.NONE), seen), NOISE)
    assert np.allclose(intensity(NOISE, Intensity(Scheme.RGB), seen), NOISE / 255)


def test_the_box_holds_all_that_is_not_zero() -> None:
    seen = np.zeros((5, 6, 7), bool)
    assert bounding_box(seen) == (slice(0, 5), slice(0, 6), slice(0, 7))
    seen[1, 2:4, 6] = True
    assert bounding_box(seen) == (slice(1, 2), slice(2, 4), slice(6, 7))


def test_a_transposition_keeps_each_voxel_where_it_is() -> None:
    geometry = Geometry.from_spacing((4, 5, 6), (3.0, 2.0, 1.0))
    plan = NnUNetPlan((Intensity(Scheme.NONE),), transpose=(2, 0, 1))
    turn = network_axes(geometry, plan, "LPS")
    array = np.arange(120).reshape(4, 5, 6)
    assert np.array_equal(turn.apply(array), array.transpose(2, 0, 1))
    assert np.array_equal(turn.undo(turn.apply(array)), array)
    assert turn.target.spacing_mm == (1.0, 3.0, 2.0)
    assert np.allclose(turn.target.world([(5, 1, 2)]), geometry.world([(1, 2, 5)]))


def test_a_file_is_turned_to_ras_where_the_plans_say_so() -> None:
    geometry = Geometry.from_spacing((4, 5, 6), (3.0, 2.0, 1.0))
    turn = network_axes(geometry, NnUNetPlan((Intensity(Scheme.NONE),), reorient=True), "RAS")
    array = np.arange(120).reshape(4, 5, 6)
    assert np.array_equal(turn.apply(array), array[:, ::-1, ::-1])


def test_labels_of_a_former_stage_are_resampled_by_their_share() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[:2] = 3
    out = resampled_labels(labels, (8, 4, 4), LINEAR, PLAIN, (0.5, 1.0, 1.0))
    assert np.array_equal(out[:, 0, 0], [3, 3, 3, 3, 0, 0, 0, 0])


def test_zeros_go_around_the_middle_and_the_odd_one_behind() -> None:
    out = padded(torch.ones(1, 2, 3, 5), (5, 4, 4), zeros=True)
    assert tuple(out.shape) == (1, 5, 4, 5)
    inside = [slice(margin(n, wanted), margin(n, wanted) + n) for n, wanted in ((2, 5), (3, 4))]
    assert out[:, inside[0], inside[1]].sum() == out.sum() == 30


def test_a_plan_that_no_nnunet_has_is_refused() -> None:
    one = (Intensity(Scheme.NONE),)
    with pytest.raises(ModelError, match="linearly"):
        NnUNetPlan(one, logits=CUBIC)
    with pytest.raises(ModelError, match="transposition"):
        NnUNetPlan(one, transpose=(0, 1, 1))
    with pytest.raises(ModelError, match="order 0 to 5"):
        Resampling(order=9)
