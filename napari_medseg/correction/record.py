"""What a person changed, and what a person vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import GridError
from napari_medseg.volume import Mask, Volume

Box: TypeAlias = tuple[slice, slice, slice]
Labels: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]


class Source(IntEnum):
    """Who is behind a voxel's label."""

    MODEL = 0
    PAINTED = 1
    CONFIRMED = 2


@dataclass(frozen=True, eq=False)
class Correction:
    """One step of a person's work: the net change of the labels inside a box.

    Attributes
    ----------
    box
        Slices (Z, Y, X) with both ends stated, the smallest that holds every change.
    old, new
        Labels before and after, shape of the box; erasing is a change to 0.
    baseline
        What the model gave there, shape of the box.
    confirmed
        bool, shape of the box: voxels that a person painted or confirmed, after this step.
    """

    box: Box
    old: Labels
    new: Labels
    baseline: Labels
    confirmed: npt.NDArray[np.bool_]

    @property
    def changed(self) -> npt.NDArray[np.bool_]:
        """Voxels of the box that differ, bool, shape of the box."""
        return np.asarray(self.old != self.new)

    @property
    def voxels(self) -> int:
        """How many voxels changed."""
        return int(np.count_nonzero(self.changed))


@dataclass(frozen=True)
class Deed:
    """What a person did, for the history.

    Attributes
    ----------
    name
        "brush", "fill holes"; "" is no step of its own.
    when
        Seconds since the epoch.
    move
        UNDO or REDO of the step before or behind; "" for a new step.
    """

    name: str = ""
    when: float = 0.0
    move: str = ""


UNDO, REDO = "undo", "redo"
NO_DEED = Deed()


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
