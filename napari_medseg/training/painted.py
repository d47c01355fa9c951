"""A scan of which a person painted a few slices, as a stack of these slices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Example
from napari_medseg.errors import TrainingError
from napari_medseg.preprocess.intensity import finite, without_padding
from napari_medseg.volume import Reorientation

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

MOST_VOXELS = 1_300_000  # of a stack: all of it is read by some thirty filters within seconds
AROUND = 0.6  # of the structures' size in their slices, seen around them
AROUND_MM = 20.0
BEYOND = 1.5  # times the stack from the first to the last painted slice, searched on either side
BEYOND_MM = 40.0
CLIPPED = (0.5, 99.5)  # percentiles


@dataclass(frozen=True, eq=False)
class Stack:
    """The part of a scan that is searched, the painted slices across its first axis.

    Attributes
    ----------
    images
        float32 (C, S, R, C'): channels, slices, rows and columns, near zero.
    spacing_mm
        Of slices, rows and columns.
    shapes
        For each mask value, the structure in the slices that have it, by slice number.
    known
        Slices that were painted or confirmed, by number.
    axis
        Which axis of the canonical scan runs across the slices.
    box
        The part of the scan on canonical axes, its slices first.
    factor
        How many of the scan's voxels a row's and a column's voxel covers.
    turn
        To canonical axes and back.
    """

    images: Floats = field(repr=False)
    spacing_mm: tuple[float, float, float]
    shapes: Mapping[int, Mapping[int, Bools]] = field(repr=False)
    known: tuple[int, ...]
    axis: int
    box: tuple[slice, slice, slice]
    factor: int
    turn: Reorientation = field(repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        slices, rows, columns = self.images.shape[1:]
        return slices, rows, columns

    def on_scan(self, values: npt.NDArray[Any], elsewhere: Any) -> npt.NDArray[Any]:
        """Values (S, R, C) on the scan's own grid, each spread over the voxels that it covers."""
        canonical = np.full(self.turn.target.shape, elsewhere, values.dtype)
        planes = np.moveaxis(canonical, self.axis, 0)  # a view
        wide = values.repeat(self.factor, 1).repeat(self.factor, 2)
        part = planes[self.box]
        part[...] = wide[:, : part.shape[1], : part.shape[2]]
        return np.ascontiguousarray(self.turn.undo(canonical))


def stack_of(example: Example) -> Stack:
    """The slices that were painted, and what lies between and around them.

    A painted slice counts as painted whole: what has no structure there is background.

    Raises
    ------
    TrainingError
        Nothing was painted, or the scan is a single slice.
    """
    turn = Reorientation.to_canonical(example.volume.geometry)
    labels = np.where(example.confirmed, example.mask.labels, 0)
    axis = _axis(turn.apply(labels), example.volume.name)
    planes = np.moveaxis(turn.apply(labels), axis, 0)
    vouched = np.asarray(np.moveaxis(turn.apply(example.confirmed), axis, 0).any((1, 2)))
    on = np.flatnonzero(planes.any((1, 2)))
    mm = _first(turn.target.spacing_mm, axis)
    box = _searched(np.asarray(planes[on].any(0)), on, vouched, planes.shape, mm)
    factor = math.ceil(math.sqrt(math.prod(s.stop - s.start for s in box) / MOST_VOXELS))
    image = example.volume.array.reshape(-1, *example.volume.geometry.shape)
    canonical = [np.moveaxis(turn.apply(one), axis, 0)[box] for one in image]
    part = planes[box]
    values = [int(v) for v in np.unique(part) if v]
    shapes = {
        value: {
            int(k): _outline(part[k] == value, factor)
            for k in np.flatnonzero((part == value).any((1, 2)))
        }
        for value in values
    }
    return Stack(
        np.stack([_shrunk(_near_zero(one), factor) for one in canonical]),
        (mm[0], mm[1] * factor, mm[2] * factor),
        shapes,
        tuple(int(k) for k in np.flatnonzero(vouched[box[0]])),
        axis,
        box,
        factor,
        turn,
    )


def _axis(labels: npt.NDArray[Any], name: str) -> int:
    """The axis across which the smallest share of slices is painted."""
    on = labels != 0
    if not on.any():
        raise TrainingError(
            "at least one slice must be painted, none is; paint a structure in a few slices", name
        )
    if 1 in labels.shape:
        raise TrainingError("a scan must have several slices to follow a structure through", name)
    spans, shares = [], []
    for axis in range(3):
        there = np.flatnonzero(on.any(tuple(other for other in range(3) if other != axis)))
        spans.append(len(there))
        shares.append(len(there) / (there[-1] - there[0] + 1))
    return min(range(3), key=lambda axis: (shares[axis], spans[axis]))


def _searched(
    union: Bools, on: npt.NDArray[np.intp], known: Bools, shape: tuple[int, ...], mm: list[float]
) -> tuple[slice, slice, slice]:
    """What of the scan is looked at: around the structures, and beyond the painted slices."""
    more = math.ceil(max(BEYOND * (on[-1] - on[0]), BEYOND_MM / mm[0]))
    first, last = max(0, int(on[0]) - more), min(shape[0] - 1, int(on[-1]) + more)
    # a confirmed slice that has nothing is where all structures end
    below = [int(k) for k in np.flatnonzero(known) if first <= k < on[0]]
    above = [int(k) for k in np.flatnonzero(known) if on[-1] < k <= last]
    sides = [slice(max([first, *below]), min([last, *above]) + 1)]
    for at, size, step in zip(np.nonzero(union), shape[1:], mm[1:], strict=True):
        low, high = int(at.min()), int(at.max()) + 1
        room = math.ceil(max(AROUND * (high - low), AROUND_MM / step))
        sides.append(slice(max(0, low - room), min(size, high + room)))
    return sides[0], sides[1], sides[2]


def _near_zero(image: npt.NDArray[Any]) -> Floats:
    values = without_padding(finite(image))
    low, high = np.percentile(values[:: max(1, len(values) // 32)], CLIPPED)
    values = np.clip(values, low, high)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-6), np.float32)


def _outline(shape: Bools, factor: int) -> Bools:
    """A shape in larger voxels: those that it fills half; all that it meets if it is so thin."""
    share = _shrunk(shape[None].astype(np.float32), factor)[0]
    half = share >= 0.5
    return half if bool(half.any()) else np.asarray(share > 0)


def _shrunk(planes: Floats, factor: int) -> Floats:
    """Means over so many rows and columns; the last ones are repeated where they do not fit."""
    if factor == 1:
        return planes
    rows, columns = (-n % factor for n in planes.shape[1:])
    wide = np.pad(planes, ((0, 0), (0, rows), (0, columns)), mode="edge")
    s, r, c = wide.shape
    return np.asarray(wide.reshape(s, r // factor, factor, c // factor, factor).mean((2, 4)))


def _first(spacing_mm: tuple[float, ...], axis: int) -> list[float]:
    return [spacing_mm[axis], *(mm for k, mm in enumerate(spacing_mm) if k != axis)]
