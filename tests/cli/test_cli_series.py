"""`medseg segment` on a series in time, and on a colour picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from napari_medseg import io
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Geometry, Label, Volume

FRAMES = 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 2-D network of a few weights that calls everything heart."""
    config = NetworkConfig(dims=2, features=(2, 4), strides=((1, 1), (2, 2)), convs_per_stage=1)
    weights = weights_of(build(config, in_channels=1, n_outputs=2))
    for name, value in weights.items():
        if "seg_layers" in name and name.endswith("bias"):
            value[:] = torch.tensor([-99.0, 99.0])
    recipe = Recipe((Label(1, "heart"),), patch=(1, 16, 16))
    path = tmp_path_factory.mktemp("models") / "heart.safetensors"
    checkpoint.save(Segmenter("heart", config, weights, recipe), path)
    return path


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    array = np.random.default_rng(0).normal(100, 10, (FRAMES, 2, 12, 14)).astype(np.float32)
    geometry = Geometry.from_spacing((2, 12, 14), (10.0, 1.0, 1.0))
    io.write_volume(Volume(array, geometry), tmp_path / "cine.nii.gz")
    return tmp_path / "cine.nii.gz"


def test_a_series_is_segmented_frame_by_frame(medseg, model, cine: Path, tmp_path: Path) -> None:
    ended = medseg("segment", cine, tmp_path / "m.nii.gz", "--model", model, "--json")
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    assert said["frames"] == FRAMES
    assert said["labels"]["heart"]["voxels"] == [2 * 12 * 14] * FRAMES
    assert said["labels"]["heart"]["volume_ml"] == pytest.approx([3.36] * FRAMES)
    assert "segmented one by one" in ended.err
    masks = io.read(tmp_path / "m.nii.gz")
    assert masks.array.shape == (FRAMES, 2, 12, 14)
    assert masks.geometry.same_grid(io.read(cine).geometry)


def test_one_frame_of_a_series_can_be_named(medseg, model, cine: Path, tmp_path: Path) -> None:
    out, soft = tmp_path / "m.nii.gz", tmp_path / "soft.nii.gz"
    words = ["segment", cine, out, "--model", model]
    assert medseg(*words, "--frame", 2, "--softmax", soft).code == 0
    assert io.read_mask(out).labels.shape == (2, 12, 14)
    assert medseg(*words, "--frame", FRAMES).code == 3


def test_probabilities_of_a_whole_series_are_refused(
    medseg, model, cine: Path, tmp_path: Path
) -> None:
    words = ["segment", cine, tmp_path / "m.nii.gz", "--softmax", tmp_path / "soft.nii.gz"]
    ended = medseg(*words, "--model", model)
    assert ended.code == 3
    assert "--frame 0 to 2" in ended.err


def test_a_series_does_not_fit_in_a_picture(medseg, model, cine: Path, tmp_path: Path) -> None:
    ended = medseg("segment", cine, tmp_path / "m.png", "--model", model)
    assert ended.code == 2
    assert "must end in" in ended.err


def test_a_colour_picture_is_no_series(medseg, model, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16, 3)).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "colour.png")
    words = ["segment", tmp_path / "colour.png", tmp_path / "mask.png", "--model", model]
    ended = medseg(*words)
    assert ended.code == 3
    assert "--channel 0 to 2" in ended.err
    assert medseg(*words, "--channel", 0).code == 0
    assert io.read_mask(tmp_path / "mask.png").labels.all()
