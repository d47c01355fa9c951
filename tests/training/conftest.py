"""Datasets small enough to train on in seconds, whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.correction.record import Example
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import TrainConfig
from napari_medseg.volume import Geometry, Mask, Volume

SIDE = 16


def phantom(seed: int, spacing_mm: tuple[float, float, float] = (1, 1, 1)) -> tuple[Volume, Mask]:
    """A bright cube (1) on a dim cube (2) in noise, somewhere in 16³ voxels."""
    rng = np.random.default_rng(seed)
    z, y, x = rng.integers(2, 6, 3)
    labels = np.zeros((SIDE,) * 3, np.uint8)
    labels[z : z + 5, y : y + 8, x : x + 8] = 1
    labels[z + 5 : z + 9, y : y + 8, x : x + 8] = 2
    image = rng.normal(0, 40, labels.shape) + np.array([0, 200, 100])[labels]
    geometry = Geometry.from_spacing(labels.shape, spacing_mm)
    return Volume(image.astype(np.float32), geometry, name=f"scan_{seed:03}"), Mask(
        labels, geometry
    )


def write_case(folder: Path, name: str, volume: Volume, mask: Mask) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    io.write_volume(volume, folder / "images" / f"{name}.nii.gz")
    io.write_mask(mask, folder / "labels" / f"{name}.nii.gz")


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """A folder with that many phantoms, named scan_000 …; `about` becomes its dataset.json."""

    def write(n: int = 4, **about: Any) -> Path:
        folder = tmp_path / "cases"
        for seed in range(n):
            write_case(folder, f"scan_{seed:03}", *phantom(seed))
        if about:
            (folder / "dataset.json").write_text(json.dumps(about))
        return folder

    return write


@pytest.fixture
def quick() -> TrainConfig:
    """A training of a few steps with a network of a few weights."""
    return TrainConfig(
        steps=6, features=(4, 8), patch=(16, 16, 16), batch=2, validations=2, threads=1, ema=0.5
    )


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    """Trained until it sees where the cubes are, but not well."""
    from napari_medseg.jobs import finish
    from napari_medseg.training.session import train

    config = TrainConfig(
        steps=60,
        features=(8, 16),
        patch=(16, 16, 16),
        batch=2,
        validations=1,
        threads=1,
        augmentation=0.0,
        learning_rate=0.01,
        ema=0.9,
        validation_fraction=0.0,
    )
    return finish(train(_dataset(), config))


@pytest.fixture
def examples() -> list[Example]:
    """Four corrected scans of four subjects, each confirmed as a whole."""
    return [example_of(seed) for seed in range(20, 24)]


def example_of(seed: int) -> Example:
    volume, mask = phantom(seed)
    return Example(volume, mask, np.ones(mask.labels.shape, bool), f"subject {seed}")


def _dataset() -> Any:
    import tempfile

    from napari_medseg.training.dataset import find_cases

    folder = Path(tempfile.mkdtemp())
    for seed in range(4):
        write_case(folder, f"scan_{seed:03}", *phantom(seed))
    return find_cases(folder)
