"""Grids that begin at the centre of the scan's first voxel, as MONAI's Spacing makes them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.volume import Geometry

Spacing = tuple[float, float, float]


def corner_grid(geometry: Geometry, spacing_mm: Spacing) -> Geometry:
    """The grid of this spacing (Z, Y, X) whose first voxel has the same centre."""
    steps = [new / old for new, old in zip(spacing_mm, geometry.spacing_mm, strict=True)]
    shape = tuple(
        max(1, round((n - 1) / step + 1)) for n, step in zip(geometry.shape, steps, strict=True)
    )
    return Geometry(shape, geometry.affine @ np.diag([*steps[::-1], 1.0]))  # type: ignore[arg-type]


def at_corner_grid(image: torch.Tensor, source: Geometry, grid: Geometry) -> torch.Tensor:
    """The image (Z, Y, X) on `grid`, linear between voxels; the border goes on beyond them."""
    for axis, points in enumerate(_points(source, grid)):
        below = np.floor(points).astype(np.int64)
        above = np.minimum(below + 1, image.shape[axis] - 1)
        weight = torch.from_numpy((points - below).astype(np.float32))
        weight = weight.reshape([-1 if a == axis else 1 for a in range(3)])
        first = image.index_select(axis, torch.from_numpy(below))
        image = first.lerp(image.index_select(axis, torch.from_numpy(above)), weight)
    return image


def nearest_at_corner_grid(labels: torch.Tensor, source: Geometry, grid: Geometry) -> torch.Tensor:
    """The labels (Z, Y, X) on `grid`, each that of the nearest voxel."""
    for axis, points in enumerate(_points(source, grid)):
        labels = labels.index_select(axis, torch.from_numpy(np.rint(points).astype(np.int64)))
    return labels


def nearest_slices(source: Geometry, grid: Geometry) -> list[int]:
    """The slice of `source` that each slice of `grid` takes its labels from."""
    return [int(point) for point in np.rint(_points(source, grid)[0])]


def _points(source: Geometry, grid: Geometry) -> list[npt.NDArray[np.float64]]:
    """Where the planes of each axis of `grid` lie in voxels of `source`."""
    return [
        np.clip(np.arange(n) * new / old, 0, size - 1)
        for n, new, old, size in zip(
            grid.shape, grid.spacing_mm, source.spacing_mm, source.shape, strict=True
        )
    ]
