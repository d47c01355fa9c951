"""The assisted brush: a rough stroke that snaps to the edge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.tools.part import (
    Floats,
    Part,
    Points,
    box_around,
    chosen,
    depth_mm,
    noise_of,
    part_of,
    replacing,
    setting,
    without_pinholes,
)
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.correction.tools.walker import walked
from napari_medseg.errors import InputError

RIM = 1.5  # radii around the stroke that are looked at: what surrounds it is background
MASK = 0.5  # log odds of the mask as it is, where the stroke runs through it and sets it anew
WIDER = 0.25  # of probability, from the middle to the widest edge
TRUST = 0.05  # of looks, against conductance 1: they are heard within 1 / sqrt(TRUST) = 4 voxels
MOST = 200_000  # voxels solved for in one go; more are thinned out: half a second on one core
Seeds = npt.NDArray[np.int8]


class Does(StrEnum):
    """What a stroke may do."""

    ADD = "add"
    REMOVE = "take away"
    BOTH = "set anew"


@dataclass(frozen=True)
class AssistedKnobs:
    """How a rough stroke snaps.

    Attributes
    ----------
    radius_mm
        Nothing further from the stroke's middle is changed: the edge must lie within.
    core
        This part of the radius is certain.
    edge
        Where the edge is drawn: -1 tight, 1 wide.
    trust_model
        How much a model's probabilities count, against 1 for grey values.
    """

    does: Does = Does.ADD
    radius_mm: Annotated[float, {"min": 0.5, "max": 200.0}] = 10.0
    core: Annotated[float, {"min": 0.0, "max": 0.9}] = 0.25
    edge: Annotated[float, {"min": -1.0, "max": 1.0, "step": 0.25}] = 0.0
    trust_model: Annotated[float, {"min": 0.0, "max": 5.0}] = 1.0
    reach: Reach = Reach.SLICE


def assisted(scene: Scene, aim: Aim, knobs: AssistedKnobs) -> Edit | None:
    """Set the region that a rough stroke means: up to the edge, no further than its radius."""
    label = chosen(aim)
    part, path = _stroke(scene, aim, knobs)
    away = depth_mm(~path, part.spacing_mm)
    seeds = _seeds(part, away, label, knobs)
    if not (seeds == 1).any():
        return None
    prior = _prior(part, away, seeds, label, knobs)
    heard = TRUST * (1 + 3 * knobs.trust_model * (label in scene.chances))
    chance = solved(part, seeds, prior, heard)
    core = (seeds == 1) & (away <= knobs.radius_mm)
    reached = (chance > 0.5 - WIDER * knobs.edge) & (away <= knobs.radius_mm)
    region = without_pinholes(_joined(reached, core)) & (away <= knobs.radius_mm)
    if knobs.does is Does.REMOVE:
        return setting(part, region & (part.labels == label), 0, "takes")
    if knobs.does is Does.ADD:
        return setting(part, region, label)
    outer = (part.labels == label) & (away > knobs.radius_mm)
    return replacing(part, region | outer, label)


def _stroke(scene: Scene, aim: Aim, knobs: AssistedKnobs) -> tuple[Part, Bools]:
    """The part around a stroke, and the stroke's path in it."""
    points = aim.points
    if knobs.reach is Reach.SLICE:
        points = points[points[:, aim.axis] == aim.index]
    inside = ((points >= 0) & (points < np.array(scene.shape))).all(axis=1)
    points = points[inside]
    if len(points) == 0:
        raise InputError("a stroke must pass through the view, got none; draw it on the structure")
    low, high = points.min(axis=0), points.max(axis=0)
    part = part_of(scene, box_around(scene, aim, knobs.reach, low, high, RIM * knobs.radius_mm))
    path = np.zeros(part.labels.shape, bool)
    path[tuple(part.points(drawn_through(points)).T)] = True
    return part, path


def drawn_through(points: Points) -> Points:
    """All voxels on the straight lines between the points of a stroke, (N, 3)."""
    lines = [points[:1]]
    for start, end in pairwise(points):
        steps = int(np.abs(end - start).max())
        at = np.arange(1, steps + 1)[:, None] / max(steps, 1)
        lines.append(np.rint(start + at * (end - start)).astype(np.int64))
    return np.concatenate(lines)


def _seeds(part: Part, away: Floats, label: int, knobs: AssistedKnobs) -> Seeds:
    """What is certain: the stroke's core, what surrounds it, and the mask where it stays."""
    ours = part.labels == label
    far = away > knobs.radius_mm
    core = away <= max(knobs.core * knobs.radius_mm, 1e-3)
    seeds = np.zeros(ours.shape, np.int8)
    if knobs.does is Does.REMOVE:
        seeds[far] = -1
        seeds[~ours] = -2
        seeds[core & ours] = 1
        return seeds
    seeds[far & ~ours] = -1
    others = _others(part, core, label)
    seeds[others] = -1
    if knobs.does is Does.ADD:
        seeds[ours] = 1
    # set anew, the mask further away may be as wrong as that within: it is not heard
    seeds[far & ours] = -2 if knobs.does is Does.BOTH else 1
    seeds[core & ~others] = 1
    return seeds


