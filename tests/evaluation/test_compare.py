"""Scores of whole masks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_medseg.errors import GridError, InputError
from napari_medseg.evaluation.compare import compare, label_boxes
from napari_medseg.volume import Geometry, Label, Mask, Reorientation

GRID = Geometry.from_spacing((8, 9, 10), (3.0, 1.0, 2.0))


def two_boxes(grid: Geometry = GRID) -> Mask:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:4, 2:5, 2:6], labels[5:7, 5:8, 5:9] = 1, 4
    return Mask(labels, grid, (Label(1, "liver"), Label(4, "spleen")))


def test_a_mask_against_itself_is_perfect_and_as_big_as_its_voxels() -> None:
    scores = compare(two_boxes(), two_boxes())
    liver = scores.labels[1]
    assert (liver.dice, liver.jaccard, liver.hd95_mm, liver.assd_mm, liver.nsd) == (1, 1, 0, 0, 1)
    assert liver.volume_ml_pred == liver.volume_ml_ref == pytest.approx(36 * 6 / 1000)
    assert scores.names == {1: "liver", 4: "spleen"}


def test_the_same_physical_mask_in_another_axes_order_is_perfect_too() -> None:
    canonical = two_boxes()
    other = Geometry((10, 8, 9), GRID.affine @ np.eye(4)[:, [1, 2, 0, 3]])
    turn = Reorientation.to_canonical(other)
    turned = Mask(np.ascontiguousarray(turn.undo(canonical.labels)), other)
    assert compare(turned, canonical).mean.dice == 1.0


def test_masks_on_grids_that_differ_are_refused() -> None:
    other = Geometry.from_spacing((8, 9, 10), (3.0, 1.0, 2.5))
    with pytest.raises(GridError):
        compare(two_boxes(), two_boxes(other))


def test_labels_that_neither_has_are_left_out_of_the_mean() -> None:
    scores = compare(two_boxes(), two_boxes(), labels=[1, 9])
    assert math.isnan(scores.labels[9].dice)
    assert scores.labels[9].volume_ml_ref == 0.0
    assert scores.mean.dice == 1.0


def test_a_missed_label_counts_in_mean_dice_and_not_in_mean_distance() -> None:
    missed = Mask(np.where(two_boxes().labels == 4, 0, two_boxes().labels).astype(np.uint8), GRID)
    scores = compare(missed, two_boxes())
    assert scores.labels[4].dice == 0.0
    assert scores.labels[4].hd95_mm == math.inf
    assert scores.mean.dice == 0.5
    assert scores.mean.hd95_mm == 0.0


@pytest.mark.parametrize("tolerance_mm", [-1.0, math.nan, math.inf])
def test_a_senseless_tolerance_is_refused(tolerance_mm: float) -> None:
    with pytest.raises(InputError, match="tolerance"):
        compare(two_boxes(), two_boxes(), tolerance_mm)


def test_boxes_hold_the_label_of_both_masks_and_a_rim() -> None:
    boxes = label_boxes(two_boxes().labels, np.roll(two_boxes().labels, 1, 2), [1])
    assert boxes == {1: (slice(0, 5), slice(1, 6), slice(1, 8))}


def test_a_label_one_slice_thick_keeps_its_faces_in_a_scan_of_many() -> None:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[4] = 1
    shifted = Mask(np.roll(labels, 1, 0), GRID)
    assert compare(Mask(labels, GRID), shifted).labels[1].assd_mm == pytest.approx(3.0)
