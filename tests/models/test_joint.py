"""Several models as one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_medseg.errors import ModelError
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, mean_of, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.joint import join, join_job
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import CleanRule, Recipe
from napari_medseg.volume import Label

SMALL = NetworkConfig(features=(2, 4), strides=((1, 1, 1), (2, 2, 2)), convs_per_stage=1)
RECIPE = Recipe((Label(1, "organ"),), patch=(8, 16, 16), mirror_axes=(0, 2), scout=2.0)


def model(seed: int, **changes: object) -> Segmenter:
    torch.manual_seed(seed)
    made = Segmenter(f"model {seed}", SMALL, weights_of(build(SMALL, 1, 2)), RECIPE)
    return replace(made, **changes)


def saved(folder: Path, *models: Segmenter) -> list[Path]:
    paths = [folder / f"{number}.safetensors" for number in range(len(models))]
    for one, path in zip(models, paths, strict=True):
        checkpoint.save(one, path)
    return paths


def test_the_joint_model_answers_the_mean_of_all(tmp_path):
    models = [model(seed) for seed in range(3)]
    card = finish(join_job(saved(tmp_path, *models), tmp_path / "joint.safetensors"))
    assert (card.members, card.name) == (3, "model 0 and 2 more")
    tile = torch.rand(1, 1, 8, 16, 16)
    whole = mean_of(checkpoint.load(card.path))
    answers = [mean_of(one)(tile) for one in models]
    torch.testing.assert_close(whole(tile), torch.stack(answers).mean(0))


def test_it_does_only_what_all_of_them_learned(tmp_path):
    rules = CleanRule(1, keep_largest=True), CleanRule(1, smallest_ml=2.0)
    first = model(0, recipe=replace(RECIPE, clean=rules))
    other = model(1, recipe=replace(RECIPE, clean=rules[1:], mirror_axes=(2,), scout=1.0))
    recipe = join(saved(tmp_path, first, other)).recipe
    assert (recipe.clean, recipe.mirror_axes, recipe.scout) == (rules[1:], (2,), 1.0)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (model(0), "one comes twice"),
        (model(1, recipe=replace(RECIPE, labels=(Label(1, "bone"),))), "the same labels"),
        (model(1, recipe=replace(RECIPE, spacing_mm=(1.0, 1.0, 1.0))), "several --model"),
        (model(1, previous=model(2)), "one is a cascade"),
    ],
)
def test_models_that_do_not_go_together_are_refused(tmp_path, other, sentence):
    with pytest.raises(ModelError, match=sentence):
        join(saved(tmp_path, model(0), other))
