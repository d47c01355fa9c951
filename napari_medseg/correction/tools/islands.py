"""Pieces of a structure that do not touch each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import cc3d
import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.record import Box
from napari_medseg.correction.tools.place import (
    MM3_PER_ML,
    counted,
    field_of,
    pixel_mm2,
    proposal,
    size_of,
    structure_box,
    voxel_mm3,
)
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError


@dataclass(frozen=True)
class IslandKnobs:
    """What an island is.

    Attributes
    ----------
    reach
        In the slice, pieces that touch only through other slices are islands, too.
    corners
        Whether voxels that share an edge or a corner touch (26 neighbours), not only a face (6).
    """

    reach: Reach = Reach.VOLUME
    corners: Annotated[bool, {"visible": False}] = False


@dataclass(frozen=True)
class SmallKnobs(IslandKnobs):
    """Which islands are small: by volume, in the slice by area."""

    below_ml: Annotated[float, {"min": 0.0, "max": 10_000.0, "step": 0.1}] = 0.1
    below_mm2: Annotated[float, {"min": 0.0, "max": 100_000.0, "step": 1.0}] = 20.0


@dataclass(frozen=True)
class SplitKnobs(SmallKnobs):
    """Islands below these sizes keep the structure's number."""

    below_ml: Annotated[float, {"min": 0.0, "max": 10_000.0, "step": 0.1}] = 0.0
    below_mm2: Annotated[float, {"min": 0.0, "max": 100_000.0, "step": 1.0}] = 0.0


@dataclass(frozen=True, eq=False)
class Islands:
    """The islands of one structure: numbers 1... in a box, and the voxels of each; [0] is 0."""

    label: int
    box: Box
    numbers: npt.NDArray[np.unsignedinteger[Any]]
    voxels: npt.NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.voxels) - 1

    def among(self, wanted: Bools) -> Bools:
        """Voxels of some islands, by a bool for each number, [0] included."""
        return np.asarray(wanted[self.numbers], bool)


def islands_of(scene: Scene, aim: Aim, label: int, knobs: IslandKnobs) -> Islands | None:
    """A structure's islands; None where it has no voxel."""
    box = structure_box(scene, field_of(scene, aim, knobs.reach), label)
    if box is None:
        return None
    mask = np.ascontiguousarray(scene.labels[box] == label)
    numbers = cc3d.connected_components(mask, connectivity=26 if knobs.corners else 6)
    voxels = np.bincount(numbers.ravel())
    voxels[0] = 0
    return Islands(label, box, numbers, voxels)


def keep_largest(scene: Scene, aim: Aim, knobs: IslandKnobs) -> Edit | None:
    """Only the largest island stays."""
    islands = islands_of(scene, aim, aim.label, knobs)
    if islands is None:
        return None
    others = np.arange(islands.count + 1) != np.argmax(islands.voxels)
    return _without(scene, aim, islands, others, knobs)


def remove_small(scene: Scene, aim: Aim, knobs: SmallKnobs) -> Edit | None:
    """Islands below a size are gone."""
    islands = islands_of(scene, aim, aim.label, knobs)
    if islands is None:
        return None
    return _without(scene, aim, islands, _small(scene, aim, islands, knobs), knobs)


def keep_clicked(scene: Scene, aim: Aim, knobs: IslandKnobs) -> Edit | None:
    """Of the structure under the click only the clicked island stays."""
    islands, clicked = _clicked(scene, aim, knobs)
    return _without(scene, aim, islands, ~clicked, knobs)


def remove_clicked(scene: Scene, aim: Aim, knobs: IslandKnobs) -> Edit | None:
    """The clicked island is gone, of whatever structure it is."""
    islands, clicked = _clicked(scene, aim, knobs)
    return _without(scene, aim, islands, clicked, knobs)


def split(scene: Scene, aim: Aim, knobs: SplitKnobs) -> Edit | None:
    """Each island gets a number of its own; the largest keeps the structure's.

    Raises
    ------
    InputError
        The mask's type has too few free numbers.
    """
    islands = islands_of(scene, aim, aim.label, knobs)
    if islands is None:
        return None
    parted = ~_small(scene, aim, islands, knobs)
    parted[[0, int(np.argmax(islands.voxels))]] = False
    order = [n for n in np.argsort(-islands.voxels, kind="stable") if parted[n]]
    if not order:
        return None
    new = np.full(islands.count + 1, aim.label, scene.labels.dtype)
    new[order] = free_numbers(scene, len(order))
    where = islands.numbers > 0
    labels = scene.labels[islands.box].copy()
    labels[where] = new[islands.numbers[where]]
    said = f"{counted(len(order) + 1, 'instance')}: {aim.label}, {_listed(new[order])}"
    return proposal(scene, islands.box, labels, said)


