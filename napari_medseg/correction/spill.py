"""Packed arrays that wait in memory, or in a temporary file that nobody else sees."""

from __future__ import annotations

import tempfile
import weakref
from dataclasses import dataclass, field
from typing import IO, Any

import numpy.typing as npt
from isal import isal_zlib


class Drawer:
    """A temporary file that is closed, and so gone, with its last reader."""

    def __init__(self) -> None:
        self.file: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed below
        weakref.finalize(self, self.file.close)

    def put(self, content: bytes) -> int:
        """Write it at the end; where it begins."""
        offset, left = self.file.seek(0, 2), memoryview(content)
        while left:
            left = left[self.file.write(left) :]
        return offset

    def take(self, offset: int, length: int) -> bytes:
        """What lies there."""
        self.file.seek(offset)
        return self.file.read(length)


@dataclass(frozen=True, eq=False)
class Packed:
    """An array's bytes, compressed: `content` is in memory, or else they are in a file."""

    content: bytes = b""
    file: Drawer | None = field(default=None, repr=False)
    offset: int = 0
    length: int = 0

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return len(self.content)


class Spill:
    """A temporary file that is made when it is needed, and gone with the process."""

    def __init__(self) -> None:
        self._drawer: Drawer | None = None

    def put(self, packed: Packed) -> Packed:
        """The same in the file; OSError where the disk is full."""
        self._drawer = self._drawer or Drawer()
        offset = self._drawer.put(packed.content)
        return Packed(b"", self._drawer, offset, len(packed.content))


def pack(array: npt.NDArray[Any]) -> Packed:
    """An array's bytes, compressed."""
    return Packed(isal_zlib.compress(array.tobytes(), 1))


def unpack(packed: Packed) -> bytes:
    """The bytes again."""
    if packed.file is None:
        content = packed.content
    else:
        content = packed.file.take(packed.offset, packed.length)
    return bytes(isal_zlib.decompress(content))
