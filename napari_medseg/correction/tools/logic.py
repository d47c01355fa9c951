"""Two structures put together, taken from each other, swapped; one structure mirrored.

In a mask a voxel has one structure, so two of them never overlap: "subtract" and "intersect" mean
what lies within some millimetres of the other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.record import Box
from napari_medseg.correction.tools.margins import Millimetres, dilated
from napari_medseg.correction.tools.place import (
    box_of,
    field_of,
    fits,
    flat_axes,
    proposal,
    size_of,
    structure_box,
    voxels_in,
    widened,
)
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError

Number = Annotated[int, {"min": 1, "max": 65535}]
LEFT_RIGHT = 2  # canonical axes are LPS: X grows to the patient's left


class Within(StrEnum):
    """Where a structure is inverted."""

    OWN_BOX = "its own box"
    ALL = "everywhere"


class About(StrEnum):
    """The sagittal plane that a structure is mirrored at."""

    IMAGE = "the image's middle"
    STRUCTURE = "the structure's middle"
    VIEWED = "the viewed sagittal slice"


@dataclass(frozen=True)
class OtherKnobs:
    """The other structure's number."""

    reach: Reach = Reach.VOLUME
    other: Number = 2


@dataclass(frozen=True)
class NearKnobs:
    """The other structure's number, and how far around it counts as it."""

    reach: Reach = Reach.VOLUME
    other: Number = 2
    margin_mm: Millimetres = 2.0


@dataclass(frozen=True)
class InvertKnobs:
    """Where background becomes the structure, and the structure background."""

    reach: Reach = Reach.SLICE
    within: Within = Within.OWN_BOX


@dataclass(frozen=True)
class MirrorKnobs:
    """How a structure is mirrored left to right.

    Attributes
    ----------
    about
        At which sagittal plane.
    becomes
        The number that the mirror image gets; 0: the structure's own.
    keep
        Whether the structure itself stays, too.
    over_others
        Whether voxels of other structures are taken.
    """

    reach: Reach = Reach.VOLUME
    about: About = About.IMAGE
    becomes: Annotated[int, {"min": 0, "max": 65535}] = 0
    keep: bool = True
    over_others: bool = False


def add(scene: Scene, aim: Aim, knobs: OtherKnobs) -> Edit | None:
    """The other structure becomes part of the chosen one."""
    return _renumbered(scene, aim, knobs, {_other(scene, aim, knobs.other): aim.label})


def move(scene: Scene, aim: Aim, knobs: OtherKnobs) -> Edit | None:
    """The chosen structure becomes part of the other one."""
    return _renumbered(scene, aim, knobs, {aim.label: _other(scene, aim, knobs.other)})


def swap(scene: Scene, aim: Aim, knobs: OtherKnobs) -> Edit | None:
    """The two structures exchange their numbers."""
    other = _other(scene, aim, knobs.other)
    return _renumbered(scene, aim, knobs, {aim.label: other, other: aim.label})


def subtract(scene: Scene, aim: Aim, knobs: NearKnobs) -> Edit | None:
    """The chosen structure without what lies near the other one."""
    return _near(scene, aim, knobs, gone_near=True)


def intersect(scene: Scene, aim: Aim, knobs: NearKnobs) -> Edit | None:
    """Only what of the chosen structure lies near the other one."""
    return _near(scene, aim, knobs, gone_near=False)


def invert(scene: Scene, aim: Aim, knobs: InvertKnobs) -> Edit | None:
    """Background becomes the structure and the structure background; others stay."""
    field = field_of(scene, aim, knobs.reach)
    box = structure_box(scene, field, aim.label)
    if box is None:
        return None
    if knobs.within is Within.ALL:
        box = field
    now = scene.labels[box]
    labels = now.copy()
    labels[now == 0] = aim.label
    labels[now == aim.label] = 0
    size = size_of(np.count_nonzero(labels == aim.label), scene, aim, knobs.reach)
    return proposal(scene, box, labels, f"Inverted: {size}")


def mirror(scene: Scene, aim: Aim, knobs: MirrorKnobs) -> Edit | None:
    """The structure's mirror image on the patient's other side.

    In a sagittal slice it is what comes there from the other side.

    Raises
    ------
    InputError
        It is to be mirrored at the viewed slice, and that is not sagittal.
    """
    sagittal = knobs.reach is Reach.SLICE and aim.axis == LEFT_RIGHT
    field = field_of(scene, aim, Reach.VOLUME if sagittal else knobs.reach)
    source = structure_box(scene, field, aim.label)
    if source is None:
        return None
    new = fits(scene, knobs.becomes or aim.label)
    total = _start_plus_end(scene, aim, source, knobs.about)
    box = _both_sides(scene, source, total)
    if sagittal:
        box = (box[0], box[1], slice(aim.index, aim.index + 1))
    labels = scene.labels[box].copy()
    if not knobs.keep:
        labels[labels == aim.label] = 0
    image = _mirrored(scene, box, total, aim.label)
    labels[image if knobs.over_others else image & (labels == 0)] = new
    size = size_of(np.count_nonzero(image), scene, aim, knobs.reach)
    return proposal(scene, box, labels, f"Mirrored at {knobs.about}: {size}")


