"""Several structures grown at once from strokes in each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_gradient_magnitude
from skimage.segmentation import watershed

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.tools.part import (
    Part,
    box_around,
    noise_of,
    part_of,
    sigmas_of,
    whole_edit,
)
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.correction.tools.walker import walked
from napari_medseg.errors import InputError

Numbers = npt.NDArray[np.int32]
OUTSIDE = -1  # background, while 0 means that nobody has said


class Grow(StrEnum):
    """How seeds grow."""

    WATERSHED = "watershed"  # fast, follows the strongest edge
    WALKER = "random walker"  # slower, holds at weak edges


@dataclass(frozen=True)
class SeedKnobs:
    """How far and by what seeds grow.

    Attributes
    ----------
    margin_mm
        How far beyond the strokes; the border of that box is background, unless background was
        drawn.
    keep_labels
        Whether the labels that are there are seeds too.
    smooth_mm
        Width of the Gaussian under the gradient.
    """

    how: Grow = Grow.WATERSHED
    margin_mm: Annotated[float, {"min": 0.0, "max": 200.0}] = 40.0
    keep_labels: bool = False
    smooth_mm: Annotated[float, {"min": 0.0, "max": 10.0}] = 1.0
    reach: Reach = Reach.SLICE


def grow_from_seeds(scene: Scene, aim: Aim, knobs: SeedKnobs) -> Edit | None:
    """Set every voxel between the strokes to the structure whose stroke reaches it best."""
    part = _part(scene, aim, knobs)
    seeds = _seeds(part, aim, knobs.keep_labels)
    kinds = [int(one) for one in np.unique(seeds) if one != 0]
    if len(kinds) < 2:
        raise InputError(
            f"strokes of two structures or more are needed, got {len(kinds)}; draw one in each, "
            "or one in the background"
        )
    ours = [one for one in kinds if one != OUTSIDE]
    free = (part.labels == 0) | np.isin(part.labels, ours)
    grown = (
        _by_walker(part, seeds, kinds, free)
        if knobs.how is Grow.WALKER
        else _by_watershed(part, seeds, free, knobs.smooth_mm)
    )
    labels = np.where(free & (grown != 0), np.where(grown == OUTSIDE, 0, grown), part.labels)
    changed = int(np.count_nonzero(labels != part.labels))
    return whole_edit(
        part, labels, f"{len(ours)} structure{'s' * (len(ours) > 1)} from seeds, {changed} voxels"
    )


def _part(scene: Scene, aim: Aim, knobs: SeedKnobs) -> Part:
    drawn = [one for one in aim.seeds.values() if len(one)]
    if not drawn:
        raise InputError("strokes of two structures or more are needed, got none; draw them first")
    points = np.concatenate(drawn)
    low, high = points.min(axis=0), points.max(axis=0)
    return part_of(scene, box_around(scene, aim, knobs.reach, low, high, knobs.margin_mm))


def _seeds(part: Part, aim: Aim, keep_labels: bool) -> Numbers:
    """The structure that was said to be at a voxel, `OUTSIDE`, or 0."""
    seeds = np.zeros(part.labels.shape, np.int32)
    if not len(aim.seeds.get(0, ())):
        seeds[_rim(part)] = OUTSIDE
    if keep_labels:
        seeds[part.labels > 0] = part.labels[part.labels > 0]
    for label, points in aim.seeds.items():
        seeds[tuple(part.points(points).T)] = label or OUTSIDE
    return seeds


def _rim(part: Part) -> Bools:
    """The faces of a box, but those at the scan's border: a structure may go on there."""
    rim = np.zeros(part.labels.shape, bool)
    for axis, (span, size) in enumerate(zip(part.box, part.scene.shape, strict=True)):
        if part.labels.shape[axis] == 1:
            continue
        ends = [0] * (span.start > 0) + [-1] * (span.stop < size)
        rim[tuple(ends if one == axis else slice(None) for one in range(3))] = True
    return rim


def _by_watershed(part: Part, seeds: Numbers, free: Bools, smooth_mm: float) -> Numbers:
    # a slice has no gradient across: its only plane is computed alone
    axes = tuple(axis for axis, size in enumerate(seeds.shape) if size > 1)
    sigmas = [one for one in sigmas_of(smooth_mm, part) if one > 0] or [0.0] * len(axes)
    plane = part.image.squeeze()
    edges = gaussian_gradient_magnitude(plane, sigmas).reshape(seeds.shape)
    found: Numbers = watershed(edges, seeds, mask=free | (seeds != 0))
    return found


def _by_walker(part: Part, seeds: Numbers, kinds: list[int], free: Bools) -> Numbers:
    """The seed of which a walker most likely comes."""
    deviation = max(3 * noise_of(part.image), 1e-6)
    best = np.full(seeds.shape, -1.0, np.float32)
    found = np.zeros(seeds.shape, np.int32)
    for kind in kinds:
        marks = np.where(seeds == kind, 1, np.where(seeds != 0, -1, 0)).astype(np.int8)
        marks[~free & (seeds == 0)] = -2
        chance = walked(part.image, part.spacing_mm, marks, deviation, steps=150)
        better = chance > best
        best[better], found[better] = chance[better], kind
    return found


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Grow from seeds",
        "Grey values",
        "Draw a stroke in each structure: they grow until they meet at edges.",
        Wants.SEEDS,
        SeedKnobs(),
        grow_from_seeds,
    ),
)
