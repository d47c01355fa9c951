"""What is under the cursor, in words: the value with its unit, the structure, the place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import Volume
from napari_medseg.widgets.contrast import is_ct
from napari_medseg.widgets.look import words

if TYPE_CHECKING:
    from napari_medseg.workbench import Case

CHANCES = Mapping[int, npt.NDArray[np.floating[Any]]]
SEEN = 0.01  # a structure that is less probable than this is not worth a word


def reading(case: Case, voxel: tuple[int, int, int], chances: CHANCES, unit: str = "") -> str:
    """ "−87 HU · liver 93 % · L 34.2  A 12.0  S 105.5 mm"; "" outside of the scan."""
    shape = case.labels.shape
    if not all(0 <= index < count for index, count in zip(voxel, shape, strict=True)):
        return ""
    place = words(case.volume.geometry.world([voxel])[0])
    parts = [values(case, voxel, unit), structure(case, voxel, chances), place]
    return "   ·   ".join(part for part in parts if part)


def unit_of(volume: Volume) -> str:
    """The unit that the file says, or that its values give away."""
    return volume.unit or ("HU" if is_ct(volume) else "")


def values(case: Case, voxel: tuple[int, int, int], unit: str) -> str:
    """The grey values there, of all channels, with their unit."""
    volume = case.volume
    here = np.atleast_1d(volume.array[(..., *voxel)])
    told = ", ".join(_number(float(value), volume.array.dtype.kind == "f") for value in here)
    return f"{told} {unit}".strip()


def structure(case: Case, voxel: tuple[int, int, int], chances: CHANCES) -> str:
    """The structure there, and how sure a model was; on background the likeliest one."""
    value = int(case.labels[voxel])
    names = {one.value: one.name for one in case.names}
    if not value and chances:
        likely = max(chances, key=lambda key: float(chances[key][voxel]))
        chance = float(chances[likely][voxel])
        return f"background ({names.get(likely, likely)} {chance:.0%})" if chance >= SEEN else ""
    if not value:
        return ""
    name = names.get(value, f"label {value}")
    return f"{name} {float(chances[value][voxel]):.0%}" if value in chances else name


def _number(value: float, fine: bool) -> str:
    if fine and abs(value) < 100:
        return f"{value:.2f}".replace("-", "−")
    return f"{value:.0f}".replace("-", "−")
