"""Touching objects of one structure, cut apart where they are narrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from skimage.measure import label as components
from skimage.morphology import reconstruction
from skimage.segmentation import watershed

from napari_medseg.correction.edit import Aim, Edit, Reach, Scene
from napari_medseg.correction.tools.part import (
    Floats,
    Part,
    chosen,
    depth_mm,
    seen_click,
    setting,
    structure_part,
    whole_edit,
)
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError

Pieces = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class SplitKnobs:
    """Where objects are cut.

    Attributes
    ----------
    narrower_mm
        By how much the neck between two objects is less deep than each; 0: the larger side of a
        voxel. Larger: fewer pieces.
    """

    narrower_mm: Annotated[float, {"min": 0.0, "max": 100.0}] = 0.0
    reach: Reach = Reach.VOLUME


def split(scene: Scene, aim: Aim, knobs: SplitKnobs) -> Edit | None:
    """Give each piece of the chosen structure its own number; the largest keeps its own."""
    part = structure_part(scene, _chosen(aim), knobs.reach, 0.0)
    if part is None:
        return None
    pieces = _pieces(part, aim.label, knobs.narrower_mm)
    order = np.argsort(-np.bincount(pieces.ravel())[1:], kind="stable") + 1
    if len(order) < 2:
        return None
    numbers = np.zeros(len(order) + 1, np.int64)
    numbers[order] = [aim.label, *_unused(scene, len(order) - 1)]
    labels = np.where(pieces > 0, numbers[pieces], part.labels)
    return whole_edit(
        part, labels, f"{len(order)} pieces, {len(order) - 1} new number{'s' * (len(order) > 2)}"
    )


def split_off(scene: Scene, aim: Aim, knobs: SplitKnobs) -> Edit | None:
    """Give the clicked piece of the chosen structure a number of its own."""
    voxel, aim = seen_click(scene, _chosen(aim), knobs.reach)
    if scene.labels[voxel] != aim.label:
        raise InputError(
            f"the click must be on structure {aim.label}, got {scene.labels[voxel]} there; "
            "click on the piece to split off"
        )
    part = structure_part(scene, aim, knobs.reach, 0.0)
    if part is None:
        return None
    pieces = _pieces(part, aim.label, knobs.narrower_mm)
    where = pieces == pieces[part.inner(voxel)]
    if np.array_equal(where, part.labels == aim.label):
        return None
    number = _unused(scene, 1)[0]
    edit = setting(part, where, number, "moves")
    return None if edit is None else Edit(edit.box, edit.labels, f"{edit.said} to {number}")


def _chosen(aim: Aim) -> Aim:
    chosen(aim)
    return aim


def _pieces(part: Part, label: int, narrower_mm: float) -> Pieces:
    """Numbers from 1 of the pieces of a structure, 0 elsewhere."""
    where = part.labels == label
    padded = np.pad(
        where, 1
    )  # so that the reconstruction has a rim, and a slice a depth of its own
    flat = [1 if size > 1 else 0 for size in where.shape]
    inner = tuple(slice(1, 1 + size) for size in where.shape)
    depth = np.zeros(padded.shape, np.float32)
    depth[inner] = _finite(depth_mm(where, part.spacing_mm))
    sides = [one for one, thick in zip(part.spacing_mm, flat, strict=True) if thick]
    least = narrower_mm or max(sides, default=1.0)
    seeds = _peaks(depth, least)
    found: Pieces = watershed(-depth, seeds, mask=padded)[inner]
    found = found.copy()
    _without_seed(found, where)
    return found


def _finite(depth: Floats) -> Floats:
    return np.where(np.isfinite(depth), depth, np.float32(1.0))


def _peaks(depth: Floats, least: float) -> Pieces:
    """The tops that rise at least so far above the passes to a higher one (h-maxima)."""
    lowered = reconstruction(np.maximum(depth - least, 0), depth, method="dilation")
    tops = depth - lowered >= least * (1 - 1e-4)
    found: Pieces = components(tops, connectivity=depth.ndim)
    return found


def _without_seed(pieces: Pieces, where: npt.NDArray[np.bool_]) -> None:
    """Regions so small that they have no top are a piece each."""
    left = components(where & (pieces == 0), connectivity=1)
    pieces[left > 0] = left[left > 0] + pieces.max()


def _unused(scene: Scene, count: int) -> list[int]:
    """The next numbers above those in use that no structure is named by.

    Raises
    ------
    InputError
        Where the mask's type has no room for them.
    """
    first = int(scene.labels.max()) + 1
    most = int(np.iinfo(scene.labels.dtype).max)
    free = [number for number in range(first, most + 1) if number not in scene.taken]
    if len(free) < count:
        raise InputError(
            f"numbers must not exceed {most}, {count} new ones from {first} do; "
            "raise 'narrower mm' for fewer pieces"
        )
    return free[:count]


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Split touching",
        "Objects",
        "Cuts the chosen structure where it is narrow; each piece gets a number.",
        Wants.NOTHING,
        SplitKnobs(),
        split,
    ),
    Tool(
        "Split off clicked",
        "Objects",
        "Click on a piece: it is cut off where it is narrow and gets a number of its own.",
        Wants.CLICK,
        SplitKnobs(),
        split_off,
    ),
)
