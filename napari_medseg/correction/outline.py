"""What a drawn outline encloses: filled or erased in a slice, cut out through slices, poured."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.correction.edit import Bools, Edit, Reach, Scene, edit_of
from napari_medseg.correction.record import Box
from napari_medseg.correction.tracker import whole

Outline = npt.NDArray[np.floating[Any]]


def inside_of(outline: Outline, shape: tuple[int, int]) -> Bools:
    """Pixels whose centre an outline encloses, by the even-odd rule, bool.

    Each edge turns over all centres of the rows that it crosses which lie to its right: a centre
    that is turned an odd number of times is inside. A row counts as crossed from its upper end,
    so that a corner is met once; a centre on an edge belongs to what lies to the right of it, or
    below: two outlines that share an edge never share a pixel.

    Parameters
    ----------
    outline
        Float (N, 2), corners (row, column) in pixels; the last is joined to the first.
    """
    found = np.zeros((shape[0], shape[1] + 1), bool)
    corners = np.asarray(outline, float)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 > y1:
            y0, x0, y1, x1 = y1, x1, y0, x0
        rows = np.arange(max(int(np.ceil(y0)), 0), min(int(np.ceil(y1)), shape[0]))
        if rows.size:
            crossed = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
            first = np.clip(np.ceil(crossed), 0, shape[1]).astype(np.int64)
            found[rows, first] ^= True
    turned: Bools = np.logical_xor.accumulate(found, axis=1)[:, : shape[1]]
    return turned


def fill_outline(scene: Scene, outline: Outline, axis: int, index: int, value: int) -> Edit | None:
    """Set what an outline encloses in one slice; 0 erases. None where it encloses nothing.

    Parameters
    ----------
    outline
        Float (N, 2), in voxels along the two other axes in their order.
    axis, index
        The slice: across 0 Z, 1 Y or 2 X.
    """
    found = _enclosed(scene, outline, axis)
    if found is None:
        return None
    box, inside = found
    part = _deep(box, axis, slice(index, index + 1))
    return edit_of(scene, part, np.expand_dims(inside, axis), value)


def scissors(
    scene: Scene,
    outline: Outline,
    axis: int,
    value: int,
    keep: bool = False,
    slices: slice | None = None,
) -> Edit | None:
    """Cut a structure away inside an outline, through slices, or outside of it.

    Parameters
    ----------
    value
        The structure that is cut; 0: all of them.
    keep
        What lies inside stays, and what lies outside goes.
    slices
        Along `axis`; None: all.
    """
    found = _enclosed(scene, outline, axis)
    if found is None:
        return None
    box, inside = found
    if keep:
        full = np.delete(scene.shape, axis)
        outside = np.ones(full, bool)
        outside[tuple(np.delete(np.array(box, object), axis))] = ~inside
        box, inside = whole(scene.shape), outside
    box = _deep(box, axis, slices or slice(0, scene.shape[axis]))
    now = scene.labels[box]
    where = np.expand_dims(inside, axis) & ((now == value) if value else (now != 0))
    if not where.any():
        return None
    return edit_of(scene, box, where, 0, f"{np.count_nonzero(where)} voxels")


def pour(
    scene: Scene, voxel: tuple[int, int, int], axis: int, value: int, reach: Reach = Reach.SLICE
) -> Edit | None:
    """Set the region of one label that holds a voxel, in its slice or through all of them.

    Voxels that touch by a face are of one region.
    """
    old = scene.labels[voxel]
    if old == value:
        return None
    box = whole(scene.shape)
    if reach is Reach.SLICE:
        box = _deep(box, axis, slice(voxel[axis], voxel[axis] + 1))
    regions, _ = ndimage.label(scene.labels[box] == old)
    seed = tuple(v - part.start for v, part in zip(voxel, box, strict=True))
    number = regions[seed]
    around = ndimage.find_objects(regions, max_label=int(number))[int(number) - 1]
    z, y, x = (
        slice(part.start + own.start, part.start + own.stop)
        for part, own in zip(box, around, strict=True)
    )
    return edit_of(scene, (z, y, x), regions[around] == number, value)


def _enclosed(scene: Scene, outline: Outline, axis: int) -> tuple[Box, Bools] | None:
    """The box through all slices around what an outline encloses, and that, 2-D."""
    if len(outline) < 3:
        return None
    rows, columns = (n for number, n in enumerate(scene.shape) if number != axis)
    inside = inside_of(outline, (rows, columns))
    if not inside.any():
        return None
    tight = [np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))]
    cut = [slice(int(at[0]), int(at[-1]) + 1) for at in tight]
    box = [*cut[:axis], slice(0, scene.shape[axis]), *cut[axis:]]
    return (box[0], box[1], box[2]), inside[cut[0], cut[1]]


def _deep(box: Box, axis: int, slices: slice) -> Box:
    """The box with other slices along an axis."""
    made = [slices if number == axis else part for number, part in enumerate(box)]
    return made[0], made[1], made[2]
