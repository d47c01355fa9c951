"""Scans and masks as values; they carry no file, no plot and no history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import GridError, InputError
from napari_medseg.volume.geometry import Geometry

WIDEST_HISTOGRAM = 1 << 17
COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Label:
    """One structure: its number in the mask, its name and its colour as "#rrggbb"."""

    value: int
    name: str
    color: str = "#e6194b"


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan.

    Attributes
    ----------
    array
        Shape (Z, Y, X) or (C, Z, Y, X), any real dtype in native byte order, in `unit`.
        A 2-D image is a stack of one slice.
    geometry
        The grid of (Z, Y, X), as the file stores it.
    name
        What a user may see: a file's stem or a series description, never a patient's name.
    modality
        DICOM's word: "CT", "MR", "PT", "US", "OT"; "" where the file does not say.
    unit
        "HU", "SUV", "Bq/ml" …; "" where the file does not say.
    channels
        One name per channel, `COLOURS` for a colour picture; empty for a scan of one.
    warnings
        One sentence each for what the user should know about this file.
    window
        (low, high) in `unit` that shows the scan well, where the file says; else None.
    inverted
        Whether low values are white (DICOM's MONOCHROME1).
    header
        What the file's format needs to write a mask back the same way; only `io` looks inside.
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    name: str = ""
    modality: str = ""
    unit: str = ""
    channels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    window: tuple[float, float] | None = None
    inverted: bool = False
    header: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4) or self.array.shape[-3:] != self.geometry.shape:
            raise GridError(
                f"a volume must be (Z, Y, X) or (C, Z, Y, X) on its grid, "
                f"got {self.array.shape} for a grid of {self.geometry.shape}",
                self.name,
            )

    @property
    def n_channels(self) -> int:
        return 1 if self.array.ndim == 3 else int(self.array.shape[0])

    def in_colour(self) -> Volume:
        """A scan of one channel as a colour picture, which is grey; one of several as it is."""
        if self.n_channels > 1:
            return self
        array = np.broadcast_to(self.array, (3, *self.geometry.shape))
        return replace(self, array=array, channels=COLOURS)

    def channel(self, number: int) -> Volume:
        """One channel as a (Z, Y, X) volume."""
        if not 0 <= number < self.n_channels:
            raise InputError(
                f"channel must be 0 to {self.n_channels - 1}, got {number}; choose another",
                self.name,
            )
        if self.array.ndim == 3:
            return self
        names = self.channels[number : number + 1]
        return replace(self, array=self.array[number], channels=names)


@dataclass(frozen=True, eq=False)
class Mask:
    """Label numbers on a grid.

    Attributes
    ----------
    labels
        Shape (Z, Y, X), unsigned integer; 0 is background.
    geometry
        Its grid.
    names
        The structures, where they are known.
    header
        As `Volume.header`.
    """

    labels: npt.NDArray[np.unsignedinteger[Any]]
    geometry: Geometry
    names: tuple[Label, ...] = ()
    warnings: tuple[str, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.labels.shape != self.geometry.shape:
            raise GridError(
                f"a mask must be (Z, Y, X) on its grid, got {self.labels.shape} "
                f"for a grid of {self.geometry.shape}"
            )
        if self.labels.dtype.kind != "u":
            raise InputError(f"a mask must hold unsigned integers, got {self.labels.dtype}")

    def values(self) -> tuple[int, ...]:
        """The label numbers that occur, background left out."""
        return tuple(value for value in label_counts(self.labels) if value != 0)


def label_counts(numbers: npt.NDArray[np.integer[Any]]) -> dict[int, int]:
    """How many voxels each whole number has, in rising order.

    `numpy.unique` would sort: 10 s for a CT. Slice by slice a histogram takes 0.2 s.
    """
    if numbers.size == 0:
        return {}
    low, high = int(numbers.min()), int(numbers.max())
    if high - low > WIDEST_HISTOGRAM:
        values, counts = np.unique(numbers, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))
    total = np.zeros(high - low + 1, np.int64)
    for part in numbers:
        wide = part.ravel() if numbers.dtype.kind == "u" else part.ravel().astype(np.int64)
        shifted = wide if low == 0 else wide - wide.dtype.type(low)
        total += np.bincount(shifted.astype(np.int64, copy=False), minlength=len(total))
    return {low + int(i): int(total[i]) for i in np.flatnonzero(total)}
