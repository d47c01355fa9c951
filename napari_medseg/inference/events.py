"""What a running prediction tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import Mask


@dataclass(frozen=True)
class LookAt:
    """What may be sent to a running prediction: the slice (axis, index) that is looked at now.

    `axis` is 0 Z, 1 Y or 2 X of the scan's own grid. Tiles that are left are taken in its order.
    """

    axis: int
    index: int


@dataclass(frozen=True, eq=False)
class BoxDone:
    """A piece of the mask on the scan's own grid; a later box may refine an earlier one.

    `start` is the (Z, Y, X) index of its first voxel, `labels` its mask values. After a `preview`
    a better answer for the same voxels follows.
    """

    start: tuple[int, int, int]
    labels: npt.NDArray[np.unsignedinteger[Any]]
    preview: bool = False

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        z, y, x = (slice(a, a + n) for a, n in zip(self.start, self.labels.shape, strict=True))
        return z, y, x


@dataclass(frozen=True, eq=False)
class Prediction:
    """A finished prediction.

    `softmax` is float16 (L, Z, Y, X) with background first, if it was asked for. `how` tells the
    engine, which parts were computed and in how many tiles.
    """

    mask: Mask
    device: str
    seconds: float
    softmax: npt.NDArray[np.float16] | None = None
    how: str = ""
