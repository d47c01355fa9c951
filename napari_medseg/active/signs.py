"""What tells of a mask's quality without a truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]

FEW = 20  # voxels: below it a ratio of volumes says little
SEEN = 0.05  # probabilities below it are background and would drown the rest: there are so many


@dataclass(frozen=True)
class Signs:
    """One label of one mask, as the model and its passes see it; Dice values in [0, 1].

    Attributes
    ----------
    expected
        Dice of the mask with the model's own probabilities.
    agreed
        Dice of the mask with that of each other pass, in the order of the passes.
    grown
        Logarithm of each other pass's volume as a part of the mask's.
    sure
        Mean distance of the probabilities from a coin's, in [0, 1], where there are any.
    volume_ml
        Of the mask.
    """

    expected: float
    agreed: tuple[float, ...]
    grown: tuple[float, ...]
    sure: float
    volume_ml: float


def signs_of(ours: Bools, chances: Floats, others: Sequence[Bools], voxel_ml: float) -> Signs:
    """Signs of one label.

    Parameters
    ----------
    ours
        The mask (Z, Y, X); holds at least one voxel.
    chances
        The model's probability (Z, Y, X) in [0, 1].
    others
        Masks of the other passes, on the same grid.
    """
    size = float(ours.sum())
    sizes = [float(other.sum()) for other in others]
    seen = chances > SEEN
    near = chances[seen]
    expected = 2.0 * float(chances[ours & seen].sum()) / (size + float(near.sum()))
    agreed = tuple(
        2.0 * float(np.count_nonzero(ours & other)) / (size + theirs)
        for other, theirs in zip(others, sizes, strict=True)
    )
    grown = tuple(math.log((theirs + FEW) / (size + FEW)) for theirs in sizes)
    sure = float(np.abs(2.0 * near - 1.0).mean()) if near.size else 0.0
    return Signs(expected, agreed, grown, sure, size * voxel_ml)
