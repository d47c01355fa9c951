"""Live wire: a line that follows edges from click to click, and its inside.

Mortensen & Barrett, "Interactive segmentation with intelligent scissors", Graphical Models and
Image Processing 60 (1998) 349-384: the cheapest path between two clicks, where strong edges are
cheap. The gradient is measured against its own median in the slice, so that noise is dear.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, TypeAlias

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter
from skimage.graph import MCP_Geometric

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene
from napari_medseg.correction.record import Box
from napari_medseg.correction.tools.part import (
    Floats,
    Part,
    chosen,
    counted,
    part_of,
    seen_click,
    setting,
)
from napari_medseg.correction.tools.place import field_of
from napari_medseg.correction.tools.tool import ADDED, OTHER, Tool, Wants

Path: TypeAlias = npt.NDArray[np.int64]  # (N, 2) rows and columns
ROOM = (12, 96)  # voxels, least and most, that a path may swing out beside its two ends
NOISE = 4.0  # times the median gradient: there an edge is half as dear as no edge
LEAST = 0.02  # what a voxel on the best edge costs: a path is no longer than it must be
BESIDE = np.array([(y, x) for y in range(-3, 4) for x in range(-3, 4) if abs(y) + abs(x) < 4])
DEAR = 20.0  # what a voxel beside the line costs its end: it goes round the other side


@dataclass(frozen=True)
class WireKnobs:
    """How the line finds its way.

    Attributes
    ----------
    smooth_mm
        Width of the Gaussian that calms noise before.
    snap_mm
        How far a click may be off the edge.
    """

    smooth_mm: Annotated[float, {"min": 0.0, "max": 10.0}] = 1.0
    snap_mm: Annotated[float, {"min": 0.0, "max": 20.0}] = 3.0


def wire(scene: Scene, aim: Aim, knobs: WireKnobs) -> Edit | None:
    """Add what the line through the clicked points of the viewed slice encloses.

    The line so far is drawn, and in another colour how it would be closed.
    """
    label, (_, aim) = chosen(aim), seen_click(scene, aim, Reach.SLICE)
    part = part_of(scene, _box(scene, aim))
    inner = part.points(aim.points)
    flat = np.delete(inner[inner[:, aim.axis] == 0], aim.axis, axis=1)
    spacing = [mm for axis, mm in enumerate(scene.spacing_mm) if axis != aim.axis]
    edges = _edges(part.image.squeeze(aim.axis), spacing, knobs.smooth_mm)
    anchors = [_snapped(edges, point, spacing, knobs.snap_mm) for point in flat]
    line = _line(edges, anchors, spacing)
    end = _way_back(edges, line, anchors, spacing)
    where = np.expand_dims(_filled(np.concatenate([line, end]), edges.shape), aim.axis)
    edit = setting(part, where, label)
    if edit is None:
        edit = Edit(part.box, part.labels, counted(where & False, scene.spacing_mm, "adds"))
    drawn = np.concatenate([_placed(end, OTHER, part, aim), _placed(line, ADDED, part, aim)])
    return replace(edit, drawn=drawn)


def _box(scene: Scene, aim: Aim) -> Box:
    """What of the slice the line may go through: around the clicks, as far as they lie apart."""
    field = field_of(scene, aim, Reach.SLICE)
    seen = aim.points[aim.points[:, aim.axis] == aim.index]
    low, high = seen.min(0), seen.max(0)
    room = ROOM[0] * 2 + int((high - low).max())
    z, y, x = (
        one if axis == aim.axis else slice(max(0, int(a) - room), min(size, int(b) + room + 1))
        for axis, (one, a, b, size) in enumerate(zip(field, low, high, scene.shape, strict=True))
    )
    return z, y, x


def _edges(image: Floats, spacing: list[float], smooth_mm: float) -> Floats:
    """What each voxel of a slice costs per mm, from `LEAST` on the best edge to 1 on none."""
    sigmas = [max(smooth_mm / mm, 0.5) for mm in spacing]
    slope = np.zeros_like(image)
    if min(image.shape) > 1:
        slope = np.hypot(*np.gradient(gaussian_filter(image, sigmas, mode="nearest"), *spacing))
    scale = max(NOISE * float(np.median(slope)), 0.05 * float(slope.max()), 1e-12)
    return np.asarray(LEAST + (1 - LEAST) / (1 + (slope / scale) ** 4), np.float32)


def _snapped(edges: Floats, point: Path, spacing: list[float], within_mm: float) -> Path:
    """The best edge near a click; of equals the nearest."""
    reach = [int(within_mm / mm) for mm in spacing]
    low = [max(0, int(p) - r) for p, r in zip(point, reach, strict=True)]
    near = tuple(slice(a, int(p) + r + 1) for a, p, r in zip(low, point, reach, strict=True))
    away = [
        (np.arange(a, a + n) - p) * mm
        for a, n, p, mm in zip(low, edges[near].shape, point, spacing, strict=True)
    ]
    far = np.hypot(away[0][:, None], away[1][None])
    cost = np.where(far <= within_mm, edges[near] * (1 + 0.1 * far), np.inf)
    found = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return np.asarray(np.array(found, np.int64) + low)


def _line(edges: Floats, anchors: list[Path], spacing: list[float]) -> Path:
    """From the first anchor to the last, through all of them."""
    parts = [_path(edges, a, b, spacing) for a, b in pairwise(anchors)]
    return np.concatenate([np.array(anchors[:1]), *parts])


def _way_back(edges: Floats, line: Path, anchors: list[Path], spacing: list[float]) -> Path:
    """From the last anchor to the first, not along the line but round the other side."""
    costs, last = edges.copy(), np.array(edges.shape) - 1
    for step in BESIDE:
        costs[tuple(np.clip(line + step, 0, last).T)] = DEAR
    for row, column in (anchors[0], anchors[-1]):
        near = slice(max(0, row - 4), row + 5), slice(max(0, column - 4), column + 5)
        costs[near] = edges[near]
    return _path(costs, anchors[-1], anchors[0], spacing, room=max(edges.shape))


def _path(edges: Floats, start: Path, end: Path, spacing: list[float], room: int = 0) -> Path:
    """The cheapest way from one voxel to another, in the box around both; 0: a fitting one."""
    low, high = np.minimum(start, end), np.maximum(start, end)
    room = room or int(np.clip(np.hypot(*(high - low)) / 2, *ROOM))
    corner = np.maximum(low - room, 0)
    box = tuple(slice(int(a), int(b) + room + 1) for a, b in zip(corner, high, strict=True))
    search = MCP_Geometric(edges[box], sampling=spacing)
    search.find_costs([tuple(start - corner)], [tuple(end - corner)])
    return np.asarray(np.array(search.traceback(tuple(end - corner)), np.int64) + corner)


def _filled(line: Path, shape: tuple[int, ...]) -> Bools:
    """A closed line and all that it parts from the border, bool of a shape."""
    free = np.ones([size + 2 for size in shape], np.uint8)
    free[tuple((line + 1).T)] = 0
    outside = cc3d.connected_components(free, connectivity=4)
    return np.asarray(outside != outside[0, 0])[1:-1, 1:-1]


def _placed(path: Path, kind: int, part: Part, aim: Aim) -> npt.NDArray[np.int64]:
    """A path as voxels (z, y, x) of the scene, each with the kind that it is drawn in."""
    voxels = np.insert(path, aim.axis, 0, axis=1) + [side.start for side in part.box]
    return np.insert(voxels, 3, kind, axis=1)


TOOLS: tuple[Tool, ...] = (
    Tool(
        "Live wire",
        "Grey values",
        "Click along an edge: the line follows it; Enter or a double click closes and fills it.",
        Wants.ANCHORS,
        WireKnobs(),
        wire,
    ),
)
