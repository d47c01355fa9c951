"""The grey values that show a scan well at first sight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.volume import Volume

SOFT_TISSUE = (-160.0, 240.0)  # HU: width 400, level 40, the reading room's habit
LUNG = (-1350.0, 150.0)  # HU: width 1500, level -600
AERATED = (-950.0, -600.0)  # HU of lung; bowel gas and room air lie lower
LUNG_SHARE = 0.08  # of all voxels: a chest has more, an abdomen with lung bases less
AIR_HU, BONE_HU = -900.0, 250.0
PERCENTILES = (0.5, 99.5)
SAMPLE = 1_000_000  # voxels are enough for a percentile


def window_of(volume: Volume) -> tuple[float, float]:
    """(low, high): the file's own window, else a CT window, else robust percentiles."""
    if volume.window is not None and volume.window[0] < volume.window[1]:
        return float(volume.window[0]), float(volume.window[1])
    values = _sample(volume.array)
    return _ct_window(values) if is_ct(volume) else _robust(values)


def is_ct(volume: Volume) -> bool:
    """Whether values are Hounsfield units, also where the file does not say so."""
    return (
        volume.modality == "CT" or volume.unit == "HU" or _is_like_ct(volume, _sample(volume.array))
    )


def percentiles(volume: Volume, pairs: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """(low, high) at each pair of percentiles of what is not padding."""
    values = _without_padding(_sample(volume.array))
    if values.size == 0:
        return []
    found = np.percentile(values, np.ravel(pairs)).reshape(-1, 2)
    return [(float(low), float(high)) for low, high in found]


def full_range(array: npt.NDArray[Any]) -> tuple[float, float]:
    """Smallest and largest finite value, of a sample; (0, 1) if there is none."""
    values = _sample(array)
    if values.size == 0 or values.min() == values.max():
        low = float(values[0]) if values.size else 0.0
        return low, low + 1.0
    return float(values.min()), float(values.max())


def _sample(array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    step = max(1, array.size // SAMPLE) | 1  # odd: must not walk down one column
    values = array.reshape(-1)[::step].astype(np.float64)
    return np.asarray(values[np.isfinite(values)])


def _is_like_ct(volume: Volume, values: npt.NDArray[np.float64]) -> bool:
    """Files that do not say so: whole numbers with air below and bone above water."""
    if volume.modality or volume.unit or volume.array.dtype.kind != "i" or values.size == 0:
        return False
    low, high = np.percentile(values, (1, 99.9))
    return bool(low <= AIR_HU and BONE_HU <= high <= 4096 and values.min() >= -4096)


def _ct_window(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    aerated = (values > AERATED[0]) & (values < AERATED[1])
    return LUNG if values.size and aerated.mean() > LUNG_SHARE else SOFT_TISSUE


def _robust(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Percentiles of what is not padding."""
    values = _without_padding(values)
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, PERCENTILES))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low, low + 1.0)


def _without_padding(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Leave out the lowest value where it is common and stands alone, such as -32768 or 0."""
    if values.size == 0:
        return values
    rest = values[values > values.min()]
    return rest if rest.size and rest.size < 0.98 * values.size else values
