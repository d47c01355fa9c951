"""Click to fix: one click adds what is missed there, or takes away what is false."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, gaussian_filter, gaussian_gradient_magnitude

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.tools.assisted import TRUST, grey_odds, prior_of, solved
from napari_medseg.correction.tools.part import (
    Floats,
    Part,
    Voxel,
    box_around,
    chosen,
    depth_mm,
    noise_of,
    part_of,
    piece_at,
    seen_click,
    setting,
    sigmas_of,
    without_pinholes,
)
from napari_medseg.correction.tools.regions import within_mm
from napari_medseg.correction.tools.tool import Tool, Wants

SILENT = 0.03  # a model that gives so little at the click has nothing to say there
STEPS = 18  # bounds that are tried
Bounds = npt.NDArray[np.floating[Any]]
LEAKED = 1.0  # counts like a region that grows by this, as a logarithm
DEEPEST = 5.0  # times the depth of a click: no edge is moved further
LEAST = 4  # voxels: a smaller region is noise, not a step


@dataclass(frozen=True)
class FixKnobs:
    """How far one click goes.

    Attributes
    ----------
    farthest_mm
        Nothing further from the click is changed.
    use_model
        Whether a model's probabilities decide where there are any; else grey values do.
    """

    farthest_mm: Annotated[float, {"min": 1.0, "max": 500.0}] = 50.0
    use_model: bool = True
    reach: Reach = Reach.VOLUME


def click_to_fix(scene: Scene, aim: Aim, knobs: FixKnobs) -> Edit | None:
    """Take away the false region that was clicked, or add the missed one."""
    label = chosen(aim)
    voxel, aim = seen_click(scene, aim, knobs.reach)
    part = part_of(scene, box_around(scene, aim, knobs.reach, voxel, voxel, knobs.farthest_mm))
    inner = part.inner(voxel)
    false = bool(part.labels[inner] == label)
    may = (part.labels == label) == false
    may &= within_mm(part, inner, knobs.farthest_mm)
    region = suggested(part, inner, may, label, knobs)
    return setting(part, region, 0, "takes") if false else setting(part, region, label)


def suggested(part: Part, inner: Voxel, may: Bools, label: int, knobs: FixKnobs) -> Bools:
    """The region around a click that looks like one thing, within `may`."""
    given = part.chances(label) if knobs.use_model else None
    if given is not None:
        score = 1 - given if part.labels[inner] == label else given
        if float(score[inner]) > SILENT:
            return _by_chances(score, inner, may)
    region = _by_greys(part, inner, may, knobs.farthest_mm)
    ours = part.labels == label
    found = _moved_edge(part, inner, region, may, ours)
    return region if found is None else found


def _moved_edge(part: Part, inner: Voxel, region: Bools, may: Bools, ours: Bools) -> Bools | None:
    """What lies between the mask's edge and where it should be; None: it is no matter of the edge.

    Who clicks on what is wrong beside an edge clicks near its middle: so the edge belongs about
    twice as deep as the click, unless the grey values of both sides say otherwise.
    """
    false = bool(ours[inner])
    away = depth_mm(ours == false, part.spacing_mm)  # from the edge, on the clicked side
    deep = float(away[inner])
    beyond, behind = away > 3 * deep, ours != false
    if not (binary_dilation(region, _cross(region.shape)) & behind).any() or not beyond.any():
        return None
    band = may & (away <= DEEPEST * deep)
    seeds = np.where(behind, 1, np.where(band, 0, -1)).astype(np.int8)
    seeds[inner] = 1
    near = np.maximum(away, depth_mm(behind, part.spacing_mm)) <= 6 * deep
    odds = grey_odds(part.image, behind & near, beyond & near)
    depth = np.clip(2 - away / deep, 2 - DEEPEST, 1).astype(np.float32)
    prior = prior_of(depth if odds is None else odds + depth)
    chance = solved(part, seeds, prior, TRUST)
    found = piece_at((chance > 0.5) & band, inner)
    return without_pinholes(found | behind) & band


def _by_chances(score: Floats, inner: Voxel, may: Bools) -> Bools:
    """Where the model doubts the mask: above the bound at which the region changes least."""
    odds = np.log(np.clip(score, 1e-3, 1 - 1e-3) / np.clip(1 - score, 1e-3, 1 - 1e-3))
    top = float(odds[inner])
    # the decision itself, one half, is the bound of choice where the click is above it
    lowest = -1.5 if top > 0 else top - 3.0
    bounds = np.linspace(min(top, 3.0), lowest, STEPS)
    crop, at = _crop(may & (odds >= bounds[-1]), inner)
    found = _stablest(odds[crop], bounds, at, may[crop], 0.15 * np.abs(bounds))
    return _spread(without_pinholes(found), crop, may)


def _by_greys(part: Part, inner: Voxel, may: Bools, farthest_mm: float) -> Bools:
    """Where grey values are like those at the click, and no edge lies between."""
    calm = gaussian_filter(part.image, [0.6 if one else 0 for one in sigmas_of(1.0, part)])
    middle = float(np.median(calm[_around(inner, 1, may.shape)]))
    slope = gaussian_gradient_magnitude(part.image.squeeze(), 0.7).reshape(may.shape)
    noise = max(noise_of(part.image[_around(inner, 8, may.shape)]), 1e-3 * _span(part.image))
    unlike = np.maximum(np.abs(calm - middle), slope)
    unlike[inner] = 0
    bounds = -noise * np.geomspace(1.0, 16.0, STEPS)
    crop, at = _crop(may & (-unlike >= bounds[-1]), inner)
    crop, at = _wider(crop, at, may.shape)
    leaks = _rim(part, inner, farthest_mm)[crop]
    found = _stablest(-unlike[crop], bounds, at, may[crop], _far(bounds, noise), leaks)
    grown = _to_the_edge(calm[crop], found, may[crop], middle, noise)
    return _spread(without_pinholes(grown), crop, may)


def _to_the_edge(calm: Floats, found: Bools, may: Bools, middle: float, noise: float) -> Bools:
    """A region grown over the slope at its rim, to half-way between its grey and that around it.

    An edge voxel is unlike because of its slope alone, and two scanners' blur is two voxels wide.
    """
    ball = _cross(found.shape)
    near = binary_dilation(found, ball, iterations=2)
    around = binary_dilation(near, ball, iterations=2) & ~near
    half = 0.5 * abs(float(np.median(calm[around])) - middle) if around.any() else 0.0
    like = np.abs(calm - middle) <= max(half, 3 * noise)
    return np.asarray(found | (near & may & like))


def _cross(shape: tuple[int, ...]) -> Bools:
    """Neighbours across faces, none across a slice."""
    cross = np.zeros((3, 3, 3), bool)
    for axis, size in enumerate(shape):
        if size > 1:
            cross[tuple(slice(None) if one == axis else 1 for one in range(3))] = True
    cross[1, 1, 1] = True
    return cross


def _stablest(
    score: Floats,
    bounds: Bounds,
    inner: Voxel,
    may: Bools,
    unlikely: Bounds,
    leaks: Bools | None = None,
) -> Bools:
    """The region above a falling bound, just before its size changes most.

    Sizes are compared as ratios, over two steps of the bound: the region of one object hardly
    grows until the bound lets it leak. `unlikely` is added to the change at each bound;
    a region that reaches `leaks` is nearly out of the question.
    """
    regions = [_region(score, may, bound, inner) for bound in bounds]
    sizes = np.array([np.count_nonzero(one) for one in regions], np.float64)
    if sizes[-1] < LEAST:
        return regions[-1]
    growth = np.full(len(bounds), np.inf)
    growth[1:-1] = np.log(np.maximum(sizes[2:], 1) / np.maximum(sizes[:-2], 1))
    growth[sizes < LEAST] = np.inf
    growth += unlikely
    if leaks is not None:
        growth += [LEAKED * bool((one & leaks).any()) for one in regions]
    if not np.isfinite(growth).any():
        return regions[int(np.argmax(sizes >= LEAST))]
    return regions[int(np.argmin(growth))]


def _rim(part: Part, inner: Voxel, farthest_mm: float) -> Bools:
    """Where a region has run out of bounds: the scan's border, and as far as it may go."""
    rim = ~within_mm(part, inner, farthest_mm - max(part.spacing_mm))
    for axis, (span, size) in enumerate(zip(part.box, part.scene.shape, strict=True)):
        if rim.shape[axis] > 1:
            ends = [0] * (span.start == 0) + [-1] * (span.stop == size)
            rim[tuple(ends if one == axis else slice(None) for one in range(3))] = True
    return rim


