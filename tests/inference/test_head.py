"""Feature maps that are blended and then become labels give the labels of blended logits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from echo import CONFIG, FLAT, RECIPE, random_scan

from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.head import split
from napari_medseg.inference.predict import predict
from napari_medseg.inference.runner import Runner
from napari_medseg.jobs import finish
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.volume import Label

MANY = tuple(Label(n, str(n)) for n in range(1, 30))
CPU = torch.device("cpu")
WHOLE = PredictConfig("cpu", engine=EngineName.TORCH, mode=Mode.FULL)


def segmenter(config: NetworkConfig) -> Segmenter:
    torch.manual_seed(0)
    recipe = replace(RECIPE, labels=MANY, patch=(1, 8, 8) if config.dims == 2 else (8, 8, 8))
    network = build(config, 1, recipe.n_outputs)
    head = network.decoder.seg_layers[-1]  # type: ignore[union-attr,index]
    angle = torch.linspace(0, 6.2, recipe.n_outputs)  # each label a direction of its two maps
    with torch.no_grad():
        head.weight.copy_(torch.stack([angle.cos(), angle.sin()], 1).reshape(head.weight.shape))
        head.bias.zero_()
    return Segmenter("many labels", config, weights_of(network), recipe)


@pytest.mark.parametrize("config", [CONFIG, FLAT, replace(CONFIG, family=Family.RESIDUAL)])
def test_the_head_of_the_trunk_s_maps_is_the_network(config: NetworkConfig) -> None:
    network = build(config, 1, 30).eval()
    parts = split(network)
    assert parts is not None
    trunk, head = parts
    batch = torch.randn(1, 1, *(8,) * config.dims)
    torch.testing.assert_close(head(trunk(batch)[0]), network(batch)[0], atol=1e-5, rtol=1e-5)
    assert network(batch).shape[1] == 30


@pytest.mark.parametrize("n_outputs", [2])
def test_few_labels_are_blended_as_they_are(n_outputs: int) -> None:
    assert split(build(CONFIG, 1, n_outputs)) is None


def test_a_network_that_ends_otherwise_is_left_whole() -> None:
    assert split(build(replace(CONFIG, family=Family.FCN), 1, 30)) is None


@pytest.mark.parametrize("config", [CONFIG, FLAT])
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("spacing_mm", [None, (1.3, 0.9, 1.1)])
def test_the_mask_is_that_of_blended_logits(
    config: NetworkConfig,
    mirror: bool,
    spacing_mm: tuple[float, float, float] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, scan = segmenter(config), random_scan((10, 14, 19))
    one = replace(one, recipe=replace(one.recipe, spacing_mm=spacing_mm, mirror_axes=(2,)))
    asked = replace(WHOLE, mirror=mirror, slice_zyx=(0, 4))
    assert Runner(one, CPU).n_maps == 2
    mask = finish(predict(scan, one, asked)).mask.labels
    monkeypatch.setattr("napari_medseg.inference.runner.split", lambda _: None)
    whole = replace(one)  # another object, for which nothing is built yet
    assert Runner(whole, CPU).n_maps == 30
    expected = finish(predict(scan, whole, asked)).mask.labels
    assert len(np.unique(expected)) > 3
    assert (mask == expected).mean() > 0.999  # rounding may decide between equals


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("at_once", [1, 3 * 4 * 30 * 20 * 20])
def test_many_labels_are_the_same_however_few_planes_are_written_at_once(
    axis: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, scan = segmenter(CONFIG), random_scan((10, 14, 19))
    recipe = replace(one.recipe, spacing_mm=(1.3, 0.9, 1.1))
    monkeypatch.setattr("napari_medseg.inference.runner.split", lambda _: None)
    expected = finish(predict(scan, replace(one, recipe=recipe), WHOLE)).mask.labels
    monkeypatch.setattr("napari_medseg.inference.sweep.BYTES_AT_ONCE", at_once)
    asked = replace(WHOLE, slice_zyx=(axis, 5))
    labels = finish(predict(scan, replace(one, recipe=recipe), asked)).mask.labels
    np.testing.assert_array_equal(labels, expected)