def _others(part: Part, core: Bools, label: int) -> Bools:
    """Other structures, which a stroke does not take from but where it runs through them."""
    others = (part.labels != 0) & (part.labels != label)
    if others[core].mean() > 0.5:
        return np.zeros_like(others)
    return np.asarray(others)


def _prior(
    part: Part, away: Floats, seeds: Seeds, label: int, knobs: AssistedKnobs
) -> Floats | None:
    """Probability of each voxel to belong to the stroke by its own looks, or None."""
    near = (away <= knobs.radius_mm) & (seeds == 1)
    core = near & (away <= max(knobs.core * knobs.radius_mm, 1e-3))
    odds = grey_odds(part.image, core, seeds == -1)
    if odds is not None and knobs.does is Does.BOTH and (part.labels[core] == label).mean() > 0.5:
        odds = odds + np.where(part.labels == label, np.float32(MASK), np.float32(-MASK))
    given = part.chances(label)
    if given is not None and knobs.trust_model:
        if knobs.does is Does.REMOVE:
            given = 1 - given
        given = np.clip(given, 0.02, 0.98)
        odds = (0.0 if odds is None else odds) + knobs.trust_model * np.log(given / (1 - given))
    return prior_of(odds)


def prior_of(odds: Floats | None) -> Floats | None:
    """Probability of log odds, or None."""
    if odds is None:
        return None
    prior: Floats = (1 / (1 + np.exp(-np.clip(odds, -6, 6)))).astype(np.float32)
    return prior


def grey_odds(image: Floats, core: Bools, around: Bools) -> Floats | None:
    """Log odds of grey values: among those of the core against those around it."""
    if not around.any() or not core.any():
        return None
    inner, outer = image[core], image[around]
    low, high = float(min(inner.min(), outer.min())), float(max(inner.max(), outer.max()))
    if high <= low:
        return None
    bins = 64
    # as wide as the noise, but no finer than 64 grey values can tell
    width = max(noise_of(image) / (high - low) * bins, 1.5)
    like = [
        gaussian_filter(np.histogram(one, bins, (low, high))[0] / float(one.size), width)
        for one in (inner, outer)
    ]
    odds = np.log((like[0] + 1e-3) / (like[1] + 1e-3))
    place = np.clip((image - low) * (bins / (high - low)), 0, bins - 1).astype(np.int64)
    found: Floats = odds[place].astype(np.float32)
    return found


def solved(part: Part, seeds: Seeds, prior: Floats | None, trust: float) -> Floats:
    """The walker's probability, on every other voxel in each plane where they are too many."""
    step = _thinning(part, int(np.count_nonzero(seeds == 0)))
    take = tuple(slice(None, None, one) for one in step)
    image = part.image
    if max(step) > 1:
        image = gaussian_filter(image, [0.4 * (one - 1) for one in step])
    spacing = [one * side for one, side in zip(step, part.spacing_mm, strict=True)]
    coarse = walked(
        image[take],
        spacing,
        seeds[take],
        edge_of(image),
        None if prior is None else prior[take],
        trust,
    )
    if max(step) == 1:
        return coarse
    for axis, one in enumerate(step):
        coarse = np.repeat(coarse, one, axis=axis)
    z, y, x = seeds.shape
    fine: Floats = gaussian_filter(coarse[:z, :y, :x], [0.5 * (one - 1) for one in step])
    fine[seeds == 1] = 1
    fine[seeds < 0] = 0
    return fine


def edge_of(image: Floats) -> float:
    """The step of grey values that still is no edge: beyond noise, small against the contrast."""
    low, high = np.percentile(image, (2, 98))
    return max(1.5 * noise_of(image), 0.08 * float(high - low), 1e-6)


def _thinning(part: Part, voxels: int) -> list[int]:
    """Every how many voxels along each axis; the finest axes first."""
    step = [1, 1, 1]
    while voxels > MOST:
        sides = [
            one * side if size > 1 else np.inf
            for one, side, size in zip(step, part.spacing_mm, part.labels.shape, strict=True)
        ]
        step[int(np.argmin(sides))] *= 2
        voxels //= 2
    return step


def _joined(region: Bools, core: Bools) -> Bools:
    """Those pieces of a region that the core touches."""
    pieces = cc3d.connected_components(np.ascontiguousarray(region), connectivity=6)
    touched = np.zeros(int(pieces.max()) + 1, bool)
    touched[pieces[core]] = True
    touched[0] = False
    return np.asarray(touched[pieces])


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Assisted brush",
        "Smart brushes",
        "Draw roughly along the middle: it fills up to the edge, within its radius.",
        Wants.STROKE,
        AssistedKnobs(),
        assisted,
    ),
    Tool(
        "Assisted eraser",
        "Smart brushes",
        "Draw roughly through what is wrong: it is taken away up to the edge.",
        Wants.STROKE,
        AssistedKnobs(does=Does.REMOVE),
        assisted,
    ),
    Tool(
        "Snap",
        "Smart brushes",
        "Draw roughly along the middle: within the radius, the structure is set anew.",
        Wants.STROKE,
        AssistedKnobs(does=Does.BOTH),
        assisted,
    ),
)
