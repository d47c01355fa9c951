"""Models that came from nnU-Net learn on: overlapping regions, and one network of several folds."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from cubes import example_of

from napari_medseg.jobs import finish
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.nnunet_plan import Intensity, NnUNetPlan, Scheme
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE, FineTuneConfig
from napari_medseg.training.loss import ce_and_dice, memory_loss
from napari_medseg.training.session import fine_tune
from napari_medseg.volume import Label

NETWORK = NetworkConfig(features=(8, 16), strides=((1, 1, 1), (2, 2, 2)), convs_per_stage=1)
RECIPE = Recipe(
    labels=(Label(1, "both cubes"), Label(2, "the dim cube")),
    patch=(16, 16, 16),
    spacing_mm=(1.0, 1.0, 1.0),
    regions=((1, 2), (2,)),
    nnunet=NnUNetPlan((Intensity(Scheme.Z_SCORE),)),
)
BELONGS = torch.tensor(RECIPE.belongs)
QUICK = FineTuneConfig(
    steps=30, learning_rate=0.02, threads=1, ema=0.5, anchor=0.0, validations=1, augmentation=0.0
)


def segmenter(n_folds: int = 1, recipe: Recipe = RECIPE) -> Segmenter:
    torch.manual_seed(0)
    first, *others = (weights_of(build(NETWORK, 1, recipe.n_outputs)) for _ in range(n_folds))
    return Segmenter("cubes", NETWORK, first, recipe, folds=tuple(others))


def test_each_number_tells_the_regions_that_it_lies_in() -> None:
    assert RECIPE.belongs == ((False, False), (True, False), (True, True))
    assert (RECIPE.n_outputs, RECIPE.values) == (2, (0, 1, 2))


def test_sure_and_right_regions_cost_nothing_and_wrong_ones_much() -> None:
    target = torch.tensor([0, 1, 2, IGNORE]).reshape(1, 4, 1, 1)
    right = (20.0 * BELONGS[[0, 1, 2, 0]].float() - 10).T.reshape(1, 2, 4, 1, 1)
    assert ce_and_dice(right, target, BELONGS) < 1e-3
    assert ce_and_dice(-right, target, BELONGS) > 10


def test_a_voxel_that_nobody_knows_changes_no_region() -> None:
    target = torch.tensor([0, 1, 2, IGNORE]).reshape(1, 4, 1, 1)
    logits = torch.randn(1, 2, 4, 1, 1, generator=torch.Generator().manual_seed(0))
    other = logits.clone()
    other[:, :, 3] = 9
    assert ce_and_dice(logits, target, BELONGS) == ce_and_dice(other, target, BELONGS)


def test_memory_of_regions_is_the_divergence_of_each() -> None:
    parent, child = torch.tensor([[[0.0]], [[2.0]]]), torch.tensor([[[1.0]], [[2.0]]])
    p, q = 0.5, 1 / (1 + math.exp(-1))
    wanted = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    got = memory_loss(child[None], parent[None], overlapping=True)
    assert float(got) == pytest.approx(wanted, abs=1e-6)
    assert float(memory_loss(parent[None], parent[None], overlapping=True)) == 0


def test_a_model_of_regions_learns_from_corrections() -> None:
    outcome = finish(fine_tune(segmenter(), [example_of(seed) for seed in range(20, 24)], QUICK))
    assert outcome.adopted
    assert outcome.after["the dim cube"] > outcome.before["the dim cube"] + 0.1
    assert outcome.candidate.recipe == RECIPE


def test_what_is_learned_from_several_folds_is_one_network() -> None:
    plain = replace(RECIPE, regions=())
    parent = segmenter(2, plain)
    few = replace(QUICK, steps=2)
    candidate = finish(fine_tune(parent, [example_of(20), example_of(21)], few)).candidate
    assert (len(parent.members), len(candidate.members)) == (2, 1)
