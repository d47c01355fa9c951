"""A model learns to look at the whole before the parts, and may do so only if it misses nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from cubes import example_of
from torch import nn

from napari_medseg.jobs import Notice, finish
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import FineTuneConfig, TrainConfig
from napari_medseg.training.plan import Fingerprint, plan
from napari_medseg.training.sampling import COARSE_SHARE, Lesson, Sampler, lesson
from napari_medseg.training.scouting import checked, coarse_lesson
from napari_medseg.training.session import fine_tune
from napari_medseg.volume import Label

CPU = torch.device("cpu")
RECIPE = Recipe((Label(1, "cube"),), patch=(16, 16, 16), scout=2.0)


def cubes(*places: int, size: int = 6) -> Lesson:
    """Bright cubes in the dark along the diagonal, and their target."""
    target = torch.zeros(64, 64, 64, dtype=torch.uint8)
    for place in places:
        inside = slice(place, place + size)
        target[inside, inside, inside] = 1
    return lesson("cubes", target[None].float(), target)


class Bright(nn.Module):
    """Finds what is brighter than its threshold."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        score = 40 * (batch - self.threshold)
        return torch.cat([-score, score], 1)


def test_a_coarse_look_that_finds_all_labels_is_kept() -> None:
    recipe = finish(checked(Bright(0.5), [cubes(4, 40)] * 3, RECIPE, CPU, half=False))
    assert recipe.scout == 2.0


def test_borders_alone_are_computed_if_the_masks_are_as_good() -> None:
    recipe = finish(checked(Bright(0.5), [cubes(4, size=40)] * 3, RECIPE, CPU, half=False))
    assert recipe.borders


class Coarse(nn.Module):
    """Reads fine scans well, and paints all of a coarse one that holds anything."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        blurred = ((batch > 0.01) & (batch < 0.99)).any()
        score = torch.full_like(batch, 20) if blurred else 40 * (batch - 0.5)
        return torch.cat([-score, score], 1)


def test_borders_alone_are_not_computed_if_a_label_gets_worse_and_training_says_so() -> None:
    said: list[object] = []
    held = [cubes(5, size=41)] * 3  # odd: on coarse voxels their faces are blurred
    recipe = finish(checked(Coarse(), held, RECIPE, CPU, half=False), said.append)
    assert recipe == RECIPE
    assert any(isinstance(one, Notice) and "borders alone cost" in one.text for one in said)


def test_what_was_allowed_before_is_tried_anew() -> None:
    allowed = replace(RECIPE, borders=True)
    assert finish(checked(Bright(0.5), [], allowed, CPU, half=False)) == replace(RECIPE, scout=1.0)


def test_a_coarse_look_that_misses_a_label_is_given_up_and_says_so() -> None:
    said: list[object] = []
    one = cubes(4, size=16)
    speck = replace(one, target=one.target.clone())
    speck.target[50, 50, 50] = 1  # one voxel of 4097, and nothing in the image shows it
    recipe = finish(checked(Bright(0.5), [one, one, speck], RECIPE, CPU, half=False), said.append)
    assert recipe == replace(RECIPE, scout=1.0)
    assert any(isinstance(one, Notice) and "coarse look misses" in one.text for one in said)


@pytest.mark.parametrize("held", [[], [cubes(4)] * 2, [cubes(4), cubes(4), cubes()]])
def test_what_too_few_cases_prove_is_not_used(held: list[Lesson]) -> None:
    assert finish(checked(Bright(0.5), held, RECIPE, CPU, half=False)).scout == 1.0


def test_a_fine_tuned_model_has_earned_nothing_yet() -> None:
    network = NetworkConfig(features=(2, 4), strides=((1, 1, 1), (2, 2, 2)), convs_per_stage=1)
    recipe = replace(RECIPE, labels=(Label(1, "bright"), Label(2, "dim")), borders=True)
    parent = Segmenter("cubes", network, weights_of(build(network, 1, 3)), recipe)
    config = FineTuneConfig(steps=1, threads=1, validations=1)
    outcome = finish(fine_tune(parent, [example_of(1), example_of(2)], config))
    assert outcome.candidate.recipe == replace(recipe, scout=1.0, borders=False)


def test_a_coarse_lesson_shows_the_same_things_in_larger_voxels() -> None:
    coarse = coarse_lesson(cubes(8, size=8), 2.0)
    assert coarse.image.shape == (1, 32, 32, 32)
    wanted = np.zeros((32, 32, 32), np.uint8)
    wanted[4:8, 4:8, 4:8] = 1
    np.testing.assert_array_equal(coarse.target.numpy(), wanted)


@pytest.mark.parametrize("n_lessons", [1, 3, 5])
def test_a_fixed_share_of_the_patches_is_coarse(n_lessons: int) -> None:
    fine = [cubes(4) for _ in range(n_lessons)]
    coarse = [replace(one, image=one.image + 100) for one in fine]
    sampler = Sampler(fine, (8, 8, 8), 10, strength=0.0, coarse=coarse)
    images = torch.cat([sampler(step)[0] for step in range(3)])
    share = float((images.amax((1, 2, 3, 4)) > 50).float().mean())
    assert share == pytest.approx(COARSE_SHARE)


def found(shape: tuple[int, int, int]) -> Fingerprint:
    return Fingerprint((shape,), ((1.0, 1.0, 1.0),), ("MRI",), (Label(1, "one"),))


@pytest.mark.parametrize(
    ("shape", "asked", "factor"),
    [
        ((48, 48, 48), 0.0, 1.0),
        ((160, 160, 160), 0.0, 2.0),
        ((160, 160, 160), 1.0, 1.0),
        ((48, 48, 48), 3.0, 3.0),
    ],
)
def test_it_is_learned_where_scans_are_much_larger_than_a_patch(
    shape: tuple[int, int, int], asked: float, factor: float
) -> None:
    config = TrainConfig(patch=(48, 48, 48), scout=asked)
    assert plan(found(shape), config, 8e9).recipe.scout == factor
