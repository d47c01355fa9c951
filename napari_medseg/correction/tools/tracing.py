"""Level tracing: the closed line of one grey value through a click, and its inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.ndimage import binary_fill_holes, gaussian_filter

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.tools.part import (
    chosen,
    part_of,
    piece_at,
    seen_click,
    setting,
    sigmas_of,
)
from napari_medseg.correction.tools.place import field_of
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError


@dataclass(frozen=True)
class TraceKnobs:
    """How a line is traced.

    Attributes
    ----------
    smooth_mm
        Width of the Gaussian that calms noise before.
    """

    smooth_mm: Annotated[float, {"min": 0.0, "max": 10.0}] = 0.7


def trace(scene: Scene, aim: Aim, knobs: TraceKnobs) -> Edit | None:
    """Add the inside of the iso-contour through the clicked voxel, in the viewed slice."""
    voxel, aim = seen_click(scene, aim, Reach.SLICE)
    part = part_of(scene, field_of(scene, aim, Reach.SLICE))
    inner = part.inner(voxel)
    calm = gaussian_filter(part.image, sigmas_of(knobs.smooth_mm, part))
    level = calm[inner]
    sides = (piece_at(calm >= level, inner), piece_at(calm <= level, inner))
    closed = [found for side in sides if not _open(found := _filled(side, aim.axis), aim.axis)]
    if not closed:
        raise InputError(
            f"the line of grey value {level:.4g} must close within the slice, but leaves it; "
            "click closer to the edge of the structure"
        )
    edit = setting(part, min(closed, key=np.count_nonzero), chosen(aim))
    return None if edit is None else Edit(edit.box, edit.labels, f"at {level:.4g}: {edit.said}")


def _filled(piece: Bools, axis: int) -> Bools:
    """A region of one slice and what it encloses."""
    return np.expand_dims(binary_fill_holes(piece.squeeze(axis)), axis)


def _open(piece: Bools, axis: int) -> bool:
    """Whether a region of one slice reaches the slice's border."""
    plane = piece.squeeze(axis)
    return bool(plane[[0, -1]].any() or plane[:, [0, -1]].any())


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Level tracing",
        "Grey values",
        "Click on an edge: fills the closed line of that grey value, in the viewed slice.",
        Wants.CLICK,
        TraceKnobs(),
        trace,
    ),
)
