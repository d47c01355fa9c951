"""Labels of points that lie between voxels of two labels, without interpolating all logits.

Of many labels nearly all have no chance there. Let a and b be the labels of the voxels around a
point. At each voxel no third label is above the largest logit but those of a and b, so at the point
none is above the interpolation of these. Where a or b is above that, one of them has the point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from napari_medseg.inference.largest import columns, pick, winners

ROUNDING = 1e-5  # of the values that are compared

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Corners:
    """The eight voxels around N points.

    Attributes
    ----------
    index
        int64 (8, N): their place in the flat grid.
    share
        float32 (8, N): how much each counts; they sum to one.
    """

    index: torch.Tensor
    share: torch.Tensor


def interpolated(flat: torch.Tensor, corners: Corners) -> torch.Tensor:
    """Logits (L, N) at the points, of (L, V)."""
    total = torch.zeros(len(flat), corners.index.shape[1], device=flat.device)
    for index, share in zip(corners.index, corners.share, strict=True):
        total.addcmul_(columns(flat, index), share)
    return total


def between(
    flat: torch.Tensor, here: torch.Tensor, two: torch.Tensor, corners: Corners, pair: Pair
) -> torch.Tensor:
    """Number of the largest interpolated logit, int16 (N,); exactly that of interpolating all.

    Parameters
    ----------
    flat
        Logits (L, V) of all voxels.
    here
        int16 (V,): the largest of each.
    two
        float32 (2, V): the largest logit, and the largest but that one; known for the corners.
    pair
        int16 (N,) twice: the smallest and the largest number around the point.
    """
    first, second = pair
    one, other = _of(flat, first, corners), _of(flat, second, corners)
    label = torch.where(other > one, second, first)
    best, limit = torch.maximum(one, other), _others(here, two, corners, pair)
    open_points = (best - limit <= ROUNDING * (best.abs() + limit.abs())).nonzero()[:, 0]
    if len(open_points):
        some = Corners(corners.index[:, open_points], corners.share[:, open_points])
        label[open_points] = winners(interpolated(flat, some))
    return label


def _of(flat: torch.Tensor, label: torch.Tensor, corners: Corners) -> torch.Tensor:
    """The interpolated logit of one label a point, (N,)."""
    label, total = label.long(), torch.zeros(len(label), device=flat.device)
    for index, share in zip(corners.index, corners.share, strict=True):
        total.addcmul_(pick(flat, label, index), share)
    return total


def _others(here: torch.Tensor, two: torch.Tensor, corners: Corners, pair: Pair) -> torch.Tensor:
    """What no label but the two of a point can be above, (N,)."""
    total = torch.zeros(corners.index.shape[1], device=two.device)
    for index, share in zip(corners.index, corners.share, strict=True):
        label = here.index_select(0, index)
        own = (label == pair[0]) | (label == pair[1])
        total.addcmul_(pick(two, own, index), share)
    return total
