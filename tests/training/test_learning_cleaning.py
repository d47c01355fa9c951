"""Rules that clean a model's masks, learned from masks whose faults are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.correction.record import Example
from napari_medseg.inference.clean import clean, words
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.preprocess.recipe import CleanRule, Recipe
from napari_medseg.training.cleaning import Learned, Pair, learn, upheld
from napari_medseg.training.config import FineTuneConfig, TrainConfig
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.events import CleaningLearned
from napari_medseg.training.session import fine_tune, train
from napari_medseg.volume import Geometry, Label, Mask, Volume

RECIPE = Recipe((Label(7, "liver"), Label(3, "spleen")), spacing_mm=(2.0, 2.0, 2.0))
VOXEL_ML = 0.008
SHAPE = (12, 20, 20)


def organ(*corners: tuple[int, int, int], side: int = 6) -> np.ndarray:
    """Cubes of output 1."""
    labels = np.zeros(SHAPE, np.uint8)
    for z, y, x in corners:
        labels[z : z + side, y : y + side, x : x + side] = 1
    return labels


def learned(pairs: list[Pair], recipe: Recipe = RECIPE, more: tuple = ()) -> Learned:
    return finish(learn(pairs, [*(pair.truth for pair in pairs), *more], recipe))


def specked(seed: int, side: int = 2) -> Pair:
    """An organ found whole, and a speck of side³ voxels far away."""
    truth = organ((2, 2, 2 + seed))
    found = truth.copy()
    found[8 : 8 + side, 14 : 14 + side, 14 : 14 + side] = 1
    return Pair(found, truth)


def test_a_speck_far_away_teaches_to_keep_the_largest_piece() -> None:
    result = learned([specked(n) for n in range(4)])
    assert result.rules == (CleanRule(7, keep_largest=True),)
    assert result.said == ("liver: largest piece only (Dice 0.982 to 1.000)",)


def test_what_is_learned_makes_the_masks_right() -> None:
    rules = learned([specked(n) for n in range(4)]).rules
    pair, grid = specked(5), Geometry.from_spacing(SHAPE, (2.0, 2.0, 2.0))
    values = np.array(RECIPE.values, np.uint8)
    mask = clean(Mask(values[pair.found], grid), rules)
    np.testing.assert_array_equal(mask.labels, values[pair.truth])


def test_an_organ_of_two_parts_keeps_both_and_loses_what_is_small() -> None:
    pairs = []
    for n in range(4):
        truth = organ((1, 1, 1), (1, 12, 1 + n))
        found = truth.copy()
        found[10, 18, 18] = 1
        found[8:11, 1:4, 14:17] = 1
        pairs.append(Pair(found, truth))
    (rule,) = learned(pairs).rules
    assert not rule.keep_largest
    assert 27 * VOXEL_ML < rule.smallest_ml < 216 * VOXEL_ML


def test_a_second_part_that_no_mask_found_forbids_the_rule_too() -> None:
    twins = organ((1, 1, 1), (1, 12, 4))
    (rule,) = learned([specked(n) for n in range(4)], more=(twins,)).rules
    assert not rule.keep_largest


def test_a_label_that_is_often_invented_must_have_some_size() -> None:
    nothing, speck = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    speck[3:5, 3:5, 3:5] = 1
    pairs = [Pair(speck, nothing)] * 3 + [Pair(organ((2, 2, 2)), organ((2, 2, 2)))] * 2
    (rule,) = learned(pairs).rules
    assert rule.smallest_ml == pytest.approx(1.05 * 8 * VOXEL_ML, rel=0.01)
    assert rule == CleanRule(7, smallest_ml=rule.smallest_ml)


def test_holes_that_are_always_wrong_are_filled() -> None:
    truth = organ((2, 2, 2))
    found = truth.copy()
    found[4:6, 4:6, 4:6] = 0
    assert learned([Pair(found, truth)] * 3).rules == (CleanRule(7, fill_holes=True),)
    assert learned([Pair(found, found)] * 3) == Learned()


def test_masks_that_are_right_teach_nothing() -> None:
    assert learned([Pair(organ((2, 2, n)), organ((2, 2, n))) for n in range(5)]) == Learned()


def test_a_rule_that_harms_more_cases_than_it_helps_is_none() -> None:
    whole = organ((1, 1, 1))
    torn = organ((1, 1, 1))
    torn[3, 1:7, 1:7] = 0  # one piece in truth, two in the mask: the smaller one is right
    harmed, helped = [Pair(torn, whole)] * 3, [specked(1, side=5)] * 2
    assert learned(harmed + helped) == Learned()


def test_too_few_cases_teach_nothing() -> None:
    assert learned([specked(0), specked(1)]) == Learned()


def test_sizes_are_not_learned_where_voxels_have_none() -> None:
    pairs = []
    for n in range(4):
        pair = specked(n)
        twins = organ((1, 1, 1), (1, 12, 1 + n))
        pairs.append(Pair(np.maximum(twins, pair.found), np.maximum(twins, pair.truth)))
    flat = replace(RECIPE, spacing_mm=None)
    assert learned(pairs, flat) == Learned()


def test_what_nobody_knows_counts_nowhere() -> None:
    pairs = [specked(n) for n in range(4)]
    blind = [Pair(p.found, np.where(p.found != p.truth, 255, p.truth)) for p in pairs]
    assert learned(blind) == Learned()


def test_rules_are_told_by_the_labels_name() -> None:
    rules = [CleanRule(7, True, 0.5), CleanRule(3, fill_holes=True)]
    assert words(rules, RECIPE.labels) == [
        "liver: largest piece only, no piece below 0.5 ml",
        "spleen: holes filled",
    ]


def test_a_training_keeps_what_it_learned_to_clean(
    write_dataset: Callable[..., Path],
    quick: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def specks_beside_the_truth(pairs, truths, recipe):  # a few steps teach no honest mask
        assert len(pairs) == 3
        assert len(truths) == 6
        return (yield from learn([with_speck(one) for one in pairs], truths, recipe))

    monkeypatch.setattr("napari_medseg.training.train.learn", specks_beside_the_truth)
    config = replace(quick, steps=2, validation_last=0, validation_fraction=0.5)
    events: list[object] = []
    cases = find_cases(write_dataset(6))
    segmenter = finish(train(cases, config), events.append)
    assert CleanRule(2, keep_largest=True) in segmenter.recipe.clean
    assert any("largest piece only" in e.text for e in events if isinstance(e, CleaningLearned))
    card = checkpoint.save(segmenter, tmp_path / "model.safetensors")
    assert card.recipe.clean == segmenter.recipe.clean
    without = finish(train(cases, replace(config, learn_cleaning=False)))
    assert without.recipe.clean == ()


def with_speck(pair: Pair) -> Pair:
    found = np.where(pair.truth == 1, 0, pair.truth)
    found[:2, :2, :2] = 2
    return Pair(found, pair.truth)


def corrected(confirmed_speck: bool) -> Example:
    """A liver and a speck far away that the model made; a person may have vouched for the speck."""
    labels = organ((1, 1, 1)) * np.uint8(7)
    labels[9:11, 15:17, 15:17] = 7
    confirmed = np.ones(SHAPE, bool)
    confirmed[8:] = confirmed_speck
    grid = Geometry.from_spacing(SHAPE, (2.0, 2.0, 2.0))
    return Example(Volume(labels.astype(np.float32), grid), Mask(labels, grid), confirmed, "one")


def test_a_rule_that_would_undo_a_correction_is_given_up() -> None:
    rules = (CleanRule(7, keep_largest=True), CleanRule(3, fill_holes=True))
    assert upheld(rules, [corrected(confirmed_speck=False)]) == rules
    assert upheld(rules, [corrected(False), corrected(True)]) == rules[1:]


def test_a_fine_tune_keeps_the_rules_of_its_parent(segmenter, examples) -> None:
    parent = replace(segmenter, recipe=replace(segmenter.recipe, clean=(CleanRule(1, True),)))
    outcome = finish(fine_tune(parent, examples, FineTuneConfig(steps=1, validations=1, threads=1)))
    assert outcome.candidate.recipe.clean == parent.recipe.clean
