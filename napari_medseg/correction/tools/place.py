"""Where a shape tool works: a structure cut out of the mask with room around it, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.record import Box, Labels
from napari_medseg.errors import InputError

MM3_PER_ML = 1000.0
LEAST_ML = 0.1  # smaller volumes are told in mm³
ROUNDING_MM = 1e-4  # float32 distances: 3.0000002 mm is within 3 mm
Rim = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Patch:
    """A structure cut out, with room around it.

    Attributes
    ----------
    box
        What of the scene is seen.
    rim
        How far the patch goes on beyond the image, before and after, per axis: there the outermost
        voxels are repeated, so that a structure cut by the image's border is not eroded from there.
    mask
        bool, shape of the box with its rim.
    spacing_mm
        Along Z, Y and X.
    flat
        Axes along which nothing has neighbours.
    """

    box: Box
    rim: Rim
    mask: Bools
    spacing_mm: tuple[float, float, float]
    flat: tuple[bool, bool, bool]

    def inner(self, wide: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """The part of an array of the patch's shape that lies in the box."""
        sides = zip(self.rim, wide.shape, strict=True)
        return wide[tuple(slice(before, n - after) for (before, after), n in sides)]


def field_of(scene: Scene, aim: Aim, reach: Reach) -> Box:
    """The viewed slice or all of the scene.

    Raises
    ------
    InputError
        The slice is not in the scene.
    """
    sides = [slice(0, n) for n in scene.shape]
    if reach is Reach.SLICE:
        if not 0 <= aim.index < scene.shape[aim.axis]:
            raise InputError(
                f"a slice must be one of {scene.shape[aim.axis]}, got number {aim.index}"
            )
        sides[aim.axis] = slice(aim.index, aim.index + 1)
    return sides[0], sides[1], sides[2]


def box_of(scene: Scene, field: Box, is_in: Callable[[Labels], Bools]) -> Box | None:
    """The smallest box inside a field with all voxels that a condition holds for; None: no voxel.

    The condition is asked plane by plane, so that nothing of the volume's size is made.
    """
    part = scene.labels[field]
    shadow = np.zeros(part.shape[1:], bool)
    filled = np.zeros(len(part), bool)
    for z, plane in enumerate(part):
        hit = is_in(plane)
        filled[z] = hit.any()
        if filled[z]:
            shadow |= hit
    if not filled.any():
        return None
    ends = [_ends(on) for on in (filled, shadow.any(axis=1), shadow.any(axis=0))]
    moved = [
        slice(side.start + low, side.start + high)
        for side, (low, high) in zip(field, ends, strict=True)
    ]
    return moved[0], moved[1], moved[2]


def structure_box(scene: Scene, field: Box, label: int) -> Box | None:
    """The smallest box inside a field that holds a structure; None where it has no voxel.

    Raises
    ------
    InputError
        The structure is the background.
    """
    if label == 0:
        raise InputError("a structure must be chosen, got 0, the background; choose one first")
    return box_of(scene, field, lambda plane: plane == label)


def patch_of(
    scene: Scene, aim: Aim, reach: Reach, room_mm: float, label: int | None = None
) -> Patch | None:
    """The chosen structure, or another, with at least so much room; None where it has no voxel."""
    field = field_of(scene, aim, reach)
    wanted = aim.label if label is None else label
    tight = structure_box(scene, field, wanted)
    if tight is None:
        return None
    flat = flat_axes(field)
    room = voxels_in(room_mm, scene.spacing_mm, flat)
    box, rim = widened(tight, field, room)
    mask = np.pad(scene.labels[box] == wanted, rim, mode="edge")
    return Patch(box, rim, mask, scene.spacing_mm, flat)


def flat_axes(field: Box) -> tuple[bool, bool, bool]:
    """Axes along which a field is one voxel thick."""
    z, y, x = (side.stop - side.start == 1 for side in field)
    return z, y, x


