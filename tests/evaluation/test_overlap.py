"""Dice and Jaccard, on masks whose overlap is counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_medseg.errors import GridError
from napari_medseg.evaluation.overlap import counts_by_label, dice, dice_by_label, jaccard
from napari_medseg.volume import Geometry, Mask


def mask(*ones: int, spacing_mm: tuple[float, float, float] = (1, 1, 1)) -> Mask:
    labels = np.zeros((1, 1, 10), np.uint8)
    labels[0, 0, list(ones)] = 1
    return Mask(labels, Geometry.from_spacing((1, 1, 10), spacing_mm))


def test_two_of_three_and_four_voxels_in_common() -> None:
    pred, ref = mask(1, 2, 3), mask(2, 3, 4, 5)
    assert dice(pred, ref) == pytest.approx(4 / 7)
    assert jaccard(pred, ref) == pytest.approx(2 / 5)


def test_a_mask_agrees_with_itself() -> None:
    assert dice(mask(1, 2), mask(1, 2)) == jaccard(mask(1, 2), mask(1, 2)) == 1.0


def test_a_label_that_only_one_mask_has_scores_nought() -> None:
    assert dice(mask(1), mask()) == jaccard(mask(), mask(1)) == 0.0


def test_a_label_that_neither_mask_has_scores_nothing() -> None:
    assert math.isnan(dice(mask(), mask()))
    assert math.isnan(jaccard(mask(1), mask(1), label=2))


def test_masks_on_other_grids_are_refused() -> None:
    with pytest.raises(GridError, match="share a grid"):
        dice(mask(1), mask(1, spacing_mm=(5, 1, 1)))


def test_dice_jaccard_and_counts_hold_together_for_any_labels() -> None:
    rng = np.random.default_rng(0)
    pred, ref = rng.integers(0, 4, (2, 6, 7, 8)).astype(np.uint8)
    for value, n in counts_by_label(pred, ref, range(1, 5)).items():
        assert n.both == np.sum((pred == value) & (ref == value))
        assert (n.pred, n.ref) == (np.sum(pred == value), np.sum(ref == value))
        if value < 4:
            assert n.dice == pytest.approx(2 * n.jaccard / (1 + n.jaccard))


def test_a_value_beyond_all_labels_is_counted_as_absent() -> None:
    labels = np.ones((2, 2, 2), np.uint16)
    assert math.isnan(dice_by_label(labels, labels, [500])[500])
    assert dice_by_label(labels, labels, [1]) == {1: 1.0}


def test_arrays_of_other_shapes_are_refused() -> None:
    with pytest.raises(GridError, match="one shape"):
        dice_by_label(np.ones((2, 2, 2), np.uint8), np.ones((2, 2, 3), np.uint8), [1])
