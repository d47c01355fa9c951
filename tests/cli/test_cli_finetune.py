"""`medseg finetune` on folders that name their structures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cube_cases import GRID, save_case

from napari_medseg import io
from napari_medseg.models.card import read_card
from napari_medseg.volume import Mask

FEW = ("--steps", 2, "--set", "threads=1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of "cube", label 1."""
    from napari_medseg.cli import main

    folder = tmp_path_factory.mktemp("named")
    for seed in range(3):
        save_case(folder / "cases", f"case{seed}", seed)
    called(folder / "cases", {"background": 0, "cube": 1})
    path = folder / "cube.safetensors"
    words = ["train", folder / "cases", path, "--set", "steps=4", "--set", "threads=1"]
    words += ["--set", "features=[4,8]", "--set", "patch=[16,16,16]"]
    assert main([str(word) for word in words]) == 0
    return path


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Corrected cases, with a corner that is label 2."""
    for seed in range(3):
        save_case(tmp_path / "corrected", f"case{seed}", seed)
        path = tmp_path / "corrected" / "labels" / f"case{seed}.nii.gz"
        labels = np.array(io.read_mask(path).labels)
        labels[12:, 12:, 12:] = 2
        io.write_mask(Mask(labels, GRID), path)
    return tmp_path / "corrected"


def called(folder: Path, labels: dict[str, int]) -> None:
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")


def test_a_structure_that_the_dataset_names_becomes_a_label_of_the_model(
    medseg, model: Path, cases: Path, tmp_path: Path
) -> None:
    called(cases, {"background": 0, "cube": 1, "corner": 2})
    candidate = tmp_path / "candidate.safetensors"
    words = ["finetune", model, cases, tmp_path / "next.safetensors", *FEW]
    ended = medseg(*words, "--candidate", candidate)
    assert ended.code == 0, ended.err
    labels = read_card(candidate).recipe.labels
    assert [(one.value, one.name) for one in labels] == [(1, "cube"), (2, "corner")]


def test_a_structure_with_another_number_than_in_the_model_is_refused_in_one_line(
    medseg, model: Path, cases: Path, tmp_path: Path
) -> None:
    called(cases, {"background": 0, "corner": 1, "Cube": 2})
    ended = medseg("finetune", model, cases, tmp_path / "next.safetensors", *FEW)
    assert ended.code == 3
    assert "Cube must be label 1 as in the model, dataset.json says 2" in ended.err
    assert not (tmp_path / "next.safetensors").exists()


def test_another_name_for_the_same_number_is_told(
    medseg, model: Path, cases: Path, tmp_path: Path
) -> None:
    called(cases, {"background": 0, "block": 1, "corner": 2})
    ended = medseg("finetune", model, cases, tmp_path / "next.safetensors", *FEW)
    assert ended.code == 0, ended.err
    assert "label 1 is block here, cube in the model" in ended.err


def test_cases_of_a_folder_teach_alike(medseg, model: Path, cases: Path, tmp_path: Path) -> None:
    called(cases, {"background": 0, "cube": 1, "corner": 2})
    candidate = tmp_path / "candidate.safetensors"
    words = ["finetune", model, cases, tmp_path / "next.safetensors", *FEW]
    assert medseg(*words, "--candidate", candidate).code == 0
    assert read_card(candidate).lineage.config["recent"] == 0