def _start_plus_end(scene: Scene, aim: Aim, source: Box, about: About) -> int:
    """Voxel x goes to this number - 1 - x."""
    if about is About.IMAGE:
        return scene.shape[LEFT_RIGHT]
    if about is About.STRUCTURE:
        return int(source[2].start + source[2].stop)
    if aim.axis != LEFT_RIGHT:
        raise InputError("the viewed slice must be sagittal to mirror at it; look at one first")
    return 2 * aim.index + 1


def _both_sides(scene: Scene, source: Box, total: int) -> Box:
    """The smallest box of the image that holds a box and its mirror image."""
    low = min(source[2].start, total - source[2].stop)
    high = max(source[2].stop, total - source[2].start)
    return source[0], source[1], slice(max(0, low), min(scene.shape[LEFT_RIGHT], high))


def _mirrored(scene: Scene, box: Box, total: int, label: int) -> Bools:
    """Which voxels of a box have a structure at their mirror image, `total` - 1 - x."""
    come_from = total - 1 - np.arange(box[2].start, box[2].stop)
    inside = (come_from >= 0) & (come_from < scene.shape[LEFT_RIGHT])
    part = scene.labels[box[0], box[1]]
    image = np.zeros((*part.shape[:2], len(come_from)), bool)
    image[..., inside] = part[..., come_from[inside]] == label
    return image


def _other(scene: Scene, aim: Aim, other: int) -> int:
    if other == aim.label:
        raise InputError(f"two different structures are needed, got {other} twice; choose another")
    return fits(scene, other)


def _renumbered(scene: Scene, aim: Aim, knobs: OtherKnobs, to: dict[int, int]) -> Edit | None:
    """Structures with other numbers, all at once."""
    fits(scene, aim.label)
    field = field_of(scene, aim, knobs.reach)
    box = box_of(scene, field, lambda plane: np.isin(plane, list(to)))
    if box is None:
        return None
    now = scene.labels[box]
    labels = now.copy()
    for old, new in to.items():
        labels[now == old] = new
    sizes = [
        f"{old} → {new}: {size_of(np.count_nonzero(now == old), scene, aim, knobs.reach)}"
        for old, new in to.items()
    ]
    return proposal(scene, box, labels, ", ".join(sizes))


def _near(scene: Scene, aim: Aim, knobs: NearKnobs, gone_near: bool) -> Edit | None:
    """The chosen structure without what lies within a margin of the other, or only that."""
    field = field_of(scene, aim, knobs.reach)
    other = _other(scene, aim, knobs.other)
    box = structure_box(scene, field, aim.label)
    if box is None:
        return None
    room = voxels_in(knobs.margin_mm, scene.spacing_mm, flat_axes(field))
    seen, _ = widened(box, field, room)
    near = dilated(scene.labels[seen] == other, knobs.margin_mm, scene.spacing_mm)
    gone = (scene.labels[seen] == aim.label) & (near if gone_near else ~near)
    labels = scene.labels[seen].copy()
    labels[gone] = 0
    size = size_of(np.count_nonzero(gone), scene, aim, knobs.reach)
    side = "within" if gone_near else "beyond"
    said = f"{size} {side} {knobs.margin_mm:g} mm of structure {other} removed"
    return proposal(scene, seen, labels, said)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Add another",
        "Logic",
        "Makes another structure part of the chosen one.",
        Wants.NOTHING,
        OtherKnobs(),
        add,
    ),
    Tool(
        "Subtract another",
        "Logic",
        "Removes what of the chosen structure lies within a margin of another one.",
        Wants.NOTHING,
        NearKnobs(),
        subtract,
    ),
    Tool(
        "Intersect with another",
        "Logic",
        "Keeps only what of the chosen structure lies within a margin of another one.",
        Wants.NOTHING,
        NearKnobs(),
        intersect,
    ),
    Tool(
        "Move to another",
        "Logic",
        "Gives the chosen structure's voxels to another structure.",
        Wants.NOTHING,
        OtherKnobs(),
        move,
    ),
    Tool(
        "Swap",
        "Logic",
        "Exchanges the numbers of the chosen structure and another one.",
        Wants.NOTHING,
        OtherKnobs(),
        swap,
    ),
    Tool(
        "Invert",
        "Logic",
        "Makes background the chosen structure and the structure background; others stay.",
        Wants.NOTHING,
        InvertKnobs(),
        invert,
    ),
    Tool(
        "Mirror left–right",
        "Logic",
        "Puts the chosen structure's mirror image on the patient's other side.",
        Wants.NOTHING,
        MirrorKnobs(),
        mirror,
    ),
)
