"""Every step since the scan was opened, to take back and do again, in little memory."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from napari_medseg.correction.record import Box, Correction, Labels


@dataclass(frozen=True, eq=False)
class Stroke:
    """One step: voxels that changed, packed.

    Attributes
    ----------
    name
        What did it: "brush", "fill holes".
    when
        Seconds since the epoch.
    voxels
        How many changed.
    given
        Which of them were a model's before.
    """

    name: str
    when: float
    voxels: int
    box: Box
    kind: str
    where: bytes = field(repr=False)
    given: bytes = field(repr=False)
    old: bytes = field(repr=False)
    new: bytes = field(repr=False)

    @classmethod
    def of(cls, correction: Correction, name: str, when: float) -> Stroke:
        changed = correction.changed
        return cls(
            name,
            when,
            int(np.count_nonzero(changed)),
            correction.box,
            correction.new.dtype.str,
            _pack(np.packbits(changed)),
            _pack(np.packbits((correction.old == correction.baseline)[changed])),
            _pack(correction.old[changed]),
            _pack(correction.new[changed]),
        )

    @property
    def n_bytes(self) -> int:
        return len(self.where) + len(self.given) + len(self.old) + len(self.new)

    def redo(self, labels: Labels) -> None:
        """Write what was after the step into a mask."""
        labels[self.box][self._changed()] = np.frombuffer(_unpack(self.new), self.kind)

    def undo(self, labels: Labels, baseline: Labels) -> None:
        """Write what was before the step into a mask.

        What a model had given there becomes what it gives now, in `baseline`: it may have been a
        quick look, or there may have been a better prediction since.
        """
        changed = self._changed()
        old = np.frombuffer(_unpack(self.old), self.kind)
        given = _bits(_unpack(self.given), self.voxels)
        labels[self.box][changed] = np.where(given, baseline[self.box][changed], old)

    def _changed(self) -> npt.NDArray[np.bool_]:
        """bool, shape of the box."""
        shape = tuple(part.stop - part.start for part in self.box)
        return _bits(_unpack(self.where), int(np.prod(shape))).reshape(shape)


class History:
    """Steps and where in them one stands; a new step ends what was taken back."""

    def __init__(self) -> None:
        self.steps: list[Stroke] = []
        self.at = 0  # steps that are done; those behind were taken back

    def add(self, correction: Correction, name: str) -> None:
        """A step was done."""
        del self.steps[self.at :]
        self.steps.append(Stroke.of(correction, name, time.time()))
        self.at = len(self.steps)

    def back(self) -> Stroke | None:
        """The step to take back now; None at the beginning."""
        if self.at == 0:
            return None
        self.at -= 1
        return self.steps[self.at]

    def forth(self) -> Stroke | None:
        """The step to do again now; None at the end."""
        if self.at == len(self.steps):
            return None
        self.at += 1
        return self.steps[self.at - 1]

    @property
    def n_bytes(self) -> int:
        """Memory that the steps take."""
        return sum(step.n_bytes for step in self.steps)


def _pack(array: npt.NDArray[Any]) -> bytes:
    packed: bytes = isal_zlib.compress(array.tobytes(), 1)
    return packed


def _unpack(packed: bytes) -> bytes:
    return bytes(isal_zlib.decompress(packed))


def _bits(packed: bytes, count: int) -> npt.NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count).astype(np.bool_)
