"""Overlap of two masks.

Dice = 2 |A ∩ B| / (|A| + |B|) and Jaccard = |A ∩ B| / |A ∪ B| over voxels. A label that neither
mask has gives nan: there is nothing to score; a label that only one has gives 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import GridError
from napari_medseg.volume import Mask

Labels = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Counts:
    """Voxels of one label in two masks, and in both."""

    pred: int
    ref: int
    both: int

    @property
    def dice(self) -> float:
        total = self.pred + self.ref
        return 2 * self.both / total if total else float("nan")

    @property
    def jaccard(self) -> float:
        union = self.pred + self.ref - self.both
        return self.both / union if union else float("nan")


def counts_by_label(pred: Labels, ref: Labels, values: Iterable[int]) -> dict[int, Counts]:
    """Voxels of each value in two label arrays (Z, Y, X) of one shape."""
    if pred.shape != ref.shape:
        raise GridError(f"label arrays must have one shape, got {pred.shape} and {ref.shape}")
    wanted = tuple(values)
    length = int(max(pred.max(initial=0), ref.max(initial=0), *wanted, 0)) + 1
    total = np.zeros((3, length), dtype=np.int64)
    for one, other in zip(pred, ref, strict=True):  # bincount widens to int64: slice by slice
        for row, part in enumerate((one, other, one[one == other])):
            total[row] += np.bincount(part.reshape(-1), minlength=length)
    return {value: Counts(*(int(n) for n in total[:, value])) for value in wanted}


def dice_by_label(pred: Labels, ref: Labels, values: Iterable[int]) -> dict[int, float]:
    """Dice of each value in two label arrays of one shape; nan where neither has it."""
    return {value: n.dice for value, n in counts_by_label(pred, ref, values).items()}


def dice(pred: Mask, ref: Mask, label: int = 1) -> float:
    """Overlap of one label in two masks, in [0, 1]; nan if neither has it."""
    return _counts(pred, ref, label).dice


def jaccard(pred: Mask, ref: Mask, label: int = 1) -> float:
    """Intersection over union of one label in two masks, in [0, 1]; nan if neither has it."""
    return _counts(pred, ref, label).jaccard


def _counts(pred: Mask, ref: Mask, label: int) -> Counts:
    if pred.geometry != ref.geometry:
        raise GridError(
            f"masks must share a grid, got {pred.geometry} and {ref.geometry}; resample one first"
        )
    return counts_by_label(pred.labels, ref.labels, [label])[label]
