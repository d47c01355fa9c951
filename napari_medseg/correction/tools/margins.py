"""A structure made larger, smaller or hollow by millimetres; distances are exact Euclidean ones.

From voxel centre to voxel centre: growing by 3 mm takes the voxels whose centre is within 3 mm of
the centre of one of the structure's; shrinking leaves those that are farther than 3 mm from all
that are not the structure's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import edt
import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.tools.place import ROUNDING_MM, Patch, new_shape, patch_of
from napari_medseg.correction.tools.tool import Tool, Wants

Millimetres = Annotated[float, {"min": 0.0, "max": 100.0, "step": 0.5}]


class Side(StrEnum):
    """On which side of the surface a shell lies."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    BOTH = "both sides, half each"


@dataclass(frozen=True)
class GrowKnobs:
    """How far a structure grows, and whether it takes voxels of others."""

    reach: Reach = Reach.VOLUME
    by_mm: Millimetres = 2.0
    over_others: bool = False


@dataclass(frozen=True)
class ShrinkKnobs:
    """How far a structure shrinks."""

    reach: Reach = Reach.VOLUME
    by_mm: Millimetres = 2.0


@dataclass(frozen=True)
class HollowKnobs:
    """The shell that is left of a structure."""

    reach: Reach = Reach.VOLUME
    thickness_mm: Millimetres = 3.0
    side: Side = Side.INSIDE
    over_others: bool = False


def distance_mm(mask: Bools, spacing_mm: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """From each voxel of a mask to the nearest that is not in it, mm; inf where there is none.

    Of a mask that is one voxel thick the plane is measured: that is 10 times as fast.
    """
    shape = mask.shape
    plane = [axis for axis, n in enumerate(mask.shape) if n > 1]
    if len(plane) == 2:
        mask = mask.squeeze()
        spacing_mm = tuple(spacing_mm[axis] for axis in plane)
    away = edt.edt(
        np.ascontiguousarray(mask), anisotropy=spacing_mm, black_border=False, parallel=1
    )
    return np.asarray(away, np.float32).reshape(shape)


def dilated(mask: Bools, by_mm: float, spacing_mm: tuple[float, float, float]) -> Bools:
    """A mask and all within a distance of it."""
    return np.asarray(distance_mm(~mask, spacing_mm) <= by_mm + ROUNDING_MM)


def eroded(mask: Bools, by_mm: float, spacing_mm: tuple[float, float, float]) -> Bools:
    """What of a mask is farther than a distance from all else."""
    return np.asarray(distance_mm(mask, spacing_mm) > by_mm + ROUNDING_MM) & mask


def grow(scene: Scene, aim: Aim, knobs: GrowKnobs) -> Edit | None:
    """The structure and all within a distance of it."""
    patch = patch_of(scene, aim, knobs.reach, knobs.by_mm)
    if patch is None:
        return None
    wide = dilated(patch.mask, knobs.by_mm, patch.spacing_mm)
    how = (f"Grown by {knobs.by_mm:g} mm", knobs.reach, knobs.over_others)
    return new_shape(scene, aim, patch, wide, how)


def shrink(scene: Scene, aim: Aim, knobs: ShrinkKnobs) -> Edit | None:
    """What of the structure is farther than a distance from its surface."""
    patch = patch_of(scene, aim, knobs.reach, 0.0)
    if patch is None:
        return None
    narrow = eroded(patch.mask, knobs.by_mm, patch.spacing_mm)
    how = (f"Shrunk by {knobs.by_mm:g} mm", knobs.reach, False)
    return new_shape(scene, aim, patch, narrow, how)


def hollow(scene: Scene, aim: Aim, knobs: HollowKnobs) -> Edit | None:
    """A shell of the structure."""
    patch = patch_of(scene, aim, knobs.reach, knobs.thickness_mm)
    if patch is None:
        return None
    how = (f"Shell of {knobs.thickness_mm:g} mm", knobs.reach, knobs.over_others)
    return new_shape(scene, aim, patch, _shell(patch, knobs), how)


def _shell(patch: Patch, knobs: HollowKnobs) -> Bools:
    mask, mm = patch.mask, knobs.thickness_mm
    if knobs.side is Side.INSIDE:
        return mask & ~eroded(mask, mm, patch.spacing_mm)
    if knobs.side is Side.OUTSIDE:
        return dilated(mask, mm, patch.spacing_mm) & ~mask
    inner = eroded(mask, mm / 2, patch.spacing_mm)
    return dilated(mask, mm / 2, patch.spacing_mm) & ~inner


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Grow",
        "Margin",
        "Adds a margin in mm around the chosen structure.",
        Wants.NOTHING,
        GrowKnobs(),
        grow,
    ),
    Tool(
        "Shrink",
        "Margin",
        "Takes a margin in mm off the chosen structure.",
        Wants.NOTHING,
        ShrinkKnobs(),
        shrink,
    ),
    Tool(
        "Hollow",
        "Margin",
        "Leaves a shell of the chosen structure, so many mm thick, inside or outside of its edge.",
        Wants.NOTHING,
        HollowKnobs(),
        hollow,
    ),
)
