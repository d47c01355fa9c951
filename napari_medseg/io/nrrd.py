"""NRRD: attached (.nrrd) or with its data in a file beside it (.nhdr).

pynrrd parses the header; the voxels come through `guard.payload`, for pynrrd inflates without a
bound (2 MB became 4 GB) and follows a data file anywhere on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from isal import igzip
from nrrd.errors import NRRDError
from nrrd.reader import read_header

from napari_medseg.errors import ReadError
from napari_medseg.io import guard
from napari_medseg.io.nifti import native
from napari_medseg.io.nrrd_space import grid
from napari_medseg.volume import Geometry, Volume

LONGEST_HEADER = 1 << 20
PACKINGS = {"raw": "", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2"}
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
DTYPES = {name: code for code, names in TYPES.items() for name in names}


def read(path: Path) -> Volume:
    """An NRRD as it is stored."""
    with guard.refusing(path, NRRDError):
        lines, start = _header_lines(path)
        header = read_header(iter(lines))
        sizes = [int(n) for n in header["sizes"]]
        if min(sizes) < 1 or len(sizes) != int(header["dimension"]):
            raise ReadError(f"must have sizes of one or more, got {sizes}", path.name)
        geometry, order, notes = grid(header, sizes, path)
        flat = _voxels(header, path, start, sizes)
    array = flat.reshape(sizes[::-1]).transpose(order).reshape(-1, *geometry.shape)
    n = array.shape[0]
    if n > 1:
        notes.append(f"4-D: its {n} volumes are shown as channels")
    return Volume(
        np.ascontiguousarray(array if n > 1 else array[0]),
        geometry,
        channels=tuple(f"channel {i}" for i in range(n)) if n > 1 else (),
        warnings=tuple(notes),
        header={"format": "nrrd", "labels": _segments(header)},
    )


def _header_lines(path: Path) -> tuple[list[str], int]:
    """The header's lines, and where the data begin."""
    with path.open("rb") as stream:
        text = stream.read(LONGEST_HEADER)
    if not text.startswith(b"NRRD"):
        raise ReadError("must be an NRRD file, got something else under its name", path.name)
    lines, start = [], 0
    while start < len(text):
        end = text.find(b"\n", start)
        line = text[start : end if end >= 0 else len(text)].rstrip(b"\r")
        start = end + 1 if end >= 0 else len(text)
        if not line:
            break
        lines.append(line.decode("utf-8", "replace"))
    return lines, start


def _voxels(header: Any, path: Path, start: int, sizes: list[int]) -> npt.NDArray[Any]:
    """The stored numbers, flat, native byte order."""
    code = DTYPES.get(str(header["type"]).lower())
    if code is None:
        raise ReadError(f"must have a number type, got {str(header['type'])[:30]}", path.name)
    data = path
    if named := header.get("data file", header.get("datafile")):
        data, start = guard.beside(path, str(named)), 0
    order = ">" if str(header.get("endian", "little")).lower() == "big" else "<"
    dtype = np.dtype(order + code)
    count = int(np.prod(sizes, dtype=object))
    encoding = str(header["encoding"]).lower()
    if encoding in ("text", "txt", "ascii"):
        return _from_text(data, start, count, dtype)
    if encoding not in PACKINGS or int(header.get("line skip", header.get("lineskip", 0))):
        raise ReadError(f"must be stored raw, gzip, bzip2 or text, got {encoding[:30]}", path.name)
    skip = int(header.get("byte skip", header.get("byteskip", 0)))
    want, packing = count * dtype.itemsize, PACKINGS[encoding]
    if skip < 0:
        start, skip = data.stat().st_size - want, 0
    if start < 0:
        raise guard.truncated(path, start + want, want)
    return native(guard.payload(data, want, skip, start, packing).view(dtype))


def _from_text(data: Path, start: int, count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    guard.check_size(data, count, data.stat().st_size - start)
    words = data.read_bytes()[start:].split()
    if len(words) < count:
        raise guard.truncated(data, len(words), count)
    return np.array(words[:count], dtype=float).astype(dtype.newbyteorder("="))


def _segments(header: Any) -> tuple[tuple[int, str, str], ...]:
    """(value, name, colour) of each segment that 3D Slicer declares in a .seg.nrrd."""
    found: list[tuple[int, str, str]] = []
    for i in range(1000):
        value = header.get(f"Segment{i}_LabelValue")
        if value is None:
            return tuple(found)
        rgb = [float(part) for part in str(header.get(f"Segment{i}_Color", "1 0 0")).split()[:3]]
        color = "#" + "".join(f"{round(255 * min(max(part, 0.0), 1.0)):02x}" for part in rgb)
        name = str(header.get(f"Segment{i}_Name", f"label {value}"))[:80]
        found.append((int(value), name, color if len(color) == 7 else "#e6194b"))
    return tuple(found)


def write(
    stream: BinaryIO, array: npt.NDArray[Any], geometry: Geometry, header: Mapping[str, Any]
) -> None:
    """Write an array (Z, Y, X) or (C, Z, Y, X), gzip-packed, in LPS."""
    directions = [_vector(column) for column in geometry.affine[:3, :3].T]
    kinds = ["domain"] * 3
    if array.ndim == 4:
        directions, kinds = [*directions, "none"], [*kinds, "list"]
    code = f"{array.dtype.kind}{array.dtype.itemsize}"
    lines = [
        "NRRD0004",
        f"type: {TYPES[code][-2] if code[0] != 'f' else TYPES[code][0]}",
        f"dimension: {array.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in array.shape[::-1])}",
        f"space directions: {' '.join(directions)}",
        f"kinds: {' '.join(kinds)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(geometry.affine[:3, 3])}",
        "",
        "",
    ]
    stream.write("\n".join(lines).encode("ascii"))
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    with igzip.IGzipFile(
        filename="", mode="wb", compresslevel=1, fileobj=stream, mtime=0
    ) as packed:
        packed.write(guard.as_bytes(little))


def _vector(numbers: npt.NDArray[np.float64]) -> str:
    return "(" + ",".join(repr(float(number)) for number in numbers) + ")"
