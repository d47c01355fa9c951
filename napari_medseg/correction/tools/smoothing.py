"""Smoother surfaces: of one structure, or of all at once without gaps or overlaps between them.

Sizes are in mm on all axes: balls and Gaussians are round in the patient, not on the grid.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, signal

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.record import Box, Labels
from napari_medseg.correction.tools.margins import dilated, eroded
from napari_medseg.correction.tools.place import (
    box_of,
    counted,
    field_of,
    flat_axes,
    new_shape,
    patch_of,
    proposal,
    voxels_in,
    widened,
)
from napari_medseg.correction.tools.tool import Tool, Wants

TRUNCATE = 3.0  # a Gaussian is cut at 3 sigma: 0.3 % of its mass is beyond
PLANES_AT_ONCE = 48  # bounds the memory where a structure is as large as the volume
Floats = npt.NDArray[np.float32]
Radius = Annotated[float, {"min": 0.1, "max": 50.0, "step": 0.5}]


@dataclass(frozen=True)
class BallKnobs:
    """How large the ball is, and whether voxels of other structures are taken."""

    reach: Reach = Reach.VOLUME
    radius_mm: Radius = 2.0
    over_others: bool = False


@dataclass(frozen=True)
class GaussianKnobs:
    """How wide the Gaussian is, and whether voxels of other structures are taken."""

    reach: Reach = Reach.VOLUME
    sigma_mm: Radius = 1.5
    over_others: bool = False


@dataclass(frozen=True)
class JointKnobs:
    """How wide the Gaussian is."""

    reach: Reach = Reach.VOLUME
    sigma_mm: Radius = 1.5


def median(scene: Scene, aim: Aim, knobs: BallKnobs) -> Edit | None:
    """A voxel is the structure's if most of the ball around it is."""
    patch = patch_of(scene, aim, knobs.reach, knobs.radius_mm)
    if patch is None:
        return None
    around = ball(knobs.radius_mm, patch.spacing_mm, patch.flat)
    most = majority(patch.mask, around)
    how = (f"Median of {knobs.radius_mm:g} mm", knobs.reach, knobs.over_others)
    return new_shape(scene, aim, patch, most, how)


def gaussian(scene: Scene, aim: Aim, knobs: GaussianKnobs) -> Edit | None:
    """A voxel is the structure's if its smoothed membership is above one half."""
    patch = patch_of(scene, aim, knobs.reach, TRUNCATE * knobs.sigma_mm)
    if patch is None:
        return None
    wide = smoothed(patch.mask, knobs.sigma_mm, patch.spacing_mm, patch.flat) > 0.5
    how = (f"Gaussian of {knobs.sigma_mm:g} mm", knobs.reach, knobs.over_others)
    return new_shape(scene, aim, patch, wide, how)


def closing(scene: Scene, aim: Aim, knobs: BallKnobs) -> Edit | None:
    """Gaps and notches that no ball fits into are closed."""
    patch = patch_of(scene, aim, knobs.reach, 2 * knobs.radius_mm)
    if patch is None:
        return None
    wide = dilated(patch.mask, knobs.radius_mm, patch.spacing_mm)
    closed = eroded(wide, knobs.radius_mm, patch.spacing_mm) | patch.mask
    how = (f"Closed by {knobs.radius_mm:g} mm", knobs.reach, knobs.over_others)
    return new_shape(scene, aim, patch, closed, how)


def opening(scene: Scene, aim: Aim, knobs: BallKnobs) -> Edit | None:
    """Bridges and tips that no ball fits into are gone."""
    patch = patch_of(scene, aim, knobs.reach, 2 * knobs.radius_mm)
    if patch is None:
        return None
    narrow = eroded(patch.mask, knobs.radius_mm, patch.spacing_mm)
    opened = dilated(narrow, knobs.radius_mm, patch.spacing_mm) & patch.mask
    how = (f"Opened by {knobs.radius_mm:g} mm", knobs.reach, False)
    return new_shape(scene, aim, patch, opened, how)


def joint(scene: Scene, aim: Aim, knobs: JointKnobs) -> Edit | None:
    """Every voxel gets the structure, or background, of the largest smoothed membership.

    So what one structure loses its neighbour gains: no gaps, no overlaps.
    """
    field = field_of(scene, aim, knobs.reach)
    box = box_of(scene, field, lambda plane: plane != 0)
    if box is None:
        return None
    flat = flat_axes(field)
    room = voxels_in(TRUNCATE * knobs.sigma_mm, scene.spacing_mm, flat)
    box, _ = widened(box, field, room)
    labels = np.empty_like(scene.labels[box])
    for part in _slabs(box):
        seen, rim = widened(part, field, room)
        wide = np.pad(scene.labels[seen], rim, mode="edge")
        new = jointly_smoothed(wide, knobs.sigma_mm, scene.spacing_mm, room)
        start = part[0].start - box[0].start
        labels[start : start + new.shape[0]] = new
    now = scene.labels[box]
    changed = labels != now
    touched = {*np.unique(labels[changed]), *np.unique(now[changed])} - {0}
    voxels = counted(int(np.count_nonzero(changed)), "voxel")
    said = f"{voxels} of {counted(len(touched), 'structure')} changed"
    return proposal(scene, box, labels, said)


