"""What a person changed, and what a person vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import GridError
from napari_medseg.volume import Mask, Volume


class Source(IntEnum):
    """Who is behind a voxel's label."""

    MODEL = 0
    PAINTED = 1
    CONFIRMED = 2


@dataclass(frozen=True, eq=False)
class Example:
    """A corrected case: what teaches the network.

    Attributes
    ----------
    volume
        The scan.
    mask
        The labels as they are now, on the scan's grid.
    confirmed
        Shape (Z, Y, X), bool: voxels that a person painted or confirmed; only these teach.
    subject
        Cases of one subject are never split between teaching and checking.
    """

    volume: Volume
    mask: Mask
    confirmed: npt.NDArray[np.bool_]
    subject: str = ""

    def __post_init__(self) -> None:
        if not self.volume.geometry.same_grid(self.mask.geometry):
            raise GridError(
                f"a mask must lie on its scan's grid, got {self.mask.geometry} "
                f"for {self.volume.geometry}; resample one first",
                self.volume.name,
            )
        if self.confirmed.shape != self.mask.labels.shape:
            raise GridError(
                f"confirmed voxels must be {self.mask.labels.shape}, got {self.confirmed.shape}"
            )
