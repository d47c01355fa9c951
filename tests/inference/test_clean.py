"""Cleaning a mask."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.errors import InputError
from napari_medseg.inference.clean import clean
from napari_medseg.preprocess.recipe import CleanRule
from napari_medseg.volume import Geometry, Mask


def shell_and_speck() -> Mask:
    """A hollow cube of label 2 (124 voxels, 1 missing inside) and a speck of 2, on 2 mm voxels."""
    labels = np.zeros((9, 9, 12), np.uint8)
    labels[1:6, 1:6, 1:6] = 2
    labels[3, 3, 3] = 0
    labels[7, 7, 10] = 2
    return Mask(labels, Geometry.from_spacing(labels.shape, (2.0, 2.0, 2.0)))


def test_nothing_asked_nothing_changed() -> None:
    mask = shell_and_speck()
    np.testing.assert_array_equal(clean(mask, []).labels, mask.labels)


def test_only_the_largest_piece_stays() -> None:
    labels = clean(shell_and_speck(), [CleanRule(2, keep_largest=True)]).labels
    assert labels[7, 7, 10] == 0
    assert np.count_nonzero(labels) == 124


@pytest.mark.parametrize(("smallest_ml", "left"), [(0.008, 125), (0.009, 124), (1.0, 0)])
def test_pieces_below_a_volume_go(smallest_ml: float, left: int) -> None:
    labels = clean(shell_and_speck(), [CleanRule(2, smallest_ml=smallest_ml)]).labels
    assert np.count_nonzero(labels) == left


def test_a_hole_is_filled_and_a_neighbour_in_it_is_not() -> None:
    mask = shell_and_speck()
    assert clean(mask, [CleanRule(2, fill_holes=True)]).labels[3, 3, 3] == 2
    mask.labels[3, 3, 3] = 5
    assert clean(mask, [CleanRule(2, fill_holes=True)]).labels[3, 3, 3] == 5


def test_a_ring_in_a_single_slice_is_filled() -> None:
    labels = np.zeros((1, 5, 5), np.uint8)
    labels[0, 1:4, 1:4], labels[0, 2, 2] = 1, 0
    ring = Mask(labels, Geometry.from_spacing((1, 5, 5)))
    assert np.count_nonzero(clean(ring, [CleanRule(1, fill_holes=True)]).labels) == 9


def test_only_the_labels_named_are_cleaned() -> None:
    mask = shell_and_speck()
    cleaned = clean(mask, [CleanRule(value, keep_largest=True) for value in (1, 7)])
    np.testing.assert_array_equal(cleaned.labels, mask.labels)


def test_a_speck_that_goes_from_inside_another_label_leaves_no_hole() -> None:
    mask = shell_and_speck()
    mask.labels[3, 3, 3] = 1
    rules = [CleanRule(2, fill_holes=True), CleanRule(1, smallest_ml=1.0)]
    assert clean(mask, rules).labels[3, 3, 3] == 2


def test_the_mask_given_stays_as_it_was() -> None:
    mask = shell_and_speck()
    clean(mask, [CleanRule(2, keep_largest=True)])
    assert np.count_nonzero(mask.labels) == 125


def test_a_negative_volume_is_refused() -> None:
    with pytest.raises(InputError, match="0 ml or more"):
        CleanRule(2, smallest_ml=-1)