def jointly_smoothed(
    wide: Labels, sigma_mm: float, spacing_mm: tuple[float, float, float], room: tuple[int, ...]
) -> Labels:
    """The label of the largest smoothed membership, without the room on all sides."""
    flat = (room[0] == 0, room[1] == 0, room[2] == 0)
    kept = tuple(slice(by, n - by) for by, n in zip(room, wide.shape, strict=True))
    best = np.zeros(wide.shape, np.float32)
    total = np.zeros(wide.shape, np.float32)
    labels = np.zeros_like(wide)
    for number, tight in enumerate(ndimage.find_objects(wide), start=1):
        if tight is None:
            continue
        whole = tuple(slice(0, n) for n in wide.shape)
        near, _ = widened(tight, whole, room)  # type: ignore[arg-type]
        share = smoothed(wide[near] == number, sigma_mm, spacing_mm, flat)
        total[near] += share
        wins = share > best[near]
        best[near][wins] = share[wins]
        labels[near][wins] = number
    labels[1 - total > best] = 0
    return labels[kept]


def smoothed(
    mask: Bools,
    sigma_mm: float,
    spacing_mm: tuple[float, float, float],
    flat: tuple[bool, bool, bool],
) -> Floats:
    """A membership in [0, 1], smoothed by a Gaussian of a width in mm; not along flat axes."""
    sigma = [0.0 if on else sigma_mm / mm for mm, on in zip(spacing_mm, flat, strict=True)]
    wide: Any = ndimage.gaussian_filter(
        mask.astype(np.float32), sigma, mode="nearest", truncate=TRUNCATE
    )
    return np.asarray(wide, np.float32)


def majority(mask: Bools, around: Bools) -> Bools:
    """Where more than half of the voxels around are in a mask; beyond its ends nothing is."""
    half = around.shape[0] // 2
    weights = around.astype(np.float32)
    most = np.empty(mask.shape, bool)
    for start in range(0, len(mask), PLANES_AT_ONCE):
        low, stop = max(0, start - half), min(start + PLANES_AT_ONCE, len(mask))
        seen = mask[low : stop + half].astype(np.float32)
        votes = np.rint(signal.fftconvolve(seen, weights, "same"))
        most[start:stop] = votes[start - low : stop - low] > np.count_nonzero(around) / 2
    return most


def ball(
    radius_mm: float, spacing_mm: tuple[float, float, float], flat: tuple[bool, bool, bool]
) -> Bools:
    """Voxels whose centre is within a radius of the middle one's; one thick along flat axes."""
    square = np.zeros((1, 1, 1))
    for axis, (mm, on) in enumerate(zip(spacing_mm, flat, strict=True)):
        n = 0 if on else int(radius_mm / mm + 1e-6)
        shape = [1, 1, 1]
        shape[axis] = -1
        square = square + (np.arange(-n, n + 1) * mm).reshape(shape) ** 2
    return np.asarray(square <= radius_mm**2 * (1 + 1e-6))


def _slabs(box: Box) -> Iterator[Box]:
    """A box, so many planes at a time."""
    for start in range(box[0].start, box[0].stop, PLANES_AT_ONCE):
        yield slice(start, min(start + PLANES_AT_ONCE, box[0].stop)), box[1], box[2]


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Smooth: median",
        "Smooth",
        "Takes off spikes and fills notches of the chosen structure by the majority in a ball.",
        Wants.NOTHING,
        BallKnobs(),
        median,
    ),
    Tool(
        "Smooth: Gaussian",
        "Smooth",
        "Rounds the chosen structure's surface; thin parts get lost first.",
        Wants.NOTHING,
        GaussianKnobs(),
        gaussian,
    ),
    Tool(
        "Smooth: closing",
        "Smooth",
        "Closes gaps of the chosen structure that are narrower than a ball.",
        Wants.NOTHING,
        BallKnobs(),
        closing,
    ),
    Tool(
        "Smooth: opening",
        "Smooth",
        "Removes parts of the chosen structure that are narrower than a ball.",
        Wants.NOTHING,
        BallKnobs(),
        opening,
    ),
    Tool(
        "Smooth: all structures",
        "Smooth",
        "Rounds all structures at once, without gaps or overlaps between them.",
        Wants.NOTHING,
        JointKnobs(),
        joint,
    ),
)
