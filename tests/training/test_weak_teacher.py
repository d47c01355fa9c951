"""Whom one may believe about what nobody corrected."""

from __future__ import annotations

import pytest
import torch

from napari_medseg.training.config import IGNORE
from napari_medseg.training.study import finds


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
