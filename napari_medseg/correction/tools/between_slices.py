"""Slices between labelled ones, filled by shape-based interpolation.

Raya & Udupa, "Shape-based interpolation of multidimensional objects", IEEE TMI 9 (1990) 32-42: the
signed distances to the outlines of the two labelled slices are interpolated linearly, what is not
negative is inside. Distances are exact and in mm. Where each slice shows one piece, the two are
laid over each other by their centres first (as Herman, Zheng & Bucholtz 1992 propose), so that a
structure that runs obliquely is not lost between slices that do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.record import Box, Labels
from napari_medseg.correction.tools.margins import distance_mm
from napari_medseg.correction.tools.place import (
    counted,
    proposal,
    size_of,
    structure_box,
)
from napari_medseg.correction.tools.tool import Tool, Wants

Floats = npt.NDArray[np.float32]
ON_THE_EDGE_MM = 1e-4  # float32: what is just between inside and outside counts as inside


class Along(StrEnum):
    """Which slices are the labelled ones."""

    VIEWED = "as viewed"
    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


@dataclass(frozen=True)
class BetweenKnobs:
    """What is filled between slices.

    Attributes
    ----------
    reach
        The viewed slice alone, or all.
    along
        Which slices are the labelled ones.
    all_structures
        All structures at once, not only the chosen one; a voxel goes to the one it is deepest in.
    over_others
        Whether voxels of other structures are taken.
    """

    reach: Reach = Reach.VOLUME
    along: Along = Along.VIEWED
    all_structures: bool = False
    over_others: bool = False


@dataclass(frozen=True, eq=False)
class Gap:
    """A structure in two slices with none of it between them.

    Attributes
    ----------
    number
        The structure.
    low, high
        The two slices.
    rows, columns
        What of a slice is seen; one voxel more on each side in the masks.
    first, last
        The structure in the two slices, bool.
    spacing_mm
        Along rows and columns.
    """

    number: int
    low: int
    high: int
    rows: slice
    columns: slice
    first: Bools
    last: Bools
    spacing_mm: tuple[float, float]

    @cached_property
    def depths(self) -> tuple[Floats, Floats]:
        """How deep inside each voxel is in the two slices, mm; negative outside."""
        return depth_mm(self.first, self.spacing_mm), depth_mm(self.last, self.spacing_mm)

    @cached_property
    def way(self) -> npt.NDArray[np.float64]:
        """How far the centre goes from the first to the last slice, in voxels."""
        if _pieces(self.first) != 1 or _pieces(self.last) != 1:
            return np.zeros(2)
        return _centre(self.last) - _centre(self.first)

    def at(self, index: int) -> Floats:
        """How deep inside each seen voxel of a slice between the two is, mm."""
        t = (index - self.low) / (self.high - self.low)
        first, last = self.depths
        depth = (1 - t) * _moved(first, t * self.way) + t * _moved(last, (t - 1) * self.way)
        return np.asarray(depth[1:-1, 1:-1], np.float32)


def depth_mm(mask: Bools, spacing_mm: tuple[float, ...]) -> Floats:
    """Signed distance to the other side of a mask's edge, mm; positive inside.

    The mask needs at least one voxel of either kind.
    """
    inside, outside = (distance_mm(side, spacing_mm) for side in (mask, ~mask))
    return inside - outside


def fill_between(scene: Scene, aim: Aim, knobs: BetweenKnobs) -> Edit | None:
    """Slices between labelled ones get the structure; slices that have it stay as they are."""
    axis = _axis(aim, knobs.along)
    here = knobs.reach is Reach.SLICE
    gaps = [
        gap
        for number in _numbers(scene, aim, knobs)
        for gap in gaps_of(scene, number, axis)
        if not (here and axis == aim.axis) or gap.low < aim.index < gap.high
    ]
    if not gaps:
        return None
    box = _around(gaps, axis)
    if here and axis == aim.axis:
        box = _at(box, aim)
    labels = _filled(scene, box, axis, gaps, knobs.over_others)
    if here and axis != aim.axis:
        if not box[aim.axis].start <= aim.index < box[aim.axis].stop:
            return None
        labels = labels.take([aim.index - box[aim.axis].start], aim.axis)
        box = _at(box, aim)
    filled = np.count_nonzero(labels != scene.labels[box])
    slices = len({k for gap in gaps for k in range(gap.low + 1, gap.high)})
    size = size_of(filled, scene, aim, knobs.reach)
    said = f"{counted(1 if here else slices, 'slice')} filled, {size} more"
    return proposal(scene, box, labels, said)


def gaps_of(scene: Scene, number: int, axis: int) -> Iterator[Gap]:
    """Where a structure is missing between two slices across an axis, in order."""
    whole = (slice(0, scene.shape[0]), slice(0, scene.shape[1]), slice(0, scene.shape[2]))
    box = structure_box(scene, whole, number)
    if box is None:
        return
    start = box[axis].start
    rows, columns = (side for i, side in enumerate(box) if i != axis)
    high, wide = (mm for i, mm in enumerate(scene.spacing_mm) if i != axis)
    stack = np.moveaxis(scene.labels[box], axis, 0)
    on = np.flatnonzero([(plane == number).any() for plane in stack])
    for low, top in pairwise(on):
        if top - low > 1:
            first, last = (np.pad(stack[k] == number, 1) for k in (low, top))
            ends = int(start + low), int(start + top)
            yield Gap(number, *ends, rows, columns, first, last, (high, wide))


def _numbers(scene: Scene, aim: Aim, knobs: BetweenKnobs) -> list[int]:
    if not knobs.all_structures:
        return [aim.label]
    found = {int(n) for plane in scene.labels for n in np.unique(plane)}
    return sorted(found - {0})


def _axis(aim: Aim, along: Along) -> int:
    return aim.axis if along is Along.VIEWED else list(Along).index(along) - 1


def _around(gaps: list[Gap], axis: int) -> Box:
    """The smallest box that holds what the gaps may fill."""
    across = slice(min(gap.low for gap in gaps) + 1, max(gap.high for gap in gaps))
    sides = [_union([gap.rows for gap in gaps]), _union([gap.columns for gap in gaps])]
    sides.insert(axis, across)
    return sides[0], sides[1], sides[2]


def _at(box: Box, aim: Aim) -> Box:
    """What of a box would lie in the viewed slice."""
    sides = list(box)
    sides[aim.axis] = slice(aim.index, aim.index + 1)
    return sides[0], sides[1], sides[2]


def _filled(scene: Scene, box: Box, axis: int, gaps: list[Gap], over_others: bool) -> Labels:
    """The labels of a box with its gaps filled, slice by slice."""
    labels = scene.labels[box].copy()
    planes = np.moveaxis(labels, axis, 0)  # a view
    corner = [side.start for i, side in enumerate(box) if i != axis]
    for plane, index in zip(planes, range(box[axis].start, box[axis].stop), strict=True):
        between = [gap for gap in gaps if gap.low < index < gap.high]
        _fill(plane, between, index, corner, over_others)
    return labels


def _union(sides: list[slice]) -> slice:
    return slice(min(side.start for side in sides), max(side.stop for side in sides))


def _fill(
    plane: npt.NDArray[Any], gaps: list[Gap], index: int, corner: list[int], over_others: bool
) -> None:
    """Write into a plane what its gaps make of it; where several would, the deepest."""
    best = np.full(plane.shape, -np.inf, np.float32)
    now = plane.copy()
    for gap in gaps:
        rows, columns = (
            slice(side.start - at, side.stop - at)
            for side, at in zip((gap.rows, gap.columns), corner, strict=True)
        )
        depth = gap.at(index)
        wins = (depth >= -ON_THE_EDGE_MM) & (depth > best[rows, columns])
        if not over_others:
            wins &= now[rows, columns] == 0
        best[rows, columns][wins] = depth[wins]
        plane[rows, columns][wins] = gap.number


def _pieces(mask: Bools) -> int:
    return int(cc3d.connected_components(mask, connectivity=8, return_N=True)[1])


def _centre(mask: Bools) -> npt.NDArray[np.float64]:
    return np.array([on.mean() for on in np.nonzero(mask)])


def _moved(depth: Floats, by: npt.NDArray[np.float64]) -> Floats:
    """An array moved by parts of voxels; what comes in from beyond is as its border."""
    if not by.any():
        return depth
    return np.asarray(ndimage.shift(depth, by, order=1, mode="nearest"), np.float32)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Fill between slices",
        "Between slices",
        "Interpolates the structure's shape between the slices where you have drawn it.",
        Wants.NOTHING,
        BetweenKnobs(),
        fill_between,
    ),
)
