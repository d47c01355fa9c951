"""`medseg rank` with a model that knows nothing but its own bias."""

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
from napari_medseg.models.exemplar import exemplar
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Geometry, Label, Mask, Volume

SHAPE = (8, 8, 8)
GRID = Geometry.from_spacing(SHAPE, (1, 1, 1))
NETWORK = NetworkConfig(features=(2, 2), strides=((1, 1, 1), (2, 2, 2)))
RECIPE = Recipe((Label(3, "organ"),), patch=SHAPE)


def save_model(path: Path, label: int = 3, subjects: int = 0) -> Path:
    """Sure that everything is organ; remembers patches of so many subjects who examined it."""
    weights = {k: torch.zeros_like(v) for k, v in weights_of(build(NETWORK, 1, 2)).items()}
    for key, value in weights.items():
        if "seg_layers" in key and key.endswith("bias"):
            value[1] = 5
    target = torch.ones(SHAPE)
    target[:2] = 0
    memory = tuple(
        exemplar(torch.rand(1, *SHAPE), target, str(number), True) for number in range(subjects)
    )
    recipe = replace(RECIPE, labels=(Label(label, "organ"),))
    checkpoint.save(Segmenter(path.stem, NETWORK, weights, recipe, memory=memory), path)
    return path


def save_scan(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    io.write_volume(Volume(noise, GRID), path)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for number in range(2):
        save_scan(tmp_path / "scans" / f"s{number}.nii.gz", number)
    return tmp_path / "scans"


def test_it_gives_each_case_its_dice_and_its_slices(medseg, scans: Path, tmp_path: Path) -> None:
    ended = medseg("rank", save_model(tmp_path / "m.safetensors"), scans, "--json")
    said = json.loads(ended.out)
    assert ended.code == 0
    assert {one["name"] for one in said["cases"]} == {"s0", "s1"}
    assert said["cases"][0]["labels"]["organ"]["dice"] == pytest.approx(1.0, abs=0.01)
    assert said["cases"][0]["slices"] == []  # it is sure
    assert "takes 5 corrected cases" in said["warnings"][0]


def test_corrected_cases_calibrate_it(medseg, scans: Path, tmp_path: Path) -> None:
    half = np.zeros(SHAPE, np.uint8)
    half[:4] = 3
    for number in range(10):
        save_scan(tmp_path / "done" / "images" / f"c{number}.nii.gz", 10 + number)
        (tmp_path / "done" / "labels").mkdir(exist_ok=True)
        io.write_mask(Mask(half, GRID), tmp_path / "done" / "labels" / f"c{number}.nii.gz")
    model = save_model(tmp_path / "m.safetensors")
    ended = medseg("rank", model, scans, "--calibrate", tmp_path / "done", "--json")
    said = json.loads(ended.out)
    organ = said["cases"][0]["labels"]["organ"]
    assert organ["dice"] == pytest.approx(2 / 3, abs=0.02)  # half of what it finds is organ
    assert organ["low"] > 0.6
    assert said["calibration"]["cases"] == 10
    assert said["warnings"] == []


def test_what_the_model_remembers_calibrates_it_by_itself(
    medseg, scans: Path, tmp_path: Path
) -> None:
    model = save_model(tmp_path / "m.safetensors", subjects=6)
    said = json.loads(medseg("rank", model, scans, "--json").out)
    assert said["calibration"]["cases"] == 6
    assert said["cases"][0]["labels"]["organ"]["dice"] == pytest.approx(6 / 7, abs=0.02)


def test_a_broken_scan_is_told_and_the_others_are_ranked(
    medseg, scans: Path, tmp_path: Path
) -> None:
    (scans / "broken.nii.gz").write_bytes(b"no scan")
    ended = medseg("rank", save_model(tmp_path / "m.safetensors"), scans)
    assert ended.code == 5
    assert "error: broken.nii.gz: " in ended.err
    assert "s0" in ended.out
    assert "not calibrated" in ended.out


def test_refusals_are_one_line(medseg, scans: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "m.safetensors")
    other = save_model(tmp_path / "o.safetensors", label=4)
    (tmp_path / "empty").mkdir()
    for words, code in (
        ((model, tmp_path / "missing"), 3),
        ((model, tmp_path / "empty"), 3),
        (("nothing", scans), 4),
        ((model, scans, "--version", other), 4),
    ):
        ended = medseg("rank", *words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
