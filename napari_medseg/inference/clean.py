"""A mask without specks and holes, label by label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.errors import InputError
from napari_medseg.volume import Mask

Bools = npt.NDArray[np.bool_]

ROUNDING = 1e-6  # voxels: a piece of just the smallest volume stays


@dataclass(frozen=True)
class CleanConfig:
    """What is taken away and filled; by default nothing.

    Attributes
    ----------
    keep_largest
        Only the largest connected piece of each label stays; voxels that share a face, an edge or a
        corner are connected.
    smallest_ml
        Pieces below this volume go.
    fill_holes
        Background that a label encloses on all sides (in the plane, for a single slice) joins it.
    labels
        Mask values that are cleaned; empty: all.
    """

    keep_largest: bool = False
    smallest_ml: Annotated[float, {"min": 0.0, "max": 1000.0}] = 0.0
    fill_holes: bool = False
    labels: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.smallest_ml >= 0:
            raise InputError(f"the smallest piece must be 0 ml or more, got {self.smallest_ml}")


def clean(mask: Mask, config: CleanConfig) -> Mask:
    """The mask cleaned; what goes becomes background, and only background is filled."""
    labels = mask.labels.copy()
    smallest_voxels = config.smallest_ml / mask.geometry.voxel_ml - ROUNDING
    boxes = dict(enumerate(ndimage.find_objects(mask.labels), start=1))
    for value in config.labels or mask.values():
        box = boxes.get(value)
        if box is not None:
            _clean_label(labels[box], value, config, smallest_voxels)
    return replace(mask, labels=labels)


def _clean_label(
    labels: npt.NDArray[np.unsignedinteger[Any]],
    value: int,
    config: CleanConfig,
    smallest_voxels: float,
) -> None:
    """Clean one label in the box that holds it, in place."""
    region = labels == value
    kept = without_pieces(region, config.keep_largest, smallest_voxels)
    labels[region & ~kept] = 0
    if config.fill_holes:
        labels[filled(kept) & (labels == 0)] = value


def without_pieces(region: Bools, keep_largest: bool, smallest_voxels: float) -> Bools:
    """The region (Z, Y, X) without pieces below a size, or with its largest piece only."""
    if not keep_largest and smallest_voxels <= 1:
        return region
    pieces, n = cc3d.connected_components(region, connectivity=26, return_N=True)
    sizes = np.bincount(pieces.reshape(-1), minlength=n + 1)
    sizes[0] = 0
    stays = sizes >= max(smallest_voxels, 1)
    if keep_largest:
        stays &= np.arange(n + 1) == np.argmax(sizes)
    return np.asarray(stays[pieces])


def filled(region: Bools) -> Bools:
    """The region (Z, Y, X) and what it encloses; a single slice is filled in the plane."""
    flat = region.shape[0] == 1
    inside = ndimage.binary_fill_holes(region[0] if flat else region)
    return np.asarray(inside[None] if flat else inside)
