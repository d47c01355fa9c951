"""`medseg segment` with several models, and with what they learned to clean."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg import io
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import CleanRule, Recipe
from napari_medseg.volume import Geometry, Label, Volume

SHAPE = (8, 8, 8)
NETWORK = NetworkConfig(features=(2, 2), strides=((1, 1, 1), (2, 2, 2)))
RECIPE = Recipe((Label(3, "organ"),), patch=SHAPE)


def save_model(path: Path, logit: float, recipe: Recipe = RECIPE) -> Path:
    """A model that is as sure as `logit` says that everything is organ."""
    network = build(NETWORK, 1, 2)
    weights = {key: torch.zeros_like(value) for key, value in weights_of(network).items()}
    for key, value in weights.items():
        if "seg_layers" in key and key.endswith("bias"):
            value[1] = logit
    checkpoint.save(Segmenter(path.stem, NETWORK, weights, recipe), path)
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.nii.gz"
    noise = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    io.write_volume(Volume(noise, Geometry.from_spacing(SHAPE, (1, 1, 1))), path)
    return path


def test_of_several_models_the_mean_counts(medseg, scan: Path, tmp_path: Path) -> None:
    sure, doubt = (
        save_model(tmp_path / "a.safetensors", 5),
        save_model(tmp_path / "b.safetensors", -1),
    )
    out, soft = tmp_path / "mask.nii.gz", tmp_path / "soft.nii.gz"
    words = ["segment", scan, out, "--model", sure, "--model", doubt, "--softmax", soft, "--json"]
    said = json.loads(medseg(*words).out)
    assert said["labels"]["organ"]["voxels"] == 512
    mean = (1 / (1 + np.exp(-5)) + 1 / (1 + np.exp(1))) / 2
    assert io.read(soft).array[1] == pytest.approx(mean, abs=1e-3)


def test_models_of_other_labels_are_refused_in_a_line(medseg, scan: Path, tmp_path: Path) -> None:
    one = save_model(tmp_path / "a.safetensors", 1)
    other = save_model(tmp_path / "b.safetensors", 1, replace(RECIPE, labels=(Label(4, "organ"),)))
    ended = medseg("segment", scan, tmp_path / "m.nii.gz", "-m", one, "-m", other)
    assert ended.code == 4
    assert ended.err.count("\n") == 1
    assert len(ended.err) <= 201
    assert not (tmp_path / "m.nii.gz").exists()


def test_what_a_model_learned_to_clean_is_told_and_can_be_left(
    medseg, scan: Path, tmp_path: Path
) -> None:
    rule = CleanRule(3, smallest_ml=9.0)
    model = save_model(tmp_path / "a.safetensors", 5, replace(RECIPE, clean=(rule,)))
    words = ["segment", scan, tmp_path / "m.nii.gz", "--model", model, "--json"]
    cleaned = json.loads(medseg(*words).out)
    assert cleaned["labels"]["organ"]["voxels"] == 0
    assert cleaned["clean"] == [
        {"value": 3, "keep_largest": False, "smallest_ml": 9.0, "fill_holes": False}
    ]
    left = json.loads(medseg(*words, "--no-clean").out)
    assert left["labels"]["organ"]["voxels"] == 512
    assert left["clean"] == []


def test_mirroring_a_model_that_never_learned_it_is_told(
    medseg, scan: Path, tmp_path: Path
) -> None:
    words = ["segment", scan, tmp_path / "m.nii.gz", "--mirror", "--model"]
    assert (
        "not trained to be mirrored"
        in medseg(*words, save_model(tmp_path / "a.safetensors", 1)).err
    )
    turned = save_model(tmp_path / "b.safetensors", 1, replace(RECIPE, mirror_axes=(2,)))
    assert "mirrored" not in medseg(*words, turned).err
