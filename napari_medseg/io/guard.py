"""What is checked before a byte of a stranger's file is believed.

Readers of other people's formats crash in many ways on broken files, allocate what a header
promises, and stop before the checksum. Here every voxel passes through `payload`, which compares
the promise with the file and the memory first, reads no more than that, and reads to the
checksum at the end.
"""

from __future__ import annotations

import bz2
import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import psutil
from isal import igzip, isal_zlib

from napari_medseg.errors import ReadError

DAMAGE: tuple[type[Exception], ...] = (  # seen by mutating files for these readers, 46 500 times
    OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    NotImplementedError, RuntimeError, MemoryError, AssertionError, struct.error, zlib.error,
    cast(type[Exception], isal_zlib.error),
)  # fmt: skip
MEMORY_SHARE = 0.5  # of what is free: a scan and one working copy must fit
DEFLATE_RATIO = 1100  # deflate cannot do better than 1032
TAIL_BYTES = 64 << 20  # more than this after the image is no honest padding
CHUNK_BYTES = 1 << 22


@contextmanager
def refusing(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Turn a foreign reader's exceptions into one `ReadError` that names the file."""
    try:
        yield
    except (*DAMAGE, *kinds) as error:
        raise ReadError(_reason(error), path.name) from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())[:90] or type(error).__name__
    if isinstance(error, EOFError):
        return "must be whole, got a truncated file (broken download or full disk?); copy it again"
    if isinstance(error, (gzip.BadGzipFile, zlib.error, DAMAGE[-1])):
        return f"must be undamaged, got a checksum or decompression error ({text}); copy it again"
    if isinstance(error, PermissionError):
        return "must be readable, got no permission; change its access rights"
    if isinstance(error, MemoryError):
        return "must fit into memory, got more than there is; close other programs or crop it"
    return f"must be a sound file of its format, got a damaged one ({text})"


def truncated(path: Path, got: int, want: int) -> ReadError:
    """The refusal of a file that ends too early."""
    return ReadError(
        f"must hold {want} bytes of voxels, got {got}: the file is truncated; copy it again",
        path.name,
    )


def check_size(path: Path, want: int, room: int) -> None:
    """Refuse what the file cannot hold or the memory cannot take, before allocating it.

    Parameters
    ----------
    want
        Bytes that the header promises.
    room
        Bytes that the file could hold at most, when unpacked.
    """
    if want > room:
        raise ReadError(
            f"must hold the {_size(want)} that its header promises, "
            f"got room for {_size(room)}: truncated or a wrong header",
            path.name,
        )
    budget = int(psutil.virtual_memory().available * MEMORY_SHARE)
    if want > budget:
        raise ReadError(
            f"must fit into {_size(budget)} of free memory, got {_size(want)}; "
            "close other programs or crop the scan",
            path.name,
        )


def _size(n_bytes: int) -> str:
    size = float(n_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"


def as_bytes(array: npt.NDArray[Any]) -> memoryview:
    """The array's numbers, slowest axis first, as bytes to write."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def is_gzip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def head(path: Path, n_bytes: int) -> bytes:
    """The first bytes, unpacked where the file is a gzip, whatever its name says."""
    with path.open("rb") as file:
        if not is_gzip(path):
            return file.read(n_bytes)
        with igzip.IGzipFile(fileobj=file) as stream:
            return bytes(stream.read(n_bytes))


def payload(
    path: Path, want: int, offset: int = 0, start: int = 0, packing: str = ""
) -> npt.NDArray[np.uint8]:
    """Exactly `want` bytes (N,) uint8 of voxels, writable, read up to the checksum.

    Parameters
    ----------
    offset
        Bytes to skip, counted after unpacking.
    start
        Where in the file the packed stream begins.
    packing
        "" for as it is, "gzip", "bzip2" or "zlib".
    """
    stored = path.stat().st_size - start
    room = {"": stored, "bzip2": 1 << 62}.get(packing, stored * DEFLATE_RATIO + CHUNK_BYTES)
    check_size(path, offset + want, room)
    with path.open("rb") as file:
        file.seek(start)
        with _unpacked(file, packing) as stream:
            _skip(stream, offset, path)
            voxels = _exactly(stream, want, path)
            if packing:
                _drain(stream, max(TAIL_BYTES, want), path)
    return voxels


def _unpacked(file: BinaryIO, packing: str) -> Any:
    if packing == "gzip":
        return igzip.IGzipFile(fileobj=file)
    if packing == "bzip2":
        return bz2.BZ2File(file)
    return _Zlib(file) if packing == "zlib" else file


class _Zlib:
    """A zlib stream read in bounded pieces; `readinto` gives 0 only at a checked end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._inflate = zlib.decompressobj(wbits=47)  # zlib or gzip, by its header

    def __enter__(self) -> _Zlib:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def readinto(self, view: memoryview) -> int:
        while not self._inflate.eof:
            packed = self._inflate.unconsumed_tail or self._file.read(1 << 16)
            piece = self._inflate.decompress(packed, len(view))
            view[: len(piece)] = piece
            if piece:
                return len(piece)
            if not packed:
                raise EOFError
        return 0


def _exactly(stream: Any, want: int, path: Path) -> npt.NDArray[np.uint8]:
    voxels = np.empty(want, np.uint8)
    view, done = voxels.data, 0
    while done < want:
        got = stream.readinto(view[done : done + CHUNK_BYTES])
        if not got:
            raise truncated(path, done, want)
        done += got
    return voxels


def _skip(stream: Any, n_bytes: int, path: Path) -> None:
    while n_bytes > 0:
        n_bytes -= len(_exactly(stream, min(n_bytes, CHUNK_BYTES), path))


def _drain(stream: Any, limit: int, path: Path) -> None:
    """Read on to the end, where the checksum is; a tail without end is refused."""
    scrap, seen = memoryview(bytearray(CHUNK_BYTES)), 0
    while got := stream.readinto(scrap):
        seen += got
        if seen > limit:
            raise ReadError("must end with its image, got endless data behind it", path.name)


def beside(header: Path, name: str) -> Path:
    """The data file that a header names; it must lie in the header's own folder.

    Raises
    ------
    ReadError
        It is missing or elsewhere: a header must not make us read other people's files.
    """
    folder = header.parent.resolve()
    data = (folder / name).resolve()
    if data.parent != folder:
        raise ReadError("must keep its data file in its own folder, got one elsewhere", header.name)
    if not data.is_file():
        raise ReadError(f"must have its data file {data.name} beside it, got none", header.name)
    return data
