"""Where on a grid it is worth looking closely: boxes around what a coarse look found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.inference.regrid import AxisMap, AxisMaps
from napari_medseg.inference.tiles import Box, Extent, Tiling

Bools = npt.NDArray[np.bool_]


def boxes_around(found: Bools, grid: Extent, tile: Extent, margin: Extent) -> list[Box]:
    """Boxes on a finer grid that hold everything found, each at least a tile large.

    Parameters
    ----------
    found
        (z, y, x) on a coarse grid over the same field of view.
    grid
        Shape of the finer grid, nowhere smaller than a tile.
    margin
        Voxels of the finer grid that are added around each piece.
    """
    scale = [fine / coarse for fine, coarse in zip(grid, found.shape, strict=True)]
    pieces = ndimage.find_objects(cc3d.connected_components(found, connectivity=26))
    boxes = []
    for piece in pieces:
        spans = []
        for axis, span in enumerate(piece):
            first = math.floor(span.start * scale[axis]) - margin[axis]
            last = math.ceil(span.stop * scale[axis]) + margin[axis]
            spans.append(_at_least(first, last, tile[axis], grid[axis]))
        boxes.append((spans[0], spans[1], spans[2]))
    return merged(boxes)


def merged(boxes: Sequence[Box]) -> list[Box]:
    """Boxes that overlap become one, until none do."""
    left, done = list(boxes), []
    while left:
        box = left.pop()
        touching = [other for other in left if _overlap(box, other)]
        if not touching:
            done.append(box)
            continue
        left = [other for other in left if not _overlap(box, other)]
        z, y, x = (
            slice(min(p.start for p in parts), max(p.stop for p in parts))
            for parts in zip(box, *touching, strict=True)
        )
        left.append((z, y, x))
        left += [other for other in done if _overlap((z, y, x), other)]
        done = [other for other in done if not _overlap((z, y, x), other)]
    return done


def n_tiles(boxes: Sequence[Box], tile: Extent, overlap: float) -> int:
    """Tiles that it takes to compute the boxes."""
    return sum(math.prod(len(s) for s in tiling_of(box, tile, overlap).starts) for box in boxes)


def tiling_of(box: Box, tile: Extent, overlap: float) -> Tiling:
    """The lattice over a box, counted from its first voxel."""
    z, y, x = (span.stop - span.start for span in box)
    return Tiling.over((z, y, x), tile, overlap)


def within(maps: AxisMaps, box: Box) -> Box | None:
    """The points of the maps that lie in a box of their source; None if none does."""
    spans = [_within(one, span) for one, span in zip(maps, box, strict=True)]
    z, y, x = spans
    return None if z is None or y is None or x is None else (z, y, x)


def _within(one: AxisMap, span: slice) -> slice | None:
    inside = np.flatnonzero((one.lower >= span.start) & (one.upper < span.stop))
    return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else None


def _at_least(first: int, last: int, smallest: int, size: int) -> slice:
    """A span within [0, size) that holds [first, last) and is at least `smallest` long."""
    first, last = max(first, 0), min(last, size)
    lacking = max(0, smallest - (last - first))
    first = min(max(0, first - lacking // 2), max(0, size - max(smallest, last - first)))
    return slice(first, min(size, max(last, first + smallest)))


def _overlap(a: Box, b: Box) -> bool:
    return all(p.start < q.stop and q.start < p.stop for p, q in zip(a, b, strict=True))
