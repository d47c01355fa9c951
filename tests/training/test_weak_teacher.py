"""Whom one may believe about what nobody corrected."""

from __future__ import annotations

import pytest
import torch

from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson
from napari_medseg.training.study import as_left, finds


def corrected(*values: int) -> torch.Tensor:
    """A slice of this row, between two that nobody corrected."""
    target = torch.full((3, 1, len(values)), IGNORE, dtype=torch.uint8)
    target[1, 0] = torch.tensor(values, dtype=torch.uint8)
    return target


def said(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8).expand(3, 1, -1).clone()


def test_a_structure_that_is_missed_altogether_is_not_found() -> None:
    assert finds(said(1, 1, 0, 0), corrected(1, 1, 2, 2)) == 0.0


def test_strokes_on_a_border_leave_most_of_a_structure_found() -> None:
    target = corrected(IGNORE, IGNORE, IGNORE, 1)
    assert finds(said(1, 1, 1, 0), target) == pytest.approx(0.75)


def test_background_that_was_painted_is_no_structure() -> None:
    assert finds(said(1, 0), corrected(0, IGNORE)) == 1.0


def left_as(target: torch.Tensor, *values: int) -> Lesson:
    """A scan whose mask holds these values in each of its three slices."""
    return Lesson("one", torch.zeros(1, *target.shape), target, left=said(*values))


def test_the_mask_as_it_was_left_teaches_in_the_corrected_slice_alone() -> None:
    one = left_as(corrected(1, IGNORE, IGNORE, IGNORE), 1, 1, 1, 0)
    labels, where = as_left(one, said(1, 1, 0, 0))
    assert labels.tolist() == [[[1, 1, 0, 0]], [[1, 1, 1, 0]], [[1, 1, 0, 0]]]
    assert where.nonzero().tolist() == [[1, 0, 1], [1, 0, 2], [1, 0, 3]]


def test_a_mask_without_most_of_what_the_parent_sees_tells_nothing() -> None:
    """Some strokes on a scan that was never predicted: the rest is not known to be background."""
    one = left_as(corrected(1, IGNORE, IGNORE, IGNORE), 1, 0, 0, 0)
    labels, where = as_left(one, said(1, 1, 1, 0))
    assert torch.equal(labels, said(1, 1, 1, 0))
    assert not where.any()


def test_a_scan_whose_mask_nobody_left_is_seen_as_the_parent_sees_it() -> None:
    one = Lesson("one", torch.zeros(1, 3, 1, 2), corrected(1, IGNORE))
    labels, where = as_left(one, said(1, 0))
    assert torch.equal(labels, said(1, 0))
    assert not where.any()


def test_what_is_unknown_in_a_mask_is_taken_from_the_parent() -> None:
    one = left_as(corrected(1, IGNORE, IGNORE), 1, IGNORE, 1)
    labels, where = as_left(one, said(1, 1, 1))
    assert labels[1].tolist() == [[1, 1, 1]]
    assert where[1].tolist() == [[False, False, True]]
