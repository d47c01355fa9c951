"""What a process beside the window says of a model's mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.second_look import memory_file, opinion_file
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.exemplar import exemplar
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Geometry, Label, Volume

ON_CPU = PredictConfig(device="cpu")


def saved(folder: Path, subjects: int, bias: float) -> Path:
    """A model that calls everything organ, or nothing; it keeps pieces that are half organ."""
    config = NetworkConfig(features=(2, 4), strides=((1, 1, 1), (2, 2, 2)), convs_per_stage=1)
    weights = weights_of(build(config, 1, 2))
    for name, value in weights.items():
        if "seg_layers" in name:
            value[:] = torch.tensor([-bias, bias]) if name.endswith("bias") else 0.0
    target = torch.zeros(8, 16, 16, dtype=torch.uint8)
    target[:4] = 1
    image = torch.linspace(0, 1, target.numel()).reshape(1, *target.shape)
    memory = tuple(exemplar(image, target, str(n), True) for n in range(subjects))
    recipe = Recipe((Label(1, "organ", "#3cb44b"),), spacing_mm=(1.0, 1.0, 1.0), patch=(8, 16, 16))
    path = folder / "organ.safetensors"
    checkpoint.save(Segmenter("organ", config, weights, recipe, memory=memory), path)
    return path


def scan() -> Volume:
    noise = np.random.default_rng(0).normal(0, 1, (10, 12, 14)).astype(np.float32)
    return Volume(noise, Geometry.from_spacing(noise.shape, (1.0, 1.0, 1.0)))


def test_an_opinion_is_the_box_where_there_is_something_to_say(tmp_path: Path) -> None:
    found = finish(opinion_file(scan(), saved(tmp_path, 0, 9.0), ON_CPU))
    assert (found.start, found.labels.shape, found.wrong.shape) == ((0, 0, 0), *[(10, 12, 14)] * 2)
    assert found.signs[1].agreed == (1.0,) * 6


def test_of_a_scan_where_nothing_is_found_there_is_nothing_to_say(tmp_path: Path) -> None:
    found = finish(opinion_file(scan(), saved(tmp_path, 0, -9.0), ON_CPU))
    assert (found.labels.size, dict(found.signs)) == (0, {})


@pytest.mark.parametrize(("subjects", "known"), [(4, 0), (5, 5)])
def test_the_memory_tells_where_enough_cases_are_in_it(
    tmp_path: Path, subjects: int, known: int
) -> None:
    found = finish(memory_file(saved(tmp_path, subjects, 9.0), ON_CPU))
    assert [one.dice for one in found] == pytest.approx([2 / 3] * known)
