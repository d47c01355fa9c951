"""Regions by their grey values: flood from a click, threshold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.draw import polygon2mask
from skimage.filters import threshold_otsu

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.tools.part import (
    Floats,
    Part,
    Voxel,
    box_around,
    chosen,
    noise_of,
    part_of,
    piece_at,
    seen_click,
    setting,
    structure_part,
    voxels_of,
    without_pinholes,
)
from napari_medseg.correction.tools.place import field_of
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError

NEAR = 7  # voxels around a click whose noise decides the tolerance
DEVIATIONS = 3.0  # that noise stays within, 997 times in 1000


@dataclass(frozen=True)
class FloodKnobs:
    """How a region grows from a click.

    Attributes
    ----------
    tolerance
        How far grey values may be from those at the click, in the image's units; 0: three
        deviations of the noise around the click.
    farthest_mm
        No further from the click than this; 0: no limit.
    """

    tolerance: Annotated[float, {"min": 0.0, "max": 1e6}] = 0.0
    farthest_mm: Annotated[float, {"min": 0.0, "max": 1000.0}] = 0.0
    reach: Reach = Reach.SLICE


def flood(scene: Scene, aim: Aim, knobs: FloodKnobs) -> Edit | None:
    """Add what is connected to the click and looks like it."""
    voxel, aim = seen_click(scene, aim, knobs.reach)
    box = field_of(scene, aim, knobs.reach)
    if knobs.farthest_mm:
        box = box_around(scene, aim, knobs.reach, voxel, voxel, knobs.farthest_mm)
    part = part_of(scene, box)
    inner = part.inner(voxel)
    near = _near(part, inner, NEAR)
    tolerance = knobs.tolerance or max(DEVIATIONS * noise_of(near), 1e-6)
    like = np.abs(part.image - _grey_at(part, inner, tolerance)) <= tolerance
    like[inner] = True
    if knobs.farthest_mm:
        like &= within_mm(part, inner, knobs.farthest_mm)
    return setting(part, without_pinholes(piece_at(like, inner)), chosen(aim))


def _near(part: Part, inner: Voxel, voxels: int) -> Floats:
    """Grey values of a small box around a voxel."""
    z, y, x = (slice(max(0, v - voxels), v + voxels + 1) for v in inner)
    thick = max(part.spacing_mm) > 2 * min(part.spacing_mm)
    return part.image[slice(inner[0], inner[0] + 1) if thick else z, y, x]


def _grey_at(part: Part, inner: Voxel, tolerance: float) -> float:
    """Mean of the neighbours that are like the clicked voxel: it may be noise itself."""
    near = _near(part, inner, 1)
    like = np.abs(near - part.image[inner]) <= 2 * tolerance
    return float(near[like].mean())


def within_mm(part: Part, inner: Voxel, mm: float) -> Bools:
    """Which voxels are no further from one than a distance, bool of the part's shape."""
    grids = np.ogrid[tuple(slice(0, size) for size in part.labels.shape)]
    pairs = zip(grids, inner, part.spacing_mm, strict=True)
    return np.asarray(sum(((grid - v) * one) ** 2 for grid, v, one in pairs) <= mm**2)


class Method(StrEnum):
    """Where a threshold comes from."""

    RANGE = "a range"
    OTSU = "Otsu"
    LOCAL = "local mean"


class Side(StrEnum):
    """Which side of a found threshold is meant."""

    BRIGHT = "brighter"
    DARK = "darker"


class Where(StrEnum):
    """Where a threshold is applied."""

    EVERYWHERE = "everywhere"
    STRUCTURE = "in the chosen structure"
    OUTLINE = "in the drawn outline"


@dataclass(frozen=True)
class ThresholdKnobs:
    """Which grey values become the chosen structure.

    Attributes
    ----------
    low, high
        In the image's units, both within; only for a range.
    window_mm
        Side of the window of the local mean.
    offset
        By how much a voxel must exceed the local mean, in the image's units.
    """

    method: Method = Method.OTSU
    side: Side = Side.BRIGHT
    where: Where = Where.EVERYWHERE
    low: Annotated[float, {"min": -1e6, "max": 1e6}] = 0.0
    high: Annotated[float, {"min": -1e6, "max": 1e6}] = 1000.0
    window_mm: Annotated[float, {"min": 1.0, "max": 500.0}] = 30.0
    offset: Annotated[float, {"min": -1e6, "max": 1e6}] = 0.0
    reach: Reach = Reach.SLICE


