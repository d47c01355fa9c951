"""MetaImage: .mha, or .mhd with its data beside it.

A parser of our own: the format is a few "key = value" lines and a zlib stream, while ITK's reader
zero-fills what is missing and follows a data file anywhere on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from napari_medseg.errors import ReadError
from napari_medseg.io import guard
from napari_medseg.io.nifti import native
from napari_medseg.volume import Geometry, Volume

LONGEST_HEADER = 1 << 16
DTYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # MetaIO fixed it at 32 bits
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
TYPES = {code: name for name, code in reversed(DTYPES.items())}


def read(path: Path) -> Volume:
    """A MetaImage as it is stored."""
    with guard.refusing(path):
        fields, start = _fields(path)
        sizes = [int(word) for word in fields["DimSize"].split()]
        channels = int(fields.get("ElementNumberOfChannels", "1"))
        if len(sizes) not in (2, 3, 4) or min(*sizes, channels) < 1:
            raise ReadError(f"must have two to four sizes of one or more, got {sizes}", path.name)
        geometry, notes = _geometry(fields, sizes, path)
        flat = _voxels(fields, path, start, int(np.prod([*sizes, channels], dtype=object)))
    array = np.moveaxis(flat.reshape(*sizes[::-1], channels), -1, 0)
    array = array.reshape(-1, *geometry.shape)  # (C, Z, Y, X), times of a 4-D file as channels
    n = array.shape[0]
    if n > 1:
        notes.append(f"4-D: its {n} volumes are shown as channels")
    return Volume(
        np.ascontiguousarray(array if n > 1 else array[0]),
        geometry,
        channels=tuple(f"channel {i}" for i in range(n)) if n > 1 else (),
        warnings=tuple(notes),
        header={"format": "metaimage"},
    )


def _fields(path: Path) -> tuple[dict[str, str], int]:
    """The header, and where it ends; its last field names the data."""
    with path.open("rb") as stream:
        text = stream.read(LONGEST_HEADER)
    fields: dict[str, str] = {}
    start = 0
    while "ElementDataFile" not in fields:
        end = text.find(b"\n", start)
        key, equals, value = text[start : end if end >= 0 else len(text)].partition(b"=")
        if not equals:
            raise ReadError("must be a MetaImage header, got something else", path.name)
        fields[key.decode("ascii", "replace").strip()] = value.decode("utf-8", "replace").strip()
        start = end + 1 if end >= 0 else len(text)
    return fields, start


def _geometry(fields: dict[str, str], sizes: list[int], path: Path) -> tuple[Geometry, list[str]]:
    ndim, notes = len(sizes), []
    spacing = _numbers(fields, ("ElementSpacing", "ElementSize"), ndim)
    if spacing is None or not (np.isfinite(spacing) & (spacing > 0)).all():
        notes.append("the voxel size is unknown: 1 mm was assumed, do not trust mm and ml")
        spacing = np.ones(ndim)
    axes = _numbers(fields, ("TransformMatrix", "Rotation", "Orientation"), ndim * ndim)
    if axes is None:
        notes.append("the orientation is unknown (no matrix): left and right may be swapped")
        axes = np.eye(ndim).ravel()
    origin = _numbers(fields, ("Offset", "Position", "Origin"), ndim)
    columns = axes.reshape(ndim, ndim).T * spacing  # MetaIO writes each axis' direction as a row
    n = min(ndim, 3)
    affine = np.eye(4)
    affine[:n, :n] = columns[:n, :n]
    affine[:n, 3] = np.zeros(n) if origin is None else origin[:n]
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
        raise ReadError("must have a matrix that spans space, got a broken one", path.name)
    shape = [*sizes, 1][:3][::-1]
    return Geometry((shape[0], shape[1], shape[2]), affine), notes


def _numbers(
    fields: dict[str, str], keys: tuple[str, ...], count: int
) -> npt.NDArray[np.float64] | None:
    """The first of several synonymous fields that is there."""
    for key in keys:
        if key in fields:
            numbers = np.array([float(word) for word in fields[key].split()])
            return numbers if numbers.size == count else None
    return None


def _voxels(fields: dict[str, str], path: Path, start: int, count: int) -> npt.NDArray[Any]:
    """The stored numbers, flat, native byte order."""
    code = DTYPES.get(fields["ElementType"].removesuffix("_ARRAY"))
    if code is None or not _true(fields, "BinaryData", default=True):
        raise ReadError(
            f"must be binary with a number type, got {fields['ElementType'][:30]}", path.name
        )
    big = _true(fields, "BinaryDataByteOrderMSB") or _true(fields, "ElementByteOrderMSB")
    dtype = np.dtype((">" if big else "<") + code)
    data, name = path, fields["ElementDataFile"]
    if name.upper() not in ("LOCAL", "LIST") and "%" not in name:
        data, start = guard.beside(path, name), 0
    elif name.upper() != "LOCAL":
        raise ReadError("must have its data in one file, got a list of files", path.name)
    want, skip = count * dtype.itemsize, int(fields.get("HeaderSize", "0"))
    if skip < 0:
        start, skip = data.stat().st_size - want, 0
    if start < 0:
        raise guard.truncated(path, start + want, want)
    packing = "zlib" if _true(fields, "CompressedData") else ""
    return native(guard.payload(data, want, skip, start, packing).view(dtype))


def _true(fields: dict[str, str], key: str, default: bool = False) -> bool:
    return fields.get(key, str(default)).lower() in ("true", "1", "t")


def write(
    stream: BinaryIO, array: npt.NDArray[Any], geometry: Geometry, header: Mapping[str, Any]
) -> None:
    """Write an array (Z, Y, X) or (C, Z, Y, X), zlib-packed; channels are interleaved."""
    n_channels = array.shape[0] if array.ndim == 4 else 1
    pixels = np.moveaxis(array, 0, -1) if array.ndim == 4 else array
    little = np.ascontiguousarray(pixels, dtype=array.dtype.newbyteorder("<"))
    packed = isal_zlib.compress(guard.as_bytes(little), 1)
    spacing = np.array(geometry.spacing_mm[::-1])
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = True",
        f"CompressedDataSize = {len(packed)}",
        f"TransformMatrix = {_words((geometry.affine[:3, :3] / spacing).T.ravel())}",
        f"Offset = {_words(geometry.affine[:3, 3])}",
        f"ElementSpacing = {_words(spacing)}",
        f"DimSize = {' '.join(str(n) for n in geometry.shape[::-1])}",
        *([f"ElementNumberOfChannels = {n_channels}"] if n_channels > 1 else []),
        f"ElementType = {TYPES[f'{array.dtype.kind}{array.dtype.itemsize}']}",
        "ElementDataFile = LOCAL",
        "",
    ]
    stream.write("\n".join(lines).encode("ascii") + packed)


def _words(numbers: npt.NDArray[np.float64]) -> str:
    return " ".join(repr(float(number)) for number in numbers)
