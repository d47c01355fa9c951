"""A sweep over the places that matter instead of the whole scan."""

from __future__ import annotations

from dataclasses import replace

from napari_medseg.inference.regions import Bools, tiling_of, within
from napari_medseg.inference.result import View
from napari_medseg.inference.scout import worth_looking
from napari_medseg.inference.sweep import Part, Sweep
from napari_medseg.inference.tiles import Box, Extent


def narrowed(
    full: Sweep, found: Bools, shape: Extent, overlap: float, view: View, always: bool
) -> Sweep | None:
    """The sweep over what was found, nearest to the view first; None where the whole costs as much.

    Parameters
    ----------
    shape
        Of the scan on the network's grid, before it is padded to a tile.
    always
        Whether it is wanted whatever it costs.
    """
    boxes = worth_looking(found, shape, full.tile, overlap, always)
    if boxes is None:
        return None
    parts = [_part(full, box, overlap) for box in boxes]
    near = sorted((part for part in parts if part is not None), key=lambda p: _distance(p, view))
    return replace(full, parts=tuple(near))


def _part(full: Sweep, box: Box, overlap: float) -> Part | None:
    """A box of the tensor as a part of the scan; None if no voxel of the scan lies in it."""
    target = within(full.maps, box)
    if target is None:
        return None
    z, y, x = (span.start for span in box)
    return Part(target, tiling_of(box, full.tile, overlap), (z, y, x))


def _distance(part: Part, view: View) -> int:
    first, last = part.box[view.axis].start, part.box[view.axis].stop - 1
    return max(int(first) - view.index, view.index - int(last), 0)
