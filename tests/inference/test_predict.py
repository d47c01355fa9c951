"""Predictions whose every voxel is known."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from echo import Echo, MakeSegmenter, random_scan
from torch import nn

from napari_medseg.errors import InputError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import Prediction
from napari_medseg.inference.predict import predict
from napari_medseg.inference.tiles import Extent
from napari_medseg.jobs import Progress, finish
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.volume import Geometry, Label, Volume

CPU = PredictConfig(device="cpu")
SHAPES = [(8, 8, 8), (20, 17, 13), (6, 30, 9), (5, 4, 3), (1, 12, 12), (1, 1, 3), (3, 1, 40)]
ORDERS = list(itertools.permutations(range(3)))
SIGNS = list(itertools.product([1.0, -1.0], repeat=3))


def run(volume: Volume, segmenter: Segmenter, config: PredictConfig = CPU) -> Prediction:
    return finish(predict(volume, segmenter, config))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_a_network_that_echoes_the_scan_gives_the_scan(
    shape: Extent, overlap: float, echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = random_scan(shape)
    prediction = run(scan, segmenter_of(echo), replace(CPU, overlap=overlap))
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)
    assert all(seen[2:] == (8, 8, 8) for seen in echo.seen)


def test_the_scan_s_own_spacing_asked_for_is_exact_too(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = random_scan((11, 12, 13), spacing_mm=(3.3, 0.7, 0.7))
    prediction = run(scan, segmenter_of(echo, spacing_mm=(3.3, 0.7, 0.7)))
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)


def ball(shape: Extent, spacing_mm: tuple[float, float, float]) -> Volume:
    """Grey levels 0 and 2 outside and inside 9 mm around the middle, one voxel of 1."""
    grid = Geometry.from_spacing(shape, spacing_mm)
    z, y, x = ((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing_mm, strict=True))
    inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= 81
    array = np.where(inside, 2, 0).astype(np.int16)
    array[7, 15, 12] = 1
    return Volume(array, grid)


@pytest.mark.parametrize("network_mm", [(1.0, 1.0, 1.0), (1.5, 1.5, 1.5), (2.5, 0.8, 1.1)])
def test_a_ball_stays_where_it_is_at_the_network_s_spacing(
    network_mm: tuple[float, float, float], echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = ball((14, 30, 25), (2.0, 1.0, 1.2))
    labels = run(scan, segmenter_of(echo, spacing_mm=network_mm)).mask.labels
    pred, truth = labels > 0, scan.array > 0
    centres = [np.argwhere(inside).mean(axis=0) for inside in (pred, truth)]
    np.testing.assert_allclose(*centres, atol=0.1)
    assert labels.sum() == pytest.approx(scan.array.sum(), rel=0.1)


class Octants(nn.Module):
    """Output 1 to 8 by which side of the tile's middle a voxel lies on; the image is not read."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        z, y, x = (torch.arange(n) >= n / 2 for n in batch.shape[2:])
        octant = 1 + 4 * z[:, None, None].int() + 2 * y[:, None].int() + x.int()
        return nn.functional.one_hot(octant.long(), 9).movedim(-1, 0)[None].float()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
def test_in_all_48_orientations_left_is_left(
    order: tuple[int, int, int], signs: tuple[float, float, float], segmenter_of: MakeSegmenter
) -> None:
    scan = turned_scan(order, signs)
    labels = tuple(Label(n, str(n)) for n in range(1, 9))
    segmenter = segmenter_of(Octants(), labels=labels, patch=(6, 10, 8))
    mask = run(scan, segmenter).mask
    indices = np.argwhere(np.ones(scan.geometry.shape, bool))
    x, y, z = (scan.geometry.world(indices) > 0).T
    assert mask.geometry == scan.geometry
    np.testing.assert_array_equal(mask.labels.reshape(-1), 1 + 4 * z + 2 * y + x)


