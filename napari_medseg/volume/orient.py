"""Turning a grid's axes without touching one value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import nibabel.orientations as orientations
import numpy as np
import numpy.typing as npt

from napari_medseg.volume.geometry import Geometry
from napari_medseg.volume.volume import Mask, Volume

CANONICAL = "LPS"  # x grows to the patient's Left, y to Posterior, z to Superior


@dataclass(frozen=True)
class Reorientation:
    """A change of axes order and direction, and its way back.

    Attributes
    ----------
    source, target
        The same voxels on the two grids.
    axes
        For each target axis (Z, Y, X) the source axis it was.
    flips
        For each target axis whether it runs against its source axis.
    """

    source: Geometry
    target: Geometry
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def to_canonical(cls, source: Geometry) -> Reorientation:
        """To the closest grid with z to Superior, y to Posterior and x to Left."""
        return cls.to(source, CANONICAL)

    @classmethod
    def to(cls, source: Geometry, codes: str) -> Reorientation:
        """To the closest grid whose x, y and z grow to these sides, as "LPS" or "RAS"."""
        here = orientations.io_orientation(source.affine_ras)
        there = orientations.axcodes2ornt(tuple(codes))
        change = orientations.ornt_transform(here, there)  # (3, 2) in x, y, z: target axis, ±1
        order = np.argsort(change[:, 0])  # for target x, y, z the source axis in x, y, z
        axes_xyz = [int(axis) for axis in order]
        flips_xyz = [bool(change[axis, 1] < 0) for axis in axes_xyz]
        axes = tuple(2 - axes_xyz[2 - i] for i in range(3))
        flips = tuple(flips_xyz[2 - i] for i in range(3))
        shape = tuple(source.shape[axis] for axis in axes)
        to_source = orientations.inv_ornt_aff(change, source.shape[::-1])
        target = Geometry(shape, source.affine @ to_source)  # type: ignore[arg-type]
        return cls(source, target, axes, flips)  # type: ignore[arg-type]

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array (..., Z, Y, X) on the target grid; a view."""
        lead = array.ndim - 3
        turned = array.transpose(*range(lead), *(lead + axis for axis in self.axes))
        return np.asarray(turned[self._directions])

    def undo(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The array (..., Z, Y, X) back on the source grid; a view."""
        lead = array.ndim - 3
        straight = np.asarray(array[self._directions])
        back = np.argsort(self.axes)
        return straight.transpose(*range(lead), *(lead + int(axis) for axis in back))

    @property
    def _directions(self) -> Any:
        return (..., *(slice(None, None, -1 if flip else 1) for flip in self.flips))


def to_canonical(volume: Volume) -> tuple[Volume, Reorientation]:
    """The volume in LPS axes order and how to go back; values are the same."""
    turn = Reorientation.to_canonical(volume.geometry)
    array = np.ascontiguousarray(turn.apply(volume.array))
    return replace(volume, array=array, geometry=turn.target), turn


def mask_to_canonical(mask: Mask) -> tuple[Mask, Reorientation]:
    """As `to_canonical`, for a mask."""
    turn = Reorientation.to_canonical(mask.geometry)
    labels = np.ascontiguousarray(turn.apply(mask.labels))
    return replace(mask, labels=labels, geometry=turn.target), turn
