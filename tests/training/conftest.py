"""Datasets small enough to train on in seconds, whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cubes import example_of, phantom, write_case

from napari_medseg.correction.record import Example
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import TrainConfig


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


def _dataset() -> Any:
    import tempfile

    from napari_medseg.training.dataset import find_cases

    folder = Path(tempfile.mkdtemp())
    for seed in range(4):
        write_case(folder, f"scan_{seed:03}", *phantom(seed))
    return find_cases(folder)
