"""From the cases to a patch, a network and a batch."""

from __future__ import annotations

import math

import pytest

from napari_medseg.errors import TrainingError
from napari_medseg.preprocess.recipe import Normalise
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.plan import Fingerprint, Plan, fitting_network, largest_patch, plan
from napari_medseg.volume import Label

GB = 1e9
Extent = tuple[int, int, int]


def planned(
    shape: Extent,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    config: TrainConfig | None = None,
    free: float = 8 * GB,
    gpu: bool = False,
    ct: bool = False,
) -> Plan:
    found = Fingerprint((shape,) * 3, (spacing,) * 3, ("image",), (Label(1, "a"),), ct)
    return plan(found, config or TrainConfig(), free, gpu)


def test_the_hippocampus_is_seen_whole() -> None:
    made = planned((36, 50, 35))
    assert made.recipe.patch == (40, 56, 40)
    assert made.network.features == (16, 32, 64, 128)
    assert made.batch == 2


@pytest.mark.parametrize("shape", [(36, 50, 35), (300, 512, 512), (24, 320, 320), (9, 11, 13)])
@pytest.mark.parametrize("free", [1 * GB, 64 * GB])
@pytest.mark.parametrize("gpu", [False, True])
def test_a_patch_can_be_halved_as_often_as_the_network_does(
    shape: Extent, free: float, gpu: bool
) -> None:
    made = planned(shape, (3.0, 0.8, 0.8), free=free, gpu=gpu)
    stride = made.network.total_stride
    assert all(n % s == 0 for n, s in zip(made.recipe.patch, stride, strict=True))
    assert all(n // s >= 2 for n, s in zip(made.recipe.patch, stride, strict=True))


def test_less_memory_makes_a_smaller_patch() -> None:
    large, small = planned((200, 200, 200)), planned((200, 200, 200), free=0.2 * GB)
    assert math.prod(small.recipe.patch) < math.prod(large.recipe.patch)


def test_a_patch_is_shrunk_where_it_is_longest() -> None:
    assert largest_patch((100, 10, 10), (1.0, 1.0, 1.0), 2000)[1:] == (10, 10)


def test_thick_slices_are_not_halved_before_the_others_caught_up() -> None:
    made = planned((24, 320, 320), (5.0, 1.0, 1.0))
    assert made.network.strides[1] == (1, 2, 2)
    assert made.network.strides[2] == (1, 2, 2)
    assert made.network.strides[3] == (2, 2, 2)


def test_slices_get_a_flat_network() -> None:
    made = planned((1, 420, 580), config=TrainConfig(features=(8, 16, 32)))
    assert made.network.dims == 2
    assert made.recipe.patch[0] == 1
    assert made.network.features == (8, 16, 32)


def test_what_is_given_stays() -> None:
    config = TrainConfig(patch=(16, 32, 32), batch=5, spacing_mm=(2.0, 1.5, 1.5), features=(4, 8))
    made = planned((60, 60, 60), config=config)
    assert made.recipe.patch == (16, 32, 32)
    assert made.recipe.spacing_mm == (2.0, 1.5, 1.5)
    assert (made.batch, made.network.features) == (5, (4, 8))


def test_ct_is_windowed_and_others_are_not() -> None:
    assert planned((40, 40, 40), ct=True).recipe.normalise is Normalise.CT_WINDOW
    assert planned((40, 40, 40)).recipe.normalise is Normalise.Z_SCORE


@pytest.mark.parametrize(
    ("config", "word"),
    [
        (TrainConfig(patch=(1, 16, 16)), "patch: must have Z = 1 for slices only"),
        (TrainConfig(patch=(8, 8, 8), features=(4, 8, 16, 32)), "patch: must allow 4 stages"),
    ],
)
def test_what_does_not_fit_together_is_refused(config: TrainConfig, word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        planned((40, 40, 40), config=config)


def test_a_mixed_set_of_thin_and_thick_slices_takes_a_fine_spacing() -> None:
    spacings = ((5.0, 1.0, 1.0), (5.0, 1.0, 1.0), (2.0, 1.0, 1.0))
    found = Fingerprint(((40, 64, 64),) * 3, spacings, ("image",), (Label(1, "a"),))
    spacing = plan(found, TrainConfig(), 8 * GB).recipe.spacing_mm
    assert spacing is not None
    assert 2.0 <= spacing[0] < 3.0


def test_depth_ends_where_the_maps_are_four_voxels_wide() -> None:
    network = fitting_network((32, 32, 32), (1.0, 1.0, 1.0), TrainConfig(), 16)
    assert network.total_stride == (8, 8, 8)