def voxels_in(
    room_mm: float, spacing_mm: tuple[float, float, float], flat: tuple[bool, bool, bool]
) -> tuple[int, int, int]:
    """Voxels per axis that are more than a length; none along flat axes."""
    z, y, x = (
        0 if thin else math.ceil(room_mm / mm) + 1
        for mm, thin in zip(spacing_mm, flat, strict=True)
    )
    return z, y, x


def widened(box: Box, field: Box, room: tuple[int, int, int]) -> tuple[Box, Rim]:
    """A box with room on all sides as far as the field goes, and what of the room lies beyond."""
    sides, rims = [], []
    for side, whole, voxels in zip(box, field, room, strict=True):
        low, high = side.start - voxels, side.stop + voxels
        sides.append(slice(max(low, whole.start), min(high, whole.stop)))
        rims.append((max(0, whole.start - low), max(0, high - whole.stop)))
    return (sides[0], sides[1], sides[2]), (rims[0], rims[1], rims[2])


def reshaped(scene: Scene, box: Box, label: int, mask: Bools, over_others: bool) -> Labels:
    """The labels of a box when a structure gets a new shape, bool of the box's shape.

    What it leaves becomes background; of other structures it takes nothing, unless told to.
    """
    now = scene.labels[box]
    labels = now.copy()
    labels[(now == label) & ~mask] = 0
    labels[mask if over_others else mask & (now == 0)] = label
    return labels


def proposal(scene: Scene, box: Box, labels: Labels, said: str) -> Edit | None:
    """An edit of the smallest box that holds every change; None where nothing changes."""
    changed = labels != scene.labels[box]
    if not changed.any():
        return None
    ends = [_ends(changed.any(axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    inner = tuple(slice(low, high) for low, high in ends)
    moved = [
        slice(side.start + low, side.start + high)
        for side, (low, high) in zip(box, ends, strict=True)
    ]
    return Edit((moved[0], moved[1], moved[2]), labels[inner].copy(), said)


def new_shape(
    scene: Scene, aim: Aim, patch: Patch, wide: Bools, how: tuple[str, Reach, bool]
) -> Edit | None:
    """The chosen structure in a new shape, bool of the patch's shape, with how its size changes.

    `how`: what was done, in words; how far it went; whether other structures may be taken.
    """
    did, reach, over_others = how
    mask = patch.inner(wide).astype(bool, copy=False)
    labels = reshaped(scene, patch.box, aim.label, mask, over_others)
    before = np.count_nonzero(scene.labels[patch.box] == aim.label)
    after = np.count_nonzero(labels == aim.label)
    sizes = [size_of(n, scene, aim, reach) for n in (before, after)]
    return proposal(scene, patch.box, labels, f"{did}: {sizes[0]} → {sizes[1]}")


def size_of(voxels: int | np.integer[Any], scene: Scene, aim: Aim, reach: Reach) -> str:
    """How big so many voxels are: an area in the slice, else a volume, "12.3 ml"."""
    if reach is Reach.SLICE:
        return f"{voxels * pixel_mm2(scene, aim.axis):.0f} mm²"
    millilitres = voxels * voxel_mm3(scene) / MM3_PER_ML
    return f"{millilitres:.1f} ml" if millilitres >= LEAST_ML else f"{millilitres * 1000:.0f} mm³"


def voxel_mm3(scene: Scene) -> float:
    """The volume of one voxel, mm³."""
    return math.prod(scene.spacing_mm)


def pixel_mm2(scene: Scene, axis: int) -> float:
    """The area of one voxel in a slice across an axis, mm²."""
    return voxel_mm3(scene) / scene.spacing_mm[axis]


def fits(scene: Scene, number: int) -> int:
    """A structure's number, if the mask's type can hold it.

    Raises
    ------
    InputError
        The number is 0 or too large.
    """
    most = int(np.iinfo(scene.labels.dtype).max)
    if not 1 <= number <= most:
        raise InputError(f"a structure's number must be from 1 to {most}, got {number}")
    return number


def counted(number: int, noun: str) -> str:
    """ "1 island", "3 islands"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _ends(filled: npt.NDArray[Any] | np.bool_) -> tuple[int, int]:
    on = np.flatnonzero(filled)
    return int(on[0]), int(on[-1]) + 1
