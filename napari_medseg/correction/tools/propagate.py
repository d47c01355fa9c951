"""A structure carried from the viewed slice to its neighbours, as it is or as the image changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.record import Box
from napari_medseg.correction.tools.between_slices import depth_mm
from napari_medseg.correction.tools.flow import flow, pulled
from napari_medseg.correction.tools.place import (
    counted,
    field_of,
    proposal,
    reshaped,
    size_of,
    structure_box,
)
from napari_medseg.correction.tools.tool import Tool, Wants

ROOM_MM = 8.0  # of the image around the structure that the deformation sees
LEAST_ROOM = 4  # voxels
SOFT = 1.0  # voxels: sigma of the Gaussian before grey values are compared; noise is no difference
LEAST_SHARE = 0.5  # of a slice's voxels that must have grey values like the first slice's


class Direction(StrEnum):
    """Which way a structure is carried, by slice number."""

    NEXT = "to the next slices"
    PREVIOUS = "to the previous slices"
    BOTH = "both ways"


@dataclass(frozen=True)
class CopyKnobs:
    """How the structure comes to the other slice.

    Attributes
    ----------
    deform
        Whether it follows the image from slice to slice, or stays as it is.
    replace
        Whether what the other slice had of it is forgotten.
    over_others
        Whether voxels of other structures are taken.
    """

    deform: bool = False
    replace: bool = True
    over_others: bool = False


@dataclass(frozen=True)
class PropagateKnobs:
    """How far the structure is carried.

    Attributes
    ----------
    direction
        By slice number; it ends at slices that have the structure.
    slices
        At most so many each way.
    deform
        Whether it follows the image from slice to slice.
    while_alike
        Whether it ends where fewer than half of its voxels have grey values like in the viewed
        slice: within so many standard deviations of the mean there.
    deviations
        How many.
    over_others
        Whether voxels of other structures are taken.
    """

    direction: Direction = Direction.BOTH
    slices: Annotated[int, {"min": 1, "max": 2000}] = 10
    deform: bool = True
    while_alike: bool = True
    deviations: Annotated[float, {"min": 0.5, "max": 10.0, "step": 0.5}] = 2.5
    over_others: bool = False


@dataclass(frozen=True)
class Greys:
    """Which grey values are alike."""

    low: float
    high: float

    @classmethod
    def of(cls, values: npt.NDArray[Any], deviations: float) -> Greys:
        """Within so many standard deviations of the mean."""
        mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        width = deviations * sd + 1e-6 * abs(mean) + 1e-6
        return cls(mean - width, mean + width)

    def fit(self, values: npt.NDArray[Any]) -> bool:
        """Whether at least half of some values are alike."""
        return bool(np.mean((values >= self.low) & (values <= self.high)) >= LEAST_SHARE)


def copy_to_next(scene: Scene, aim: Aim, knobs: CopyKnobs) -> Edit | None:
    """The next slice gets the structure of the viewed one."""
    return _copied(scene, aim, knobs, 1)


def copy_to_previous(scene: Scene, aim: Aim, knobs: CopyKnobs) -> Edit | None:
    """The previous slice gets the structure of the viewed one."""
    return _copied(scene, aim, knobs, -1)


def propagate(scene: Scene, aim: Aim, knobs: PropagateKnobs) -> Edit | None:
    """The slices on one side or both get the structure, until it does not fit any more."""
    start = _plane_mask(scene, aim, aim.index)
    if start is None:
        return None
    steps = {Direction.NEXT: (1,), Direction.PREVIOUS: (-1,), Direction.BOTH: (-1, 1)}
    masks: dict[int, Bools] = {}
    ends = []
    for step in steps[knobs.direction]:
        found, end = _carried(scene, aim, knobs, start, step)
        masks |= found
        ends.append(f"{'next' if step > 0 else 'previous'}: {counted(len(found), 'slice')}, {end}")
    if not masks:
        return None
    return _written(scene, aim, masks, knobs.over_others, "; ".join(ends))


def warped(scene: Scene, axis: int, mask: Bools, ends: tuple[int, int]) -> Bools:
    """A mask of one slice, bool of the slice's shape, as the image deforms to another slice."""
    spacing = tuple(mm for i, mm in enumerate(scene.spacing_mm) if i != axis)
    near = _crop(mask, tuple(max(LEAST_ROOM, math.ceil(ROOM_MM / mm)) for mm in spacing))
    planes = np.moveaxis(scene.image, axis, 0)
    source, target = (planes[k][near].astype(np.float32) for k in ends)
    small = np.ascontiguousarray(mask[near])
    if small.all() or min(small.shape) < 2:
        return mask
    new = np.zeros_like(mask)
    new[near] = pulled(depth_mm(small, spacing), flow(target, source)) >= 0
    return new


