"""Yes or no for each voxel of a scan, an eighth of a byte each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Box

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]


class Bits:
    """Which voxels are in; takes no memory before the first one, then 20 MB for 512 x 512 x 600.

    Attributes
    ----------
    shape
        (Z, Y, X).
    count
        How many are in.

    Parameters
    ----------
    packed
        What `packed` gave, of a scan of this shape; shared, not copied.
    """

    def __init__(self, shape: tuple[int, ...], packed: Bytes | None = None) -> None:
        self.shape = shape
        if packed is not None and (packed.shape != self._size() or packed.dtype != np.uint8):
            raise ValueError(f"bits must be {self._size()}, got {packed.shape} {packed.dtype}")
        self._packed = packed
        self.count = 0 if packed is None else int(np.bitwise_count(packed).sum(dtype=np.int64))

    @property
    def packed(self) -> Bytes | None:
        """Shape (Z, Y, X / 8 rounded up), 0 behind the last voxel of a row; None while empty."""
        return self._packed

    def copy(self) -> Bits:
        """The same with an array of its own; may be called from any thread, as `Tracker.copies`."""
        now = self._packed
        return Bits(self.shape, None if now is None else now.copy())

    def __bool__(self) -> bool:
        return self.count > 0

    def __getitem__(self, box: Box) -> Bools:
        """Which voxels of a box with both ends stated are in; bool, a copy."""
        z, y, x = box
        if self._packed is None:
            return np.zeros([part.stop - part.start for part in box], bool)
        part, inner = self._bytes(x)
        return _unpacked(self._packed[z, y, part])[..., inner]

    def put(self, box: Box, where: Bools, on: bool) -> None:
        """Let these voxels of a box, bool of its shape, be in or not."""
        if self._packed is None:
            if not on:
                return
            self._packed = np.zeros(self._size(), np.uint8)
        z, y, x = box
        part, inner = self._bytes(x)
        for plane, chosen in zip(self._packed[z, y, part], where, strict=True):
            now = _unpacked(plane)
            mine = now[:, inner]
            self.count += int(np.count_nonzero(chosen & (mine != on))) * (1 if on else -1)
            mine[chosen] = on
            plane[...] = np.packbits(now, axis=-1)

    def _size(self) -> tuple[int, ...]:
        return (*self.shape[:-1], -(-self.shape[-1] // 8))

    @staticmethod
    def _bytes(x: slice) -> tuple[slice, slice]:
        """The bytes that hold a part of each row, and the part counted from the first of them."""
        first = x.start // 8
        return slice(first, -(-x.stop // 8)), slice(x.start - 8 * first, x.stop - 8 * first)


def _unpacked(some: Bytes) -> Bools:
    return np.unpackbits(some, axis=-1).view(np.bool_)
