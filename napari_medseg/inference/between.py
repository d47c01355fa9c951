"""Labels of points that lie between voxels of two labels, without interpolating all logits.

Of many labels nearly all have no chance there. Let a and b be the labels of the voxels around a
point. At each voxel no third label is above the largest logit but those of a and b, so at the point
none is above the interpolation of these. Where a or b is above that, one of them has the point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

VOXELS_AT_ONCE = 1 << 15  # whose second largest logits are found together
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
        total.addcmul_(_columns(flat, index), share)
    return total


def between(
    flat: torch.Tensor,
    here: torch.Tensor,
    corners: Corners,
    pair: Pair,
    winners: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Number of the largest interpolated logit, int16 (N,); exactly that of interpolating all.

    Parameters
    ----------
    flat
        Logits (L, V) of all voxels.
    here
        int16 (V,): the largest of each.
    pair
        int16 (N,) twice: the smallest and the largest number among the eight voxels.
    winners
        Decides from all interpolated logits (L, N), for the points where others have a chance.
    """
    first, second = pair
    one, two = _of(flat, first, corners), _of(flat, second, corners)
    label = torch.where(two > one, second, first)
    best, limit = torch.maximum(one, two), _others(flat, here, corners, pair)
    open_points = (best - limit <= ROUNDING * (best.abs() + limit.abs())).nonzero()[:, 0]
    if len(open_points):
        some = Corners(corners.index[:, open_points], corners.share[:, open_points])
        label[open_points] = winners(interpolated(flat, some))
    return label


def _of(flat: torch.Tensor, label: torch.Tensor, corners: Corners) -> torch.Tensor:
    """The interpolated logit of one label a point, (N,)."""
    row, column = flat.stride()
    length = (len(flat) - 1) * row + (flat.shape[1] - 1) * column + 1
    values = flat.as_strided((length,), (1,))  # never a copy
    start = label.long() * row
    total = torch.zeros(len(label), device=flat.device)
    for index, share in zip(corners.index, corners.share, strict=True):
        total.addcmul_(values[start + index * column], share)
    return total


def _others(
    flat: torch.Tensor,
    here: torch.Tensor,
    corners: Corners,
    pair: tuple[torch.Tensor, torch.Tensor],
) -> torch.Tensor:
    """What no label but the two of a point can be above, (N,)."""
    used = torch.zeros(flat.shape[1], dtype=torch.bool, device=flat.device)
    used[corners.index.reshape(-1)] = True
    largest, second = _two_largest(flat, here, used.nonzero()[:, 0])
    total = torch.zeros(corners.index.shape[1], device=flat.device)
    for index, share in zip(corners.index, corners.share, strict=True):
        label = here[index]
        own = (label == pair[0]) | (label == pair[1])
        total.addcmul_(torch.where(own, second[index], largest[index]), share)
    return total


def _two_largest(
    flat: torch.Tensor, here: torch.Tensor, voxels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest logit of each of these voxels, and the largest but that one, (V,)."""
    largest, second = torch.empty(2, flat.shape[1], device=flat.device)
    for start in range(0, len(voxels), VOXELS_AT_ONCE):
        some = voxels[start : start + VOXELS_AT_ONCE]
        values = _columns(flat, some)
        best = here[some].long()[None]
        largest[some] = values.gather(0, best)[0]
        second[some] = values.scatter_(0, best, -torch.inf).amax(0)
    return largest, second


def _columns(flat: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """(L, N) of (L, V), whose rows may lie apart: index_select would copy them all first."""
    return flat.gather(1, index[None].expand(len(flat), -1))