def threshold(scene: Scene, aim: Aim, knobs: ThresholdKnobs) -> Edit | None:
    """Add what lies in the range; in the chosen structure, take away what lies outside it."""
    label = chosen(aim)
    part, where = _region(scene, aim, knobs)
    if part is None or not where.any():
        return None
    kept, how = _in_range(part, where, knobs)
    if knobs.where is Where.STRUCTURE:
        edit = setting(part, where & ~kept, 0, "takes")
    else:
        edit = setting(part, where & kept, label)
    return None if edit is None else Edit(edit.box, edit.labels, f"{how}: {edit.said}")


def _region(scene: Scene, aim: Aim, knobs: ThresholdKnobs) -> tuple[Part | None, Bools]:
    """The part in which a threshold works, and where in it."""
    margin_mm = knobs.window_mm / 2 if knobs.method is Method.LOCAL else 0.0
    if knobs.where is Where.STRUCTURE:
        part = structure_part(scene, aim, knobs.reach, margin_mm)
        return part, np.zeros(0, bool) if part is None else part.labels == aim.label
    if knobs.where is Where.OUTLINE:
        return _outlined(scene, aim, knobs.reach, margin_mm)
    part = part_of(scene, field_of(scene, aim, knobs.reach))
    return part, np.ones(part.labels.shape, bool)


def _outlined(scene: Scene, aim: Aim, reach: Reach, margin_mm: float) -> tuple[Part, Bools]:
    """The part around an outline, through all slices if the volume is meant, and its inside."""
    if len(aim.points) < 3:
        raise InputError(f"an outline must have 3 points or more, got {len(aim.points)}; draw one")
    low, high = aim.points.min(axis=0), aim.points.max(axis=0)
    low[aim.axis], high[aim.axis] = 0, scene.shape[aim.axis] - 1
    limit = np.array(scene.shape) - 1
    low, high = np.clip(low, 0, limit), np.clip(high, 0, limit)
    part = part_of(scene, box_around(scene, aim, reach, low, high, margin_mm))
    plane = [axis for axis in range(3) if axis != aim.axis]
    corner = np.array([part.box[axis].start for axis in plane])
    shape = tuple(part.labels.shape[axis] for axis in plane)
    inside = polygon2mask(shape, aim.points[:, plane] - corner)
    spread = np.broadcast_to(np.expand_dims(inside, aim.axis), part.labels.shape)
    return part, spread.copy()


def _in_range(part: Part, where: Bools, knobs: ThresholdKnobs) -> tuple[Bools, str]:
    """Which voxels lie in the range, and the range in words."""
    if knobs.method is Method.RANGE:
        if knobs.low > knobs.high:
            raise InputError(f"a range must rise, got {knobs.low:g} to {knobs.high:g}; swap them")
        kept = (part.image >= knobs.low) & (part.image <= knobs.high)
        return kept, f"{knobs.low:g} to {knobs.high:g}"
    bright = knobs.side is Side.BRIGHT
    sign = ">" if bright else "<"
    if knobs.method is Method.OTSU:
        value = otsu(part.image[where])
        return (part.image > value if bright else part.image <= value), f"{sign} {value:.4g}"
    size = [2 * max(0, one // 2) + 1 for one in voxels_of(knobs.window_mm, part.spacing_mm)]
    over = part.image - uniform_filter(part.image, size, mode="nearest")
    kept = over > knobs.offset if bright else over < -knobs.offset
    return kept, f"{sign} mean of {knobs.window_mm:g} mm"


def otsu(values: Floats) -> float:
    """Otsu's threshold between two kinds of grey values.

    Raises
    ------
    InputError
        Where all are the same.
    """
    sample = values[:: max(1, values.size // 1_000_000)]  # a million tell as much as all
    if sample.min() == sample.max():
        raise InputError(
            f"Otsu needs two different grey values or more, got only {sample[0]:g}; "
            "widen the region"
        )
    return float(threshold_otsu(sample))


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Flood",
        "Grey values",
        "Click: adds everything connected that looks like it, within a tolerance.",
        Wants.CLICK,
        FloodKnobs(),
        flood,
    ),
    Tool(
        "Threshold",
        "Grey values",
        "Adds a range of grey values: fixed, Otsu's or above the local mean.",
        Wants.NOTHING,
        ThresholdKnobs(),
        threshold,
    ),
    Tool(
        "Threshold in outline",
        "Grey values",
        "Draw an outline: adds the grey values in range within it.",
        Wants.OUTLINE,
        ThresholdKnobs(where=Where.OUTLINE),
        threshold,
    ),
)