def turned_scan(order: tuple[int, int, int], signs: tuple[float, float, float]) -> Volume:
    """A grid of 8 x 10 x 6 voxels along Left, Posterior, Superior around 0, its axes turned."""
    sizes, spacing = np.array([8, 10, 6]), np.array([1.0, 2.0, 3.0])
    shape_xyz = sizes[list(order)]
    affine = np.eye(4)
    affine[:3, :3] = (np.diag(signs) * spacing)[:, order]
    affine[:3, 3] = -affine[:3, :3] @ (shape_xyz - 1) / 2
    z, y, x = (int(n) for n in shape_xyz[::-1])
    return Volume(np.zeros((z, y, x), np.int16), Geometry((z, y, x), affine))


def test_a_scan_with_holes_of_nan_is_predicted_around_them(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = random_scan((9, 9, 9))
    array = scan.array.astype(np.float32)
    array[4:6] = np.nan
    labels = run(replace(scan, array=array), segmenter_of(echo)).mask.labels
    np.testing.assert_array_equal(labels[:4], scan.array[:4])
    assert (labels[4:6] == 0).all()


def test_a_scan_of_nothing_but_nan_gives_a_mask(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    scan = replace(random_scan((4, 9, 9)), array=np.full((4, 9, 9), np.nan, np.float32))
    assert run(scan, segmenter_of(echo)).mask.labels.shape == (4, 9, 9)


def test_a_2d_network_sees_slices(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    scan = random_scan((5, 20, 11))
    prediction = run(scan, segmenter_of(echo, dims=2, patch=(1, 8, 8)))
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)
    assert set(echo.seen) == {(1, 1, 8, 8)}


def test_a_patch_that_the_stride_does_not_divide_is_rounded_up(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    run(random_scan((9, 9, 9)), segmenter_of(echo, patch=(5, 7, 8)))
    assert {seen[2:] for seen in echo.seen} == {(6, 8, 8)}


def test_labels_have_the_recipe_s_values_in_the_smallest_type(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = random_scan((8, 8, 8))
    labels = (Label(7, "seven"), Label(300, "many"))
    mask = run(scan, segmenter_of(echo, labels=labels)).mask
    np.testing.assert_array_equal(mask.labels, np.array([0, 7, 300])[scan.array])
    assert mask.labels.dtype == np.uint16
    assert mask.names == labels


def test_the_mask_keeps_what_the_file_needs(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    scan = replace(random_scan((8, 8, 8)), header={"qform_code": 2})
    assert run(scan, segmenter_of(echo)).mask.header == {"qform_code": 2}


@pytest.mark.parametrize("spacing_mm", [None, (2.0, 1.5, 1.0)])
def test_softmax_is_on_the_scan_s_grid_and_agrees_with_the_mask(
    spacing_mm: tuple[float, float, float] | None, echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = replace(random_scan((6, 9, 12)), geometry=turned_grid((6, 9, 12)))
    segmenter = segmenter_of(echo, spacing_mm=spacing_mm)
    prediction = run(scan, segmenter, replace(CPU, keep_softmax=True))
    softmax = prediction.softmax
    assert softmax is not None
    assert softmax.dtype == np.float16
    np.testing.assert_allclose(softmax.astype(float).sum(axis=0), 1.0, atol=2e-3)
    chosen = np.take_along_axis(softmax, prediction.mask.labels[None].astype(int), 0)[0]
    assert (chosen >= softmax.max(axis=0) - 2e-3).all()


def turned_grid(shape: Extent) -> Geometry:
    """Axes of the array: to the Right, to Inferior, to Anterior."""
    affine = np.array([[0, 0, -1.0, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    return Geometry(shape, affine)


def test_two_channels_are_asked_for_by_name(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    segmenter = segmenter_of(echo, channels=("T1", "FLAIR"))
    with pytest.raises(InputError, match=r"2 channel.*T1, FLAIR.*the scan has 1"):
        run(random_scan((8, 8, 8)), segmenter)


def test_nothing_expensive_happens_before_the_first_event(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    job = predict(random_scan((8, 8, 8)), segmenter_of(echo, channels=("T1", "FLAIR")), CPU)
    assert isinstance(next(job), Progress)


@pytest.mark.parametrize("changes", [{"overlap": 1.0}, {"slice_zyx": (3, 0)}, {"memory_gb": 0.0}])
def test_a_senseless_config_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        PredictConfig(**changes)  # type: ignore[arg-type]
