"""From stored pixels to HU, SUV or raw numbers on the stack's grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import ReadError, WorkerDied
from napari_medseg.io import guard
from napari_medseg.io.decode import frames_of
from napari_medseg.io.dicom_header import Frame, Header
from napari_medseg.io.dicom_stack import Layout
from napari_medseg.jobs import apart, finish

CT_OFFSET = 8192  # scanners store HU + 1000, 1024 or 8192, and values of 12 or 13 bits

Stored = dict[Path, npt.NDArray[Any]]


def dtype_of(frames: Sequence[Frame]) -> np.dtype[Any]:
    """The type that the values will most likely have: the stored one, int16, int32 or float32."""
    header = frames[0].header
    scales = {(one.plane.slope, one.plane.intercept) for one in frames}
    stored = np.dtype(header.dtype)
    if stored.kind == "f" or (scales == {(1.0, 0.0)} and header.suv_factor is None):
        return stored
    slope, intercept = next(iter(scales))
    whole = slope == int(slope) and intercept == int(intercept)
    if len(scales) > 1 or header.suv_factor is not None or not whole or stored.itemsize > 2:
        return np.dtype(np.float32)
    usual = slope == 1 and abs(intercept) <= CT_OFFSET
    return np.dtype(np.int16 if usual else np.int32)


def _room_for(stored: Stored, frames: Sequence[Frame], dtype: np.dtype[Any]) -> np.dtype[Any]:
    """int32 where the rescaled numbers, against what is usual, do not fit into int16."""
    plane, small = frames[0].plane, np.iinfo(np.int16)
    if dtype != np.int16 or (plane.slope, plane.intercept) == (1.0, 0.0):
        return dtype
    low = min(int(picture.min()) for picture in stored.values()) + plane.intercept
    high = max(int(picture.max()) for picture in stored.values()) + plane.intercept
    return dtype if small.min <= low and high <= small.max else np.dtype(np.int32)


def values(layout: Layout, name: str) -> npt.NDArray[Any]:
    """(Z, Y, X), or (C, Z, Y, X) for several channels, rescaled slice by slice."""
    frames = [one for channel in layout.channels for one in channel]
    dtype = dtype_of(frames)
    shape = (len(layout.channels), len(layout.channels[0]), *layout.geometry.shape[1:])
    want = int(np.prod(shape, dtype=object)) * dtype.itemsize
    n_most = max(shape[1], layout.geometry.shape[0])  # interpolation may add slices
    guard.check_size(frames[0].header.path, want // shape[1] * n_most, 1 << 62)
    stored = _stored([one.header for one in frames], want)
    dtype = _room_for(stored, frames, dtype)
    array = np.empty(shape, dtype)
    for c, channel in enumerate(layout.channels):
        for z, one in enumerate(channel):
            array[c, z] = _rescaled(_picture(stored, one, shape[2:]), one, dtype)
    if layout.at is not None:
        array = np.stack([_interpolated(channel, layout.at) for channel in array])
    return array if len(array) > 1 else array[0]


def _stored(headers: list[Header], want: int) -> Stored:
    """The stored pictures of each file; compressed ones are decoded in a child process."""
    files = {header.path: header for header in headers}
    packed = [path for path, header in files.items() if header.compressed]
    stored: Stored = {path: frames_of(path) for path in files if path not in set(packed)}
    if packed:
        try:
            job = apart("napari_medseg.io.decode:decode", [str(path) for path in packed], want)
            pictures = finish(job)
        except WorkerDied as error:
            name = packed[0].name if len(packed) == 1 else packed[0].parent.name
            raise ReadError(
                "its compressed pixels must be decodable, the decoder crashed or hung: "
                "a damaged file; copy or export it again",
                name,
            ) from error
        counts = [len(files[path].planes) for path in packed]
        parts = np.split(pictures, np.cumsum(counts)[:-1])
        stored.update(zip(packed, parts, strict=True))
    return stored


def _picture(stored: Stored, one: Frame, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    pictures = stored[one.header.path]
    if one.index >= len(pictures) or pictures.shape[1:] != shape:
        raise ReadError(
            f"must hold pictures of {shape}, got {pictures.shape}: a damaged file",
            one.header.path.name,
        )
    return np.asarray(pictures[one.index])


def _rescaled(picture: npt.NDArray[Any], one: Frame, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Stored numbers times the slice's own slope plus intercept (PET has one per slice)."""
    plane, factor = one.plane, one.header.suv_factor
    if (plane.slope, plane.intercept) == (1.0, 0.0) and factor is None:
        return picture.astype(dtype, copy=False)
    wide = np.int64 if dtype.kind == "i" else np.float64
    scaled = picture.astype(wide) * wide(plane.slope) + wide(plane.intercept)
    return np.asarray((scaled if factor is None else scaled * factor).astype(dtype))


def _interpolated(slices: npt.NDArray[Any], at: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Slices (Z, Y, X) at fractional places, linear; whole places are exact copies."""
    result = np.empty((len(at), *slices.shape[1:]), slices.dtype)
    for z, place in enumerate(at):
        low = int(place)
        weight = np.float32(place - low)
        if weight == 0:
            result[z] = slices[low]
            continue
        mixed = slices[low] * (1 - weight) + slices[low + 1] * weight
        result[z] = np.rint(mixed) if slices.dtype.kind in "iu" else mixed
    return result
