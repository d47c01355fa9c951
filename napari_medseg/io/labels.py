"""Whether numbers are labels, and as which type a mask keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import ReadError
from napari_medseg.volume.volume import label_counts

IGNORE = 255  # voxels of this value teach nothing
ROUNDING = 1e-3  # other tools' interpolation leaves 1.9999 for 2
MOST_LABELS = 64  # an image with fewer distinct whole numbers is taken for a mask
STRAY_SHARE = 1e-3  # of the labelled voxels: less is a slip, not a structure
SAMPLE = 1 << 16
MOST_COUNTED = 65535


def as_labels(
    array: npt.NDArray[Any], name: str
) -> tuple[npt.NDArray[np.unsignedinteger[Any]], list[str]]:
    """Whole numbers as the smallest unsigned type, and notes; -1 becomes `IGNORE`.

    Raises
    ------
    ReadError
        The numbers are not labels.
    """
    whole = _whole(array, name)
    low, high = int(whole.min()), int(whole.max())
    if low < -1:
        raise ReadError(f"a mask must hold labels from 0, got {low}; is this an image?", name)
    numbers = label_counts(whole)
    notes = _stray(numbers)
    if low == -1:
        told = _voxels(numbers[-1])
        notes.append(f"{told} of -1 are read as {IGNORE}: ignore, they teach nothing")
        whole = np.where(whole == -1, IGNORE, whole)
        high = max(high, IGNORE)
    return whole.astype(np.min_scalar_type(high), copy=False), notes


def _whole(array: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    if array.dtype.kind in "iu":
        return array
    if not np.isfinite(array).all():
        raise ReadError(
            "a mask must hold labels, got NaN or infinite numbers; clean it first", name
        )
    whole = np.rint(array)
    if np.abs(array - whole).max() > ROUNDING:
        if array.min() >= 0 and array.max() <= 1:
            raise ReadError(
                "a mask must hold whole numbers, got a probability map (0..1); threshold it first",
                name,
            )
        raise ReadError("a mask must hold whole numbers, got fractions; is this an image?", name)
    if np.abs(whole).max() > 2**53:
        raise ReadError("a mask must hold labels, got numbers beyond any label", name)
    return np.asarray(whole, dtype=np.int64)


def doubts(array: npt.NDArray[Any]) -> list[str]:
    """What should be said about an image file whose voxels look like labels; mostly nothing."""
    if array.ndim != 3 or array.size == 0:
        return []
    sample = array.reshape(-1)[:: max(1, array.size // SAMPLE)]
    if not np.isfinite(sample).all():
        return []
    if (np.rint(sample) != sample).any():
        return _probability(array)
    low, high = float(array.min()), float(array.max())
    if np.unique(sample).size > MOST_LABELS or not -1 <= low <= high <= MOST_COUNTED:
        return []
    if array.dtype.kind == "f" and (np.rint(array) != array).any():
        return []
    numbers = label_counts(array.astype(np.int32) if array.dtype.kind == "f" else array)
    if len(numbers) > MOST_LABELS:
        return []
    found = _stray(numbers)
    if low == -1 and high <= IGNORE:
        told = _voxels(numbers[-1])
        found.append(f"{told} of -1: as a mask they are read as {IGNORE} (ignore)")
    return found


def _probability(array: npt.NDArray[Any]) -> list[str]:
    low, high = float(array.min()), float(array.max())
    if low == 0 and 0.5 < high <= 1:
        return ["its values run from 0 to 1: a probability map is no mask, threshold it first"]
    return []


def _stray(numbers: dict[int, int]) -> list[str]:
    """A sentence where 255 stands alone in a few voxels."""
    n_stray = numbers.get(IGNORE, 0)
    others = {value: n for value, n in numbers.items() if value > 0 and value != IGNORE}
    lonely = max(others, default=0) < IGNORE - 1
    if 0 < n_stray <= max(1, STRAY_SHARE * sum(others.values())) and lonely:
        return [f"label {IGNORE} is in {_voxels(n_stray)} only: a slip, or the ignore value?"]
    return []


def _voxels(n: int) -> str:
    return f"{n} voxel" if n == 1 else f"{n} voxels"
