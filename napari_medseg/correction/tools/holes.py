"""Holes of a structure: what it encloses on all sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cc3d
import numpy as np

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.record import Box
from napari_medseg.correction.tools.place import (
    MM3_PER_ML,
    counted,
    field_of,
    flat_axes,
    pixel_mm2,
    proposal,
    size_of,
    structure_box,
    voxel_mm3,
)
from napari_medseg.correction.tools.tool import Tool, Wants


@dataclass(frozen=True)
class HoleKnobs:
    """Which holes are filled.

    Attributes
    ----------
    reach
        A hole of the slice may be open to other slices; one of the volume is closed all round.
    each_slice
        In the volume: fill the holes of each slice along the viewed axis.
    up_to_ml, up_to_mm2
        Larger holes stay; the area counts for holes of a slice. 0: any size.
    over_others
        Whether other structures inside a hole are filled, too.
    """

    reach: Reach = Reach.VOLUME
    each_slice: bool = False
    up_to_ml: Annotated[float, {"min": 0.0, "max": 10_000.0, "step": 0.1}] = 0.0
    up_to_mm2: Annotated[float, {"min": 0.0, "max": 100_000.0, "step": 1.0}] = 0.0
    over_others: bool = False


def fill_holes(scene: Scene, aim: Aim, knobs: HoleKnobs) -> Edit | None:
    """The structure with its holes filled."""
    field = field_of(scene, aim, knobs.reach)
    box = structure_box(scene, field, aim.label)
    if box is None:
        return None
    flat = flat_axes(field)
    solid = scene.labels[box] == aim.label
    in_slices = knobs.reach is Reach.SLICE or knobs.each_slice
    most = _most_voxels(scene, aim, knobs, in_slices)
    if in_slices:
        holes, number = _slice_holes(solid, aim.axis, flat, most)
    else:
        holes, number = enclosed(solid, flat, most)
    return _filled(scene, aim, box, (holes, number), knobs)


def enclosed(solid: Bools, flat: tuple[bool, bool, bool], most: float) -> tuple[Bools, int]:
    """Holes of up to so many voxels of a structure that fills its box, and their number.

    What reaches the box's faces is open, but not across flat axes. Voxels of a hole touch by their
    faces, so a wall that closes only at edges closes.
    """
    numbers, count = cc3d.connected_components(
        np.ascontiguousarray(~solid), connectivity=6, return_N=True
    )
    wanted = np.bincount(numbers.ravel(), minlength=count + 1) <= most
    wanted[0] = False
    for axis, thin in enumerate(flat):
        if not thin:
            wanted[numbers.take([0, -1], axis)] = False
    return wanted[numbers], int(np.count_nonzero(wanted))


def _slice_holes(
    solid: Bools, axis: int, flat: tuple[bool, bool, bool], most: float
) -> tuple[Bools, int]:
    """As `enclosed`, slice by slice along an axis."""
    holes = np.zeros(solid.shape, bool)
    thin = (flat[0] or axis == 0, flat[1] or axis == 1, flat[2] or axis == 2)
    total = 0
    for index in range(solid.shape[axis]):
        where = tuple(slice(index, index + 1) if i == axis else slice(None) for i in range(3))
        holes[where], number = enclosed(solid[where], thin, most)
        total += number
    return holes, total


def _most_voxels(scene: Scene, aim: Aim, knobs: HoleKnobs, in_slices: bool) -> float:
    if in_slices:
        most = knobs.up_to_mm2 / pixel_mm2(scene, aim.axis)
    else:
        most = knobs.up_to_ml * MM3_PER_ML / voxel_mm3(scene)
    return most * (1 + 1e-6) or np.inf  # a hole of just that size is filled


def _filled(
    scene: Scene, aim: Aim, box: Box, found: tuple[Bools, int], knobs: HoleKnobs
) -> Edit | None:
    holes, number = found
    now = scene.labels[box]
    where = holes if knobs.over_others else holes & (now == 0)
    labels = now.copy()
    labels[where] = aim.label
    size = size_of(np.count_nonzero(where), scene, aim, knobs.reach)
    return proposal(scene, box, labels, f"{counted(number, 'hole')} filled, {size}")


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Fill holes",
        "Islands",
        "Fills what the chosen structure encloses, in the slice or in the volume, up to a size.",
        Wants.NOTHING,
        HoleKnobs(),
        fill_holes,
    ),
)
