"""Brush size in mm; napari's is in voxels of the finest painted axis, and always odd."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels

LARGEST_MM = 100.0


def finest_mm(layer: Labels) -> float:
    """The finest spacing among the axes that the brush paints."""
    scale = np.abs(np.asarray(layer.scale, dtype=float))
    in_plane = scale[-2:] if layer.n_edit_dimensions == 2 else scale
    return float(in_plane.min())


def smallest_mm(layer: Labels) -> float:
    """A brush of one voxel."""
    return finest_mm(layer)


def brush_mm(layer: Labels) -> float:
    """Diameter of what the brush paints now: 2 * floor(size / 2) + 1 voxels."""
    voxels = 2 * int(layer.brush_size // 2) + 1
    return float(voxels * finest_mm(layer))


def pixels_of(size_mm: float, layer: Labels) -> int:
    """napari's size of the brush that comes closest."""
    return 2 * max(round((size_mm / finest_mm(layer) - 1) / 2), 0) + 1
