"""Labels of a small box of a scan as labels of the network's grid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.preprocess.nnunet import Box
from napari_medseg.preprocess.prepare import IGNORE, present
from napari_medseg.volume import Geometry

WHOLE = 0.99  # of a voxel: so much of it must lie in the box for "nobody knows" to count there
Floats = npt.NDArray[np.float32]


def put(
    target: torch.Tensor, grid: Geometry, outputs: npt.NDArray[np.uint8], box: Box, scan: Geometry
) -> Box | None:
    """Write a box of a scan into a target, each voxel with the output that most of its part has.

    Where nobody knows any more (255), the target forgets too.

    Parameters
    ----------
    target
        uint8 (Z, Y, X) on `grid`; changed in place.
    outputs
        uint8 (z, y, x): numbers of network outputs, 255 where nobody knows.
    box
        Where they lie on `scan`, whose axes run as those of `grid`.

    Returns
    -------
    The box of `grid` that was looked at; None where the two do not meet.
    """
    shares = [_shares(scan, grid, axis, part) for axis, part in enumerate(box)]
    spans = [_touched(share) for share in shares]
    if any(span.start >= span.stop for span in spans):
        return None
    where = (spans[0], spans[1], spans[2])
    rows = [torch.from_numpy(share[span]) for share, span in zip(shares, spans, strict=True)]
    said = torch.from_numpy(np.ascontiguousarray(outputs))
    best = torch.zeros([len(row) for row in rows])
    winner = torch.full(best.shape, IGNORE, dtype=torch.uint8)
    for output in present(said):
        share = _summed((said == output).float(), rows)
        ahead = share > best
        winner[ahead] = output
        best = torch.maximum(best, share)
    inside = _summed(torch.ones(said.shape), rows) >= WHOLE
    part = target[where]
    part[...] = torch.where((best > 0) | inside, winner, part)
    return where


def _summed(values: torch.Tensor, rows: list[torch.Tensor]) -> torch.Tensor:
    """How much of each new voxel old voxels of these values take."""
    return torch.einsum("zyx,az,by,cx->abc", values, *rows)


def _shares(scan: Geometry, grid: Geometry, axis: int, part: slice) -> Floats:
    """(new, old): how much of each voxel of the grid each voxel of a span of the scan takes."""
    ends = np.zeros((2, 3))
    ends[1, axis] = 1
    first, second = grid.index(scan.world(ends))[:, axis]
    step = second - first
    low = first + step * (np.arange(part.start, part.stop) - 0.5)
    new = np.arange(grid.shape[axis])[:, None]
    common = np.minimum(low + step, new + 0.5) - np.maximum(low, new - 0.5)
    return np.asarray(np.clip(common, 0, None), np.float32)


def _touched(share: Floats) -> slice:
    rows = np.flatnonzero(share.any(1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
