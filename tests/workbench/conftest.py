"""A workbench of its own for each test, with two tiny models at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg.models.build import build, weights_of
from napari_medseg.models.card import Lineage
from napari_medseg.models.checkpoint import save
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Geometry, Label, Volume
from napari_medseg.workbench import Workbench, lesson, prediction

SMALL = NetworkConfig(features=(2, 4), strides=((1, 1, 1), (2, 2, 2)), convs_per_stage=1)
RECIPE = Recipe(labels=(Label(1, "ball", "#ff0000"),), patch=(8, 16, 16))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models "balls" and "cubes", and a candidate that descends from "balls"."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    balls = Segmenter("balls", SMALL, weights_of(build(SMALL, 1, 2)), RECIPE)
    cubes = replace(balls, name="cubes", weights=weights_of(build(SMALL, 1, 2)))
    first = save(balls, folder / "balls.safetensors")
    save(cubes, folder / "cubes.safetensors")
    lineage = Lineage(parent=first.version, how="finetune")
    child = replace(balls, weights=weights_of(build(SMALL, 1, 2)), lineage=lineage)
    save(child, folder / "candidate.safetensors").path.rename(folder / "candidate")
    return folder


@pytest.fixture
def bench(tmp_path: Path, models: Path) -> Iterator[Workbench]:
    bench = Workbench(tmp_path, models)
    yield bench
    bench.close()


@pytest.fixture
def scan() -> Volume:
    """A bright block in the dark, on axes that run R, A, S: canonical ones are flipped."""
    array = np.full((6, 10, 12), -100, np.int16)
    array[1:3, 2:5, 3:9] = 100
    array[0, 0, 0] = 100  # a speck
    geometry = Geometry.from_ras((6, 10, 12), np.diag([1.0, 1.0, 2.0, 1.0]))
    return Volume(array, geometry, name="block")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch, models: Path, tmp_path: Path) -> None:
    """Children that need no torch."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(prediction, "PREDICT", "standin:predict_with")
    monkeypatch.setattr(lesson, "FINE_TUNE", "standin:fine_tune_file")
    (tmp_path / "models" / "balls").mkdir(parents=True)
    (tmp_path / "models" / "balls" / "candidate").write_bytes((models / "candidate").read_bytes())
