"""Colours of a proposal that no structure of the case has nearly."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2lab

from napari_medseg.correction.tools.tool import ADDED, OTHER, REMOVED
from napari_medseg.volume import Label

FIRST = {ADDED: "#35e0d8", REMOVED: "#ff4d4d", OTHER: "#ffd23f"}  # turquoise, red, yellow
OTHERS = ("#8cff3d", "#ff5cf4", "#5c7cff", "#ff9a3d", "#ffffff")
FAR = 40.0  # CIE76; less is hard to tell apart where one lies on the other
CLEAR = "#00000000"


def preview_colors(names: Iterable[Label]) -> dict[int | None, str]:
    """The usual colour of each kind of change, or the next that stands out from all structures."""
    taken = [label.color[:7] for label in names if label.value]
    colors: dict[int | None, str] = {None: CLEAR, 0: CLEAR}
    for kind, usual in FIRST.items():
        free = [one for one in (usual, *OTHERS) if one not in colors.values()]
        distances = [_nearest(one, taken) for one in free]
        good = [one for one, far in zip(free, distances, strict=True) if far >= FAR]
        colors[kind] = good[0] if good else free[int(np.argmax(distances))]
    return colors


def _nearest(color: str, others: Iterable[str]) -> float:
    own = _lab(color)
    return min((float(np.linalg.norm(own - _lab(one))) for one in others), default=np.inf)


def _lab(color: str) -> npt.NDArray[np.float64]:
    rgb = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return np.asarray(rgb2lab(np.array(rgb)[None, None])[0, 0], np.float64)
