"""Scores on cases that nobody learnt from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import DOUBTED, lesson
from napari_medseg.training.validate import Exam, blended, examine, overlap_counts, scores
from napari_medseg.volume import Label

CPU = torch.device("cpu")
RECIPE = Recipe((Label(1, "rind"), Label(2, "core")), patch=(8, 8, 8))


class Oracle(nn.Module):
    """Says what the image shows: its values are the labels."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.cat([-((batch - n) ** 2) for n in range(3)], 1)


def test_a_perfect_network_scores_one_whatever_the_size() -> None:
    target = torch.randint(0, 3, (5, 20, 9)).to(torch.uint8)
    one = lesson("a", target.float()[None], target)
    exam = list(examine(Oracle(), [one], RECIPE, CPU, half=False))[-1]
    assert exam is not None
    assert exam.dice == exam.jaccard == {"rind": 1.0, "core": 1.0}


def test_blended_logits_lie_on_the_image_itself() -> None:
    image = torch.rand(1, 5, 20, 9)
    logits = blended(Oracle(), image, RECIPE, CPU, half=False)
    assert torch.allclose(logits, Oracle()(image[None])[0], atol=1e-5)


def test_dice_and_jaccard_of_half_an_overlap() -> None:
    said = torch.tensor([[[1, 1, 0, 0]]], dtype=torch.uint8)
    truth = torch.tensor([[[0, 1, 1, 0]]], dtype=torch.uint8)
    exam = scores([overlap_counts(said, truth, 3)], RECIPE)
    assert exam.dice["rind"] == pytest.approx(0.5)
    assert exam.jaccard["rind"] == pytest.approx(1 / 3)
    assert math.isnan(exam.dice["core"])
    assert exam.mean == pytest.approx(0.5)


def test_unknown_voxels_are_scored_nowhere() -> None:
    said = torch.tensor([[[1, 2]]], dtype=torch.uint8)
    counts = overlap_counts(said, torch.tensor([[[1, IGNORE]]], dtype=torch.uint8), 3)
    assert np.array_equal(counts, [[0, 0, 0], [1, 1, 1], [0, 0, 0]])


def test_a_difference_from_what_nobody_vouches_for_counts_three_tenths() -> None:
    said = torch.tensor([[[1, 1, 2, 0]]], dtype=torch.uint8)
    target = torch.tensor([[[1, DOUBTED + 1, DOUBTED + 1, 0]]], dtype=torch.uint8)
    rind = overlap_counts(said, target, 3)[1]
    np.testing.assert_allclose(rind, [2.7, 2.7, 3.0])
    exam = scores([overlap_counts(said, target, 3)], RECIPE)
    assert exam.dice["rind"] == pytest.approx(2 * 2.7 / 5.7)


def test_who_differs_more_than_a_mask_can_lack_is_wrong_there() -> None:
    target = torch.full((1, 4, 10), DOUBTED + 1, dtype=torch.uint8)
    target[0, 0, :2] = 2  # two voxels were corrected
    nothing = torch.zeros_like(target)
    rind = overlap_counts(nothing, target, 3)[1]
    excused = 2 + 38 / 2
    wrong = 38 - excused + 0.3 * excused
    np.testing.assert_allclose(rind, [38 - wrong, 38 - wrong, 38])


def test_with_more_outputs_than_can_be_doubted_a_high_number_is_a_label() -> None:
    target = torch.tensor([[[DOUBTED + 1, IGNORE]]], dtype=torch.uint8)
    counts = overlap_counts(target.clone(), target, DOUBTED + 10)
    assert counts[DOUBTED + 1].tolist() == [1, 1, 1]
    assert counts.sum() == 3


def test_a_case_without_the_label_does_not_lower_its_mean() -> None:
    full, empty = np.array([[9, 9, 9], [4, 4, 4], [1, 1, 1]]), np.array([[9, 9, 9]] + [[0] * 3] * 2)
    assert scores([full, empty], RECIPE).dice == {"rind": 1.0, "core": 1.0}


def test_a_missed_label_scores_zero() -> None:
    missed = np.array([[9, 13, 9], [0, 0, 4], [1, 1, 1]])
    assert scores([missed], RECIPE).dice["rind"] == 0


def test_no_case_gives_no_score() -> None:
    exam = scores([], RECIPE)
    assert all(math.isnan(score) for score in exam.dice.values())
    assert Exam({}, {}).mean == 0
