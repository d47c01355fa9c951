"""2-D networks learn from volumes, in any plane, and from the slices on either side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cubes import example_of, phantom, write_case

from napari_medseg.cli.settings import gather
from napari_medseg.errors import TrainingError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import FineTuneConfig, Plane, TrainConfig
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.plan import Fingerprint, plan
from napari_medseg.training.session import fine_tune, train
from napari_medseg.volume import Geometry, Label, Mask, Volume

Write = Callable[..., Path]
CPU = PredictConfig(device="cpu")
FAST = TrainConfig(
    steps=60,
    features=(8, 16),
    patch=(1, 16, 16),
    batch=4,
    validations=1,
    threads=1,
    augmentation=0.0,
    learning_rate=0.01,
    ema=0.9,
    validation_fraction=0.0,
)


def dice(a: np.ndarray, b: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(2 * np.sum(a & b) / (np.sum(a) + np.sum(b)))


def test_a_network_that_sees_neighbours_in_another_plane_learns_from_corrections(
    write_dataset: Write,
) -> None:
    config = replace(FAST, plane=Plane.CORONAL, neighbours=1, steps=10)
    made = finish(train(find_cases(write_dataset(3)), config))
    examples = [example_of(seed) for seed in (31, 32, 33)]
    settings = FineTuneConfig(steps=4, batch=2, validations=1, device="cpu", threads=1)
    outcome = finish(fine_tune(made, examples, settings))
    assert outcome.candidate.recipe.n_inputs == 3
    assert outcome.candidate.recipe.orientation == "LIP"
    assert any(
        not np.array_equal(outcome.candidate.weights[name], made.weights[name])
        for name in made.weights
    )


def test_a_plane_is_named_on_the_command_line() -> None:
    config = gather(TrainConfig, None, ["plane=sagittal", "neighbours=2"], {})
    assert (config.plane, config.neighbours) == (Plane.SAGITTAL, 2)


def planned(config: TrainConfig, shape: tuple[int, int, int] = (60, 40, 50)) -> object:
    found = Fingerprint((shape,), ((3.0, 1.0, 1.0),), ("image",), (Label(1, "a"),))
    return plan(found, config, 8e9)


@pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL, Plane.SAGITTAL])
def test_a_flat_network_learns_from_volumes_in_any_plane(
    plane: Plane, write_dataset: Write, tmp_path: Path
) -> None:
    config = replace(FAST, plane=plane)
    made = finish(train(find_cases(write_dataset(4)), config))
    checkpoint.save(made, tmp_path / "flat.safetensors")
    volume, mask = phantom(77)
    found = finish(predict(volume, checkpoint.load(tmp_path / "flat.safetensors"), CPU)).mask
    assert made.network.dims == 2
    assert dice(found.labels > 0, mask.labels > 0) > 0.5


def mountain(seed: int) -> tuple[Volume, Mask]:
    """The image of each slice shows, in noise, what is labelled in the slice below it."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((12, 16, 16), np.uint8)
    for z in range(12):
        y, x = rng.integers(0, 10, 2)
        labels[z, y : y + 6, x : x + 6] = 1
    image = rng.normal(0, 10, labels.shape).astype(np.float32)
    image[1:] += 100 * labels[:-1]
    geometry = Geometry.from_spacing(labels.shape)
    return Volume(image, geometry), Mask(labels, geometry)


@pytest.mark.parametrize(("neighbours", "low", "high"), [(0, 0.0, 0.6), (1, 0.8, 1.0)])
def test_what_only_the_neighbouring_slice_shows_is_learnt_with_neighbours_alone(
    neighbours: int, low: float, high: float, tmp_path: Path
) -> None:
    for seed in range(6):
        write_case(tmp_path, f"scan_{seed}", *mountain(seed))
    config = replace(FAST, plane=Plane.AXIAL, neighbours=neighbours, steps=80)
    made: Segmenter = finish(train(find_cases(tmp_path), config))
    volume, mask = mountain(99)
    found = finish(predict(volume, made, CPU)).mask.labels[:-1]
    assert low <= dice(found > 0, mask.labels[:-1] > 0) <= high


def test_a_patch_of_one_slice_follows_the_plane_and_the_spacing_of_its_slices() -> None:
    recipe = planned(TrainConfig(plane=Plane.CORONAL, mirror_axes=(2, 1), neighbours=2)).recipe
    assert recipe.patch[0] == 1
    assert recipe.orientation == "LIP"
    assert recipe.mirror_axes == (2,), "a coronal slice has no front and back"
    assert recipe.n_inputs == 5


def test_left_and_right_lie_across_sagittal_slices() -> None:
    config = TrainConfig(plane=Plane.SAGITTAL, mirror_axes=(0, 2))
    assert planned(config).recipe.mirror_axes == (1,), "up and down, which is Y of the slice"


def test_neighbours_of_a_volume_are_refused() -> None:
    with pytest.raises(TrainingError, match="choose a plane"):
        planned(TrainConfig(neighbours=1))
