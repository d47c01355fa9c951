"""Distances between the surfaces of two regions, in mm.

The surface of a region is its boundary voxels: those with a face neighbour outside the region; what
lies beyond the array is outside. Distances go from voxel centre to voxel centre. This is the
definition of MONAI (`get_mask_edges`) and of medpy; DeepMind's surface-distance measures between
voxel corners instead and differs by up to half a voxel. An array one voxel thick along an axis is
measured in the plane.

- HD95: for each direction the 95th percentile of the distances from one surface to the other; the
  larger of the two (Huttenlocher et al. 1993, with a percentile for the maximum).
- ASSD: mean over the boundary voxels of both surfaces (Heimann et al. 2009).
- NSD: share of the boundary voxels of both surfaces within the tolerance of the other (Nikolov et
  al. 2018, "surface Dice").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Bools = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float32]

ROUNDING_MM = 1e-4  # float32 distances: 3.0000002 mm is within 3 mm
PERCENTILE = 95.0


@dataclass(frozen=True)
class SurfaceScores:
    """Distances of two surfaces.

    Both regions empty: all nan, there is nothing to score. One empty: hd95 and assd are infinite
    and nsd is 0.
    """

    hd95_mm: float
    assd_mm: float
    nsd: float


NOTHING = SurfaceScores(math.nan, math.nan, math.nan)
MISSED = SurfaceScores(math.inf, math.inf, 0.0)


def surface_scores(
    pred: Bools, ref: Bools, spacing_mm: tuple[float, float, float], tolerance_mm: float = 1.0
) -> SurfaceScores:
    """Scores of two regions, bool (Z, Y, X), on one grid of `spacing_mm` (Z, Y, X)."""
    if not pred.any() or not ref.any():
        return MISSED if pred.any() or ref.any() else NOTHING
    to_ref, to_pred = surface_distances(pred, ref, spacing_mm)
    both = np.concatenate([to_ref, to_pred])
    ends = [float(np.percentile(one, PERCENTILE)) for one in (to_ref, to_pred)]
    near = float(np.mean(both <= tolerance_mm + ROUNDING_MM))
    return SurfaceScores(max(ends), float(both.mean(dtype=np.float64)), near)


def surface_distances(
    pred: Bools, ref: Bools, spacing_mm: tuple[float, float, float]
) -> tuple[Distances, Distances]:
    """From each boundary voxel of `pred` to the nearest of `ref` and the other way, mm."""
    thick = tuple(n > 1 for n in pred.shape)
    spacing = tuple(mm for mm, on in zip(spacing_mm, thick, strict=True) if on) or (1.0,)
    box = _box(pred | ref)
    edges = [_edge(_flat(region[box], thick)) for region in (pred, ref)]
    away = [_away(edge, spacing) for edge in edges]
    return away[1][edges[0]], away[0][edges[1]]


def _flat(region: npt.NDArray[Any], thick: tuple[bool, ...]) -> Bools:
    """Without the axes along which the whole array is one voxel thick; at least 1-D."""
    kept = tuple(n for n, on in zip(region.shape, thick, strict=True) if on)
    return np.ascontiguousarray(region.reshape(kept or (1,)))


def _edge(region: Bools) -> Bools:
    return np.asarray(region & ~ndimage.binary_erosion(region))


def _away(edge: Bools, spacing: tuple[float, ...]) -> Distances:
    return np.asarray(edt.edt(~edge, anisotropy=spacing if len(spacing) > 1 else spacing[0]))


def _box(region: Bools) -> tuple[slice, ...]:
    """The smallest box that holds the region."""
    ends = [
        np.flatnonzero(region.any(axis=tuple(a for a in range(3) if a != axis)))
        for axis in range(3)
    ]
    return tuple(slice(int(end[0]), int(end[-1]) + 1) for end in ends)
