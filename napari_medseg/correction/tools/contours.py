"""A structure's edge, moved to where the grey values change."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude
from skimage.segmentation import morphological_geodesic_active_contour

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.tools.part import (
    Floats,
    Part,
    chosen,
    depth_mm,
    replacing,
    sigmas_of,
    structure_part,
)
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError

# below one half, so that no region is born apart from the edge that moves
PULL = 0.45


class Force(StrEnum):
    """What moves an edge."""

    REGION = "inside and outside"  # the mean grey values of both sides
    EDGE = "nearest strong edge"


@dataclass(frozen=True)
class ContourKnobs:
    """How an edge moves.

    Attributes
    ----------
    steps
        At most so many; it ends earlier where nothing moves.
    smooth_mm
        Details smaller than this are smoothed.
    farthest_mm
        No voxel further from the edge as it was is changed.
    """

    force: Force = Force.REGION
    steps: Annotated[int, {"min": 1, "max": 200}] = 30
    smooth_mm: Annotated[float, {"min": 0.1, "max": 10.0}] = 1.0
    farthest_mm: Annotated[float, {"min": 0.5, "max": 50.0}] = 5.0
    reach: Reach = Reach.SLICE


def refine(scene: Scene, aim: Aim, knobs: ContourKnobs) -> Edit | None:
    """Move the edge of the chosen structure to the edge in the image."""
    part = structure_part(scene, _chosen(aim), knobs.reach, 1.5 * knobs.farthest_mm)
    if part is None:
        return None
    start = part.labels == aim.label
    band = _band(part, start, knobs.farthest_mm)
    if not (band & ~start).any():
        raise InputError("the structure must have an edge within the view, but fills it")
    band &= start | (part.labels == 0)  # other structures stay
    move = _by_regions if knobs.force is Force.REGION else _by_edges
    return replacing(part, move(part, start, band, knobs), aim.label)


def _chosen(aim: Aim) -> Aim:
    chosen(aim)
    return aim


def _band(part: Part, where: Bools, mm: float) -> Bools:
    """Voxels near the edge of a region, on both sides."""
    return np.asarray((depth_mm(where, part.spacing_mm) + depth_mm(~where, part.spacing_mm)) <= mm)


def _by_regions(part: Part, start: Bools, band: Bools, knobs: ContourKnobs) -> Bools:
    """Chan and Vese's energy by threshold dynamics (Esedoğlu and Tsai 2006).

    Unlike the morphological form it knows millimetres: each step is a Gaussian in mm.
    """
    sigmas = [max(one, 0.7) if one else 0.0 for one in sigmas_of(knobs.smooth_mm, part)]
    now = start
    for _ in range(knobs.steps):
        inside, outside = _mean(part.image, now & band), _mean(part.image, ~now & band)
        if inside == outside:
            break
        pull = ((part.image - outside) ** 2 - (part.image - inside) ** 2) / (inside - outside) ** 2
        soft = gaussian_filter(now.astype(np.float32), sigmas, mode="nearest", truncate=3)
        moved = np.where(band, soft + PULL * np.clip(pull, -1, 1) > 0.5, now)
        if np.array_equal(moved, now):
            break
        now = moved
    return now


def _mean(image: Floats, where: Bools) -> float:
    return float(image[where].mean()) if where.any() else 0.0


def _by_edges(part: Part, start: Bools, band: Bools, knobs: ContourKnobs) -> Bools:
    """Geodesic active contour in its morphological form, seeking inwards and outwards."""
    thin = [axis for axis, size in enumerate(start.shape) if size == 1]
    plane, seen = start.squeeze(tuple(thin)), part.image.squeeze(tuple(thin))
    sigmas = [one for axis, one in enumerate(sigmas_of(knobs.smooth_mm, part)) if axis not in thin]
    # the fine slope says where the edge is, the coarse one pulls from as far as is asked for
    wide = 0.4 * knobs.farthest_mm / knobs.smooth_mm
    slope = sum(
        gaussian_gradient_magnitude(seen, [one * max(more, 1.0) for one in sigmas])
        for more in (1.0, wide)
    )
    strong = float(np.percentile(slope[band.squeeze(tuple(thin))], 95))
    if strong <= 0:
        return start
    stops = 1 / (1 + (2 * slope / strong) ** 2)
    moved = morphological_geodesic_active_contour(
        stops.astype(np.float64), knobs.steps, plane.astype(np.int8), smoothing=1, threshold=0.0
    )
    return np.where(band, moved.reshape(start.shape) > 0, start)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Active contour",
        "Grey values",
        "Moves the edge of the chosen structure to the edge in the image.",
        Wants.NOTHING,
        ContourKnobs(),
        refine,
    ),
)