def free_numbers(scene: Scene, count: int) -> list[int]:
    """Numbers that no voxel and no named structure has: above the highest in use, then below.

    Raises
    ------
    InputError
        There are not that many.
    """
    most = int(np.iinfo(scene.labels.dtype).max)
    highest = int(scene.labels.max())
    free = [n for n in range(highest + 1, most + 1) if n not in scene.taken]
    if len(free) < count:
        used = np.zeros(most + 1, bool)
        for plane in scene.labels:
            used[plane] = True
        gaps = np.flatnonzero(~used[:highest])
        free += [int(n) for n in gaps if n and n not in scene.taken]
    if len(free) < count:
        raise InputError(
            f"{count} islands need as many free numbers, a mask of {scene.labels.dtype} has "
            f"{len(free)} left; remove small islands first"
        )
    return free[:count]


def _small(scene: Scene, aim: Aim, islands: Islands, knobs: SmallKnobs) -> Bools:
    if knobs.reach is Reach.SLICE:
        small = islands.voxels * pixel_mm2(scene, aim.axis) < knobs.below_mm2
    else:
        small = islands.voxels * voxel_mm3(scene) < knobs.below_ml * MM3_PER_ML
    return np.asarray(small, bool)


def _clicked(scene: Scene, aim: Aim, knobs: IslandKnobs) -> tuple[Islands, Bools]:
    """The islands of the structure under the last click, and which of them were clicked."""
    if not len(aim.points):
        raise InputError("an island must be clicked on, got no click")
    label = int(scene.labels[tuple(aim.points[-1])])
    if label == 0:
        raise InputError("an island must be clicked on, got background; click inside a structure")
    here = Aim(label, aim.axis, int(aim.points[-1][aim.axis]))  # the slice that was clicked
    islands = islands_of(scene, here, label, knobs)
    assert islands is not None  # there is at least the clicked one
    clicked = np.zeros(islands.count + 1, bool)
    inside = aim.points - np.array([side.start for side in islands.box])
    clicked[[int(islands.numbers[tuple(p)]) for p in inside if _within(p, islands.numbers)]] = True
    return islands, clicked


def _within(point: npt.NDArray[np.int64], numbers: npt.NDArray[Any]) -> bool:
    return bool(np.all(point >= 0) and np.all(point < numbers.shape))


def _without(
    scene: Scene, aim: Aim, islands: Islands, gone: Bools, knobs: IslandKnobs
) -> Edit | None:
    """An edit that makes some islands background, and tells how many and how much."""
    wanted = gone.copy()
    wanted[0] = False
    labels = scene.labels[islands.box].copy()
    labels[islands.among(wanted)] = 0
    size = size_of(int(islands.voxels[wanted].sum()), scene, aim, knobs.reach)
    number = int(np.count_nonzero(wanted))
    said = f"{counted(number, 'island')} of {islands.count} removed, {size}"
    return proposal(scene, islands.box, labels, said)


def _listed(numbers: npt.NDArray[Any]) -> str:
    shown = ", ".join(str(n) for n in numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown}, …"


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Keep largest",
        "Islands",
        "Removes all islands of the chosen structure but the largest.",
        Wants.NOTHING,
        IslandKnobs(),
        keep_largest,
    ),
    Tool(
        "Remove small",
        "Islands",
        "Removes islands of the chosen structure below a volume, or in the slice below an area.",
        Wants.NOTHING,
        SmallKnobs(),
        remove_small,
    ),
    Tool(
        "Split into instances",
        "Islands",
        "Gives each island of the chosen structure a number of its own; the largest keeps its.",
        Wants.NOTHING,
        SplitKnobs(),
        split,
    ),
    Tool(
        "Keep clicked",
        "Islands",
        "Keeps the island that you click on and removes the others of its structure.",
        Wants.CLICK,
        IslandKnobs(),
        keep_clicked,
    ),
    Tool(
        "Remove clicked",
        "Islands",
        "Removes the island that you click on, of whatever structure.",
        Wants.CLICK,
        IslandKnobs(),
        remove_clicked,
    ),
)