def _far(bounds: Bounds, noise: float) -> Bounds:
    """How unlikely a bound is: grey values of one tissue end at some deviations of the noise."""
    return np.asarray(0.2 * np.abs(np.log2(-bounds / (3 * noise))))


def _region(score: Floats, may: Bools, bound: float, inner: Voxel) -> Bools:
    where = may & (score >= bound)
    where[inner] = True
    return piece_at(where, inner)


def _crop(where: Bools, inner: Voxel) -> tuple[tuple[slice, slice, slice], Voxel]:
    """The box of the largest region that can come out, and the click in it."""
    where[inner] = True
    pieces = cc3d.connected_components(np.ascontiguousarray(where), connectivity=6)
    box = cc3d.statistics(pieces)["bounding_boxes"][int(pieces[inner])]
    z, y, x = (slice(int(one.start), int(one.stop)) for one in box)
    return (z, y, x), (inner[0] - z.start, inner[1] - y.start, inner[2] - x.start)


def _wider(
    crop: tuple[slice, slice, slice], at: Voxel, shape: tuple[int, ...], more: int = 4
) -> tuple[tuple[slice, slice, slice], Voxel]:
    """A box with room around it, and the click in it."""
    z, y, x = (
        slice(max(0, one.start - more), min(size, one.stop + more))
        for one, size in zip(crop, shape, strict=True)
    )
    old = [v + one.start for v, one in zip(at, crop, strict=True)]
    return (z, y, x), (old[0] - z.start, old[1] - y.start, old[2] - x.start)


def _spread(found: Bools, crop: tuple[slice, slice, slice], may: Bools) -> Bools:
    """A region of a crop in the whole part."""
    region = np.zeros_like(may)
    region[crop] = found
    return np.asarray(region & may)


def _around(inner: Voxel, voxels: int, shape: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(
        slice(max(0, v - voxels), min(size, v + voxels + 1))
        for v, size in zip(inner, shape, strict=True)
    )


def _span(image: Floats) -> float:
    low, high = np.percentile(image, (2, 98))
    return float(high - low) or 1.0


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Click to fix",
        "Smart brushes",
        "Click on what is missed or false: the region that the model or the grey values suggest.",
        Wants.CLICK,
        FixKnobs(),
        click_to_fix,
    ),
)