def _copied(scene: Scene, aim: Aim, knobs: CopyKnobs, step: int) -> Edit | None:
    mask = _plane_mask(scene, aim, aim.index)
    to = aim.index + step
    if mask is None or not 0 <= to < scene.shape[aim.axis]:
        return None
    if knobs.deform:
        mask = warped(scene, aim.axis, mask, (aim.index, to))
    if not knobs.replace:
        mask = mask | (np.moveaxis(scene.labels, aim.axis, 0)[to] == aim.label)
    area = size_of(np.count_nonzero(mask), scene, aim, Reach.SLICE)
    said = f"Slice {aim.index} copied to {to}, {area}"
    return _written(scene, aim, {to: mask}, knobs.over_others, said)


def _carried(
    scene: Scene, aim: Aim, knobs: PropagateKnobs, start: Bools, step: int
) -> tuple[dict[int, Bools], str]:
    """The structure in the slices one way, by their number, and why it ends."""
    labels = np.moveaxis(scene.labels, aim.axis, 0)
    alike = Greys.of(_soft_greys(scene, aim, aim.index, start), knobs.deviations)
    masks: dict[int, Bools] = {}
    mask, index = start, aim.index
    for _ in range(knobs.slices):
        to = index + step
        if not 0 <= to < scene.shape[aim.axis]:
            return masks, "the image ends"
        if (labels[to] == aim.label).any():
            return masks, f"slice {to} has it"
        if knobs.deform:
            mask = warped(scene, aim.axis, mask, (index, to))
        if not mask.any():
            return masks, "it vanishes"
        if knobs.while_alike and not alike.fit(_soft_greys(scene, aim, to, mask)):
            return masks, f"grey values of slice {to} do not fit"
        masks[to] = mask
        index = to
    return masks, "as told"


def _soft_greys(scene: Scene, aim: Aim, index: int, mask: Bools) -> npt.NDArray[np.float32]:
    """Grey values of a mask in a slice, with less noise."""
    near = _crop(mask, (LEAST_ROOM, LEAST_ROOM))
    values = np.moveaxis(scene.image, aim.axis, 0)[index][near].astype(np.float32)
    soft: Any = ndimage.gaussian_filter(values, SOFT, mode="nearest")
    return np.asarray(soft[mask[near]], np.float32)


def _plane_mask(scene: Scene, aim: Aim, index: int) -> Bools | None:
    """The chosen structure in a slice, bool of the slice's shape; None where it has no voxel."""
    here = Aim(aim.label, aim.axis, index)
    if structure_box(scene, field_of(scene, here, Reach.SLICE), aim.label) is None:
        return None
    return np.asarray(np.moveaxis(scene.labels, aim.axis, 0)[index] == aim.label)


def _crop(mask: Bools, room: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of a mask with so many voxels of room around it."""
    sides = []
    for axis, more in enumerate(room):
        on = np.flatnonzero(mask.any(1 - axis))
        low, high = int(on[0]) - more, int(on[-1]) + 1 + more
        sides.append(slice(max(0, low), min(mask.shape[axis], high)))
    return sides[0], sides[1]


def _written(
    scene: Scene, aim: Aim, masks: dict[int, Bools], over_others: bool, said: str
) -> Edit | None:
    """An edit that gives slices along the viewed axis their masks."""
    planes = np.moveaxis(scene.labels, aim.axis, 0)
    touched = np.zeros(planes.shape[1:], bool)
    for k, mask in masks.items():
        touched |= mask | (planes[k] == aim.label)
    if not touched.any():
        return None
    rows, columns = _crop(touched, (0, 0))
    sides = [rows, columns]
    sides.insert(aim.axis, slice(min(masks), max(masks) + 1))
    box: Box = (sides[0], sides[1], sides[2])
    wide = scene.labels[box] == aim.label
    for k, plane in enumerate(np.moveaxis(wide, aim.axis, 0), start=min(masks)):
        if k in masks:
            plane[:] = masks[k][rows, columns]
    labels = reshaped(scene, box, aim.label, wide, over_others)
    return proposal(scene, box, labels, said)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Copy to next slice",
        "Between slices",
        "Copies the chosen structure to the next slice, as it is or following the image.",
        Wants.NOTHING,
        CopyKnobs(),
        copy_to_next,
        goes_on=1,
    ),
    Tool(
        "Copy to previous slice",
        "Between slices",
        "Copies the chosen structure to the previous slice, as it is or following the image.",
        Wants.NOTHING,
        CopyKnobs(),
        copy_to_previous,
        goes_on=-1,
    ),
    Tool(
        "Propagate",
        "Between slices",
        "Carries the chosen structure on from slice to slice until its grey values do not fit.",
        Wants.NOTHING,
        PropagateKnobs(),
        propagate,
    ),
)
