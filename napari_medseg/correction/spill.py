"""Packed arrays that wait in memory, or in a temporary file that nobody else sees."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from typing import IO, Any

import numpy.typing as npt
from isal import isal_zlib


@dataclass(frozen=True, eq=False)
class Packed:
    """An array's bytes, compressed: `content` is in memory, or else they are in a file."""

    content: bytes = b""
    file: IO[bytes] | None = field(default=None, repr=False)
    offset: int = 0
    length: int = 0

    @property
    def n_bytes(self) -> int:
        """Memory that it takes."""
        return len(self.content)


class Spill:
    """A temporary file that is made when it is needed, and gone with the process."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None

    def put(self, packed: Packed) -> Packed:
        """The same in the file; OSError where the disk is full."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  gone with its last reader
        offset, left = self._file.seek(0, 2), memoryview(packed.content)
        while left:
            left = left[self._file.write(left) :]
        return Packed(b"", self._file, offset, len(packed.content))


def pack(array: npt.NDArray[Any]) -> Packed:
    """An array's bytes, compressed."""
    return Packed(isal_zlib.compress(array.tobytes(), 1))


def unpack(packed: Packed) -> bytes:
    """The bytes again."""
    content = packed.content
    if packed.file is not None:
        packed.file.seek(packed.offset)
        content = packed.file.read(packed.length)
    return bytes(isal_zlib.decompress(content))
