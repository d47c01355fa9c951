"""Where a virtual hand takes the brush: over an error in a slice, and over nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.graph import MCP_Geometric

from napari_medseg.correction.brush import SLACK
from napari_medseg.correction.edit import Bools
from napari_medseg.correction.record import Labels

Places: TypeAlias = npt.NDArray[np.float64]
Points: TypeAlias = npt.NDArray[np.intp]
Flat: TypeAlias = tuple[float, float]
Solid: TypeAlias = tuple[float, float, float]

TOUCHING = np.ones((3, 3), int)
MOST_PAIRS = 2_000_000  # of places and wrong voxels; of more the hand tries every second place


@dataclass(frozen=True, eq=False)
class Error:
    """What is wrong in a slice in one way: voxels that should have `value` and have not."""

    value: int
    where: Bools

    @property
    def size(self) -> int:
        return int(np.count_nonzero(self.where))


@dataclass(frozen=True, eq=False)
class Way:
    """A drag of the brush.

    Attributes
    ----------
    places
        (N, 2) voxels (y, x), neighbours along Y or X.
    rights
        Wrong voxels that it puts right.
    """

    places: Places
    radius_mm: float
    rights: int


def errors_of(labels: Labels, truth: Labels, cared: Bools) -> Iterator[Error]:
    """The errors of a slice (Y, X), the most frequent first; where not `cared` nothing is wrong."""
    wrong = (labels != truth) & cared
    found = [Error(int(value), wrong & (truth == value)) for value in np.unique(truth[wrong])]
    yield from sorted(found, key=lambda one: -one.size)


def way_over(
    error: Error, wrong: Bools, may: Bools, radius_mm: float, spacing_mm: Solid, longest_mm: float
) -> Way | None:
    """A drag over an error such that the brush never leaves `may`; None if it fits nowhere.

    As people do it: the brush is set down where it covers most of the error, inside the structure,
    and goes on, lifted nowhere, to wherever it covers most of the rest for the way.

    Parameters
    ----------
    wrong, may
        (N, Y, X), the error's slice in the middle: what is to be covered in the slices around it,
        and where the brush may be. One slice for a disc; for a ball as many as it reaches.
    """
    middle = len(may) // 2
    seen = _in_view(error.where, longest_mm / 2, spacing_mm[1:])
    corner, part = _around(seen, radius_mm, spacing_mm[1:])
    wanted = wrong[(slice(None), *part)].copy()
    wanted[middle] = seen[part]
    inside = may[(slice(None), *part)]
    free = inside[middle] & (_depth(inside, spacing_mm)[middle] > radius_mm * (1 + SLACK))
    near = free & (_depth(~wanted, spacing_mm)[middle] <= radius_mm)
    centres, targets = np.argwhere(near), np.argwhere(wanted) - [middle, 0, 0]
    if not len(centres):
        return None
    centres = centres[:: 1 + len(centres) * len(targets) // MOST_PAIRS]
    places = np.insert(centres, 0, 0, axis=1) * spacing_mm
    covers = cdist(places, targets * spacing_mm) <= radius_mm * (1 + SLACK)
    way, rights = _dragged(free, centres, covers, radius_mm, spacing_mm[1:], longest_mm)
    return Way(way + corner, radius_mm, rights)


def shaken(way: Way, spacing_mm: Flat, noise_mm: float, random: np.random.Generator) -> Places:
    """The places as an unsteady hand meets them: off by `noise_mm` at knots a radius apart."""
    if not noise_mm:
        return way.places
    steps = np.linalg.norm(np.diff(way.places, axis=0) * spacing_mm, axis=1)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    knots = np.linspace(0, length[-1], 2 + int(length[-1] / max(way.radius_mm, noise_mm)))
    off = random.normal(0, noise_mm, (len(knots), 2)) / spacing_mm
    moved = [np.interp(length, knots, off[:, axis]) for axis in range(2)]
    return np.asarray(way.places + np.stack(moved, axis=1))


def _dragged(
    free: Bools,
    centres: Points,
    covers: Bools,
    radius_mm: float,
    spacing_mm: Flat,
    longest_mm: float,
) -> tuple[Places, int]:
    """The places of the drag, in the box, and how many targets it covers."""
    at = int(covers.sum(1).argmax())
    left, way, length = ~covers[at], [tuple(centres[at])], 0.0
    costs = np.where(free, 1.0, -1.0)
    while left.any():
        # along Y and X only: then a drag covers just what discs at its places do
        graph = MCP_Geometric(costs, fully_connected=False, sampling=spacing_mm)
        far = graph.find_costs([way[-1]])[0][tuple(centres.T)]
        gain = covers[:, left].sum(1) / (far + radius_mm + min(spacing_mm))
        gain[~(length + far <= longest_mm)] = 0
        best = int(gain.argmax())
        if gain[best] <= 0:
            break
        way += graph.traceback(tuple(centres[best]))[1:]
        length += float(far[best])
        left &= ~covers[best]
    return np.array(way, float), int(np.count_nonzero(~left))


def _in_view(where: Bools, reach_mm: float, spacing_mm: Flat) -> Bools:
    """What lies about the largest piece; the hand does not go for more in one drag."""
    pieces, count = ndimage.label(where, TOUCHING)
    if count < 2:
        return where
    found = ndimage.find_objects(pieces)[int(np.bincount(pieces.flat)[1:].argmax())]
    margin = [int(min(reach_mm, 1e6) / size) for size in spacing_mm]
    view = tuple(
        slice(max(0, one.start - m), one.stop + m) for one, m in zip(found, margin, strict=True)
    )
    seen = np.zeros_like(where)
    seen[view] = where[view]
    return seen


def _around(where: Bools, radius_mm: float, spacing_mm: Flat) -> tuple[Points, tuple[slice, slice]]:
    """The box of a region and twice the brush around it, and its corner."""
    at = np.argwhere(where)
    margin = np.ceil(2 * radius_mm / np.asarray(spacing_mm)).astype(int) + 2
    low = np.maximum(at.min(0) - margin, 0)
    high = np.minimum(at.max(0) + margin + 1, where.shape)
    return low, (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))


def _depth(inside: Bools, spacing_mm: Solid) -> npt.NDArray[np.float32]:
    """Millimetres to the nearest voxel that is not inside; infinite where all are."""
    found: npt.NDArray[np.float32] = edt.edt(
        np.ascontiguousarray(inside, np.uint8), anisotropy=spacing_mm, black_border=False
    )
    return found
