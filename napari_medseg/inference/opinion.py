"""What a model thinks of its own mask; read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.active.signs import Signs


@dataclass(frozen=True, eq=False)
class Opinion:
    """The signs of a mask, and where it is probably wrong, on the scan's own grid.

    Attributes
    ----------
    signs
        By label value; a label that was not found has none.
    start
        (Z, Y, X) index of the first voxel of the box that holds all there is to say.
    labels, wrong
        In that box: the mask, and float16 in [0, 1], how likely it is wrong.
    """

    signs: Mapping[int, Signs]
    start: tuple[int, int, int]
    labels: npt.NDArray[np.unsignedinteger[Any]]
    wrong: npt.NDArray[np.float16]
