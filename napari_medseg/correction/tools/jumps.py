"""Slices of a structure that do not fit between their neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from napari_medseg.correction.edit import Bools
from napari_medseg.correction.tools.part import Floats, depth_mm

LEAST = 12  # voxels: what differs by less is the grid's roughness


@dataclass(frozen=True, eq=False)
class Jump:
    """A slice that does not fit.

    Attributes
    ----------
    index
        Within the structure's box.
    by
        How much it differs, as a part of what was expected.
    between
        bool, the slice as it would be between its neighbours.
    """

    index: int
    by: float
    why: str
    between: Bools


def jumps(ours: Bools, axis: int, spacing_mm: Sequence[float], least: float) -> Iterator[Jump]:
    """Slices whose area or middle jumps away from both neighbours and back."""
    stack = np.moveaxis(ours, axis, 0)
    areas = stack.sum(axis=(1, 2)).astype(np.float64)
    if len(areas) < 3:
        return
    centres = _centres(stack, areas)
    for index in range(1, len(areas) - 1):
        if areas[index - 1] == 0 or areas[index + 1] == 0:
            continue
        by, why = _difference(areas, centres, index)
        if by < least or not _alone(areas, centres, index, by):
            continue
        plane_mm = [one for at, one in enumerate(spacing_mm) if at != axis]
        yield Jump(index, by, why, between(stack[index - 1], stack[index + 1], plane_mm))


def _centres(stack: Bools, areas: Floats) -> Floats:
    """Middle of each slice in voxels, (N, 2); nan where it is empty."""
    rows, columns = stack.sum(axis=2), stack.sum(axis=1)
    with np.errstate(invalid="ignore"):
        middle_y = (rows * np.arange(rows.shape[1])).sum(axis=1) / areas
        middle_x = (columns * np.arange(columns.shape[1])).sum(axis=1) / areas
    return np.stack([middle_y, middle_x], axis=1)


def _difference(areas: Floats, centres: Floats, index: int) -> tuple[float, str]:
    """How far a slice is from what its neighbours let expect, and why."""
    expected = (areas[index - 1] + areas[index + 1]) / 2
    off = float(abs(areas[index] - expected))
    # by the larger of both, so that a thin slice does not make its neighbours look thick
    by_area = off / max(expected, float(areas[index])) if off >= LEAST else 0.0
    if areas[index] == 0:
        return 1.0, "a slice is empty between two that are not"
    middle = (centres[index - 1] + centres[index + 1]) / 2
    moved = float(np.hypot(*(centres[index] - middle)))
    by_place = moved / float(np.sqrt(expected / np.pi)) if moved >= 2 else 0.0
    if by_place > by_area:
        return by_place, f"a slice lies {moved:.0f} voxels beside its neighbours"
    percent = 100 * (areas[index] / expected - 1)
    return (
        by_area,
        f"a slice is {abs(percent):.0f} % {'larger' if percent > 0 else 'smaller'} \
than its neighbours",
    )


def _alone(areas: Floats, centres: Floats, index: int, by: float) -> bool:
    """Whether the slice, not one beside it, is the odd one: its neighbours jump less."""
    beside = [
        _difference(areas, centres, one)[0]
        for one in (index - 1, index + 1)
        if 0 < one < len(areas) - 1 and areas[one - 1] and areas[one + 1]
    ]
    return all(one < by for one in beside)


def between(before: Bools, after: Bools, spacing_mm: Sequence[float]) -> Bools:
    """The shape half-way between two slices, by their signed distances."""
    two = np.stack([before, after])
    signed = [
        depth_mm(one[None], (1.0, *spacing_mm)) - depth_mm(~one[None], (1.0, *spacing_mm))
        for one in two
    ]
    low = -1e6
    total = sum(np.nan_to_num(one[0], posinf=-low, neginf=low) for one in signed)
    return np.asarray(total > 0)
