"""Scans smaller than a tile: mirrored at their edges, the same in training and prediction.

Mirrored and not filled with zeros: instance normalisation averages over the tile, and a mirrored
scan has the mean and spread of the scan. Models that came from nnU-Net were taught with zeros.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

Extent = tuple[int, int, int]


def mirror_indices(size: int, wanted: int) -> npt.NDArray[np.int64]:
    """Indices into an axis of `size` voxels that make it at least `wanted` long.

    The axis comes to lie in the middle; beyond its ends it runs back without repeating the last
    voxel (numpy's "reflect"), as often as needed.

    >>> mirror_indices(3, 7)
    array([2, 1, 0, 1, 2, 1, 0])
    """
    total = max(size, wanted)
    index = np.arange(total) - margin(size, wanted)
    if size == 1:
        return np.zeros(total, dtype=np.int64)
    wave = np.abs(index) % (2 * size - 2)
    return np.asarray(np.minimum(wave, 2 * size - 2 - wave), dtype=np.int64)


def margin(size: int, wanted: int) -> int:
    """Voxels that `padded` adds in front of an axis."""
    return max(0, wanted - size) // 2


def padded(tensor: torch.Tensor, smallest: Extent, zeros: bool = False) -> torch.Tensor:
    """The tensor (..., Z, Y, X) with at least `smallest` voxels; as is where it fits.

    Mirrored, or with zeros around it; `margin` tells how many are in front.
    """
    if zeros:
        missing = [max(0, n - m) for n, m in zip(smallest, tensor.shape[-3:], strict=True)]
        sides = [side for gap in reversed(missing) for side in (gap // 2, gap - gap // 2)]
        return F.pad(tensor, sides) if any(missing) else tensor
    for axis, wanted in enumerate(smallest, start=-3):
        if tensor.shape[axis] < wanted:
            index = torch.from_numpy(mirror_indices(tensor.shape[axis], wanted))
            tensor = tensor.index_select(axis, index.to(tensor.device))
    return tensor
