"""Bringing a mask onto a scan's grid without inventing a voxel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_medseg.errors import GridError
from napari_medseg.volume.geometry import Affine, Geometry
from napari_medseg.volume.orient import Reorientation
from napari_medseg.volume.volume import Mask

PAIRING_TOLERANCE = (
    0.05  # of the smallest voxel edge: tools round affines at 1e-5, times 512 voxels
)


def mask_on(mask: Mask, geometry: Geometry, whose: str = "its scan's") -> Mask:
    """The same labels on `geometry`, where that is the mask's grid with axes swapped or flipped.

    `whose` grid it is, for the message.

    Raises
    ------
    GridError
        The two grids do not hold the same voxels.
    """
    tolerance_mm = PAIRING_TOLERANCE * min(geometry.spacing_mm)
    if mask.geometry.same_grid(geometry, tolerance_mm):
        return mask
    turn = _turn(mask.geometry, geometry)
    if turn is None or not turn.target.same_grid(geometry, tolerance_mm):
        raise GridError(
            f"a mask must lie on {whose} grid, {_short(geometry)}, "
            f"got {_difference(mask.geometry, geometry)}; resample one first"
        )
    labels = np.ascontiguousarray(turn.apply(mask.labels))
    return replace(mask, labels=labels, geometry=geometry, header={})


def _turn(source: Geometry, target: Geometry) -> Reorientation | None:
    """The swap and flip of axes between two grids; None where it takes more than that."""
    change = np.linalg.solve(target.affine, source.affine)[
        :3, :3
    ]  # source x, y, z → target x, y, z
    signs = np.rint(change)
    orthogonal = np.array_equal(np.abs(signs).sum(axis=0), np.ones(3))
    if not orthogonal or not np.array_equal(np.abs(signs).sum(axis=1), np.ones(3)):
        return None
    axes_xyz = [int(np.argmax(np.abs(row))) for row in signs]  # per target axis, its source axis
    flips_xyz = [bool(row.sum() < 0) for row in signs]
    axes = tuple(2 - axes_xyz[2 - i] for i in range(3))
    flips = tuple(flips_xyz[2 - i] for i in range(3))
    shape = tuple(source.shape[axis] for axis in axes)
    affine = source.affine @ _to_source(axes_xyz, flips_xyz, source)
    return Reorientation(source, Geometry(shape, affine), axes, flips)  # type: ignore[arg-type]


def _to_source(axes_xyz: list[int], flips_xyz: list[bool], source: Geometry) -> Affine:
    """Index (x, y, z, 1) on the turned grid to the index on the source."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for target_axis, (axis, flip) in enumerate(zip(axes_xyz, flips_xyz, strict=True)):
        matrix[axis, target_axis] = -1.0 if flip else 1.0
        matrix[axis, 3] = source.shape[2 - axis] - 1 if flip else 0.0
    return matrix


def _difference(got: Geometry, want: Geometry) -> str:
    """The other grid, or how far off it is where shape and spacing agree."""
    if got.shape != want.shape or not np.allclose(got.spacing_mm, want.spacing_mm, rtol=0.01):
        return _short(got)
    off_mm = np.abs(got.corners_mm() - want.corners_mm()).max()
    return f"one up to {off_mm:.2f} mm away from it ({got.axcodes})"


def _short(geometry: Geometry) -> str:
    spacing = ", ".join(f"{mm:.3g}" for mm in geometry.spacing_mm)
    return f"{geometry.shape} of ({spacing}) mm"
