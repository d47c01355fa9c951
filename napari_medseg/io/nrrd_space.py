"""Where an NRRD says its voxels are: space, directions, origin, in LPS millimetres."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import ReadError
from napari_medseg.volume.geometry import Geometry

SPACES = {  # signs that turn the space's x, y, z into LPS
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
UNITS_MM = {"mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3, "µm": 1e-3}
COLOURS = ("rgb-color", "rgba-color", "3-color", "4-color", "hsv-color", "xyz-color", "complex")
NO_DIRECTIONS = "the orientation is unknown (no space directions): left and right may be swapped"


def grid(header: Any, sizes: list[int], path: Path) -> tuple[Geometry, tuple[int, ...], list[str]]:
    """The grid, the order that brings the stored axes (slowest first) to (C, Z, Y, X), notes."""
    kinds = [str(kind).lower() for kind in header.get("kinds", [])]
    if any(kind in COLOURS for kind in kinds):
        raise ReadError("must have one number per voxel, got a colour picture", path.name)
    spatial, steps, notes = _steps(header, sizes, kinds)
    if len(spatial) not in (2, 3):
        raise ReadError(f"must have two or three axes in space, got {len(spatial)}", path.name)
    other = [axis for axis in range(len(sizes)) if axis not in spatial]
    if len(other) > 1 and sum(sizes[axis] > 1 for axis in other) > 1:
        raise ReadError(f"must be a volume or one series of volumes, got {sizes}", path.name)
    affine = np.eye(4)
    affine[:3, :3] = _third_axis(steps, path)
    origin, more = _origin(header, len(steps))
    affine[:3, 3] = origin
    signs, unknown = _signs(header)
    notes += more + (unknown if NO_DIRECTIONS not in notes else [])
    affine = np.diag([*signs, 1.0]) @ _in_mm(affine, header)
    shape = ([sizes[axis] for axis in spatial] + [1])[:3][::-1]
    last = len(sizes) - 1
    order = tuple(last - axis for axis in [*other[::-1], *spatial[::-1]])
    return Geometry((shape[0], shape[1], shape[2]), affine), order, notes


def _steps(
    header: Any, sizes: list[int], kinds: list[str]
) -> tuple[list[int], list[npt.NDArray[np.float64]], list[str]]:
    """Which axes lie in space, the step along each, and notes."""
    directions = header.get("space directions")
    if directions is not None:
        rows = [np.asarray([] if row is None else row, np.float64) for row in directions]
        spatial = [i for i, row in enumerate(rows) if row.size and not np.isnan(row).all()]
        return spatial, [rows[i] for i in spatial], []
    lists = ("list", "vector", "scalar", "time", "point", "covariant-vector", "normal")
    plain = [i for i, kind in enumerate(kinds) if kind in lists or kind.endswith("-vector")]
    spatial = [i for i in range(len(sizes)) if i not in plain][:3]
    spacings = np.asarray(header.get("spacings", [np.nan] * len(sizes)), np.float64)[spatial]
    known = np.isfinite(spacings) & (spacings != 0)
    unknown = "the voxel size is unknown: 1 mm was assumed, do not trust mm and ml"
    steps = list(np.diag(np.where(known, np.abs(spacings), 1.0)))
    return spatial, steps, [NO_DIRECTIONS] if known.all() else [NO_DIRECTIONS, unknown]


def _third_axis(steps: list[npt.NDArray[np.float64]], path: Path) -> npt.NDArray[np.float64]:
    """(3, 3) with the steps as columns; a flat picture gets a normal of one."""
    columns = [np.pad(step, (0, 3 - len(step))) for step in steps if len(step) <= 3]
    if len(columns) == 2:
        normal = np.cross(columns[0], columns[1])
        columns.append(normal / (np.linalg.norm(normal) or 1.0))
    matrix = np.array(columns).T
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise ReadError("must have finite space directions, got broken ones; repair it", path.name)
    if abs(np.linalg.det(matrix)) < 1e-12:
        raise ReadError("must have directions that span space, got flat ones; repair it", path.name)
    return matrix


def _origin(header: Any, n_axes: int) -> tuple[npt.NDArray[np.float64], list[str]]:
    origin = header.get("space origin")
    if origin is None:
        return np.zeros(3), []
    numbers = np.asarray(origin, np.float64)
    if numbers.size not in (n_axes, 3) or not np.isfinite(numbers).all():
        return np.zeros(3), ["the origin is not a usable point and was set to zero"]
    return np.pad(numbers, (0, 3 - numbers.size)), []


def _signs(header: Any) -> tuple[tuple[int, int, int], list[str]]:
    space = str(header.get("space", "")).lower()
    if space in SPACES:
        return SPACES[space], []
    if space == "" and header.get("space directions") is None:
        return (1, 1, 1), []
    return (1, 1, 1), [
        f"the orientation is unknown (space {space[:30] or 'not named'}): LPS assumed"
    ]


def _in_mm(affine: npt.NDArray[np.float64], header: Any) -> npt.NDArray[np.float64]:
    units = header.get("space units")
    factor = UNITS_MM.get(str(units[0]).strip('"').lower(), 1.0) if units else 1.0
    return np.asarray(np.diag([factor, factor, factor, 1.0]) @ affine)
