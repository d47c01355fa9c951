"""Every step since the scan was opened, to take back and do again, in little memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.filling import Filling
from napari_medseg.correction.record import Box, Correction, Deed, Labels
from napari_medseg.correction.spill import Packed, Spill, pack, unpack
from napari_medseg.volume import Label

MOST_BYTES = 128 << 20  # in memory; older steps go into a temporary file


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
    born
        Structures that came with it.
    """

    name: str
    when: float
    voxels: int
    box: Box
    kind: str
    where: Packed = field(repr=False)
    given: Packed = field(repr=False)
    old: Packed = field(repr=False)
    new: Packed = field(repr=False)
    born: tuple[Label, ...] = ()

    @classmethod
    def of(cls, correction: Correction, deed: Deed) -> Stroke:
        changed = correction.changed
        old = correction.old[changed]
        given = np.packbits(old == correction.baseline[changed])
        return cls.packed(
            deed, correction.box, np.packbits(changed), given, old, correction.new[changed]
        )

    @classmethod
    def packed(
        cls,
        deed: Deed,
        box: Box,
        where: npt.NDArray[np.uint8],
        given: npt.NDArray[np.uint8],
        old: Labels,
        new: Labels,
    ) -> Stroke:
        """Of bits for the box's voxels, and bits and values for those that changed."""
        first, second, third, fourth = (pack(array) for array in (where, given, old, new))
        kind = new.dtype.str
        return cls(deed.name, deed.when, len(new), box, kind, first, second, third, fourth)

    @property
    def n_bytes(self) -> int:
        return sum(part.n_bytes for part in (self.where, self.given, self.old, self.new))

    def spilled(self, spill: Spill) -> Stroke:
        """The same in a file; OSError where it takes no more."""
        where, given = spill.put(self.where), spill.put(self.given)
        return replace(
            self, where=where, given=given, old=spill.put(self.old), new=spill.put(self.new)
        )

    def redo(self, labels: Labels) -> None:
        """Write what was after the step into a mask."""
        labels[self.box][self._changed()] = np.frombuffer(unpack(self.new), self.kind)

    def undo(self, labels: Labels, baseline: Labels) -> None:
        """Write what was before the step into a mask.

        What a model had given there becomes what it gives now, in `baseline`: it may have been a
        quick look, or there may have been a better prediction since.
        """
        changed = self._changed()
        old = np.frombuffer(unpack(self.old), self.kind)
        given = _bits(unpack(self.given), self.voxels)
        labels[self.box][changed] = np.where(given, baseline[self.box][changed], old)

    def _changed(self) -> npt.NDArray[np.bool_]:
        """bool, shape of the box."""
        shape = tuple(part.stop - part.start for part in self.box)
        return _bits(unpack(self.where), int(np.prod(shape))).reshape(shape)


@dataclass(frozen=True)
class Confirming:
    """One step: a slice was confirmed, or is not any more."""

    name: str
    when: float
    axis: int
    index: int
    on: bool
    voxels: int = 0
    n_bytes: int = 0


@dataclass(frozen=True, eq=False)
class Vouching:
    """One step: some voxels are vouched for, or are not any more."""

    name: str
    when: float
    voxels: int
    box: Box
    on: bool
    bits: Packed = field(repr=False)

    @classmethod
    def of(cls, box: Box, where: npt.NDArray[np.bool_], on: bool, deed: Deed) -> Vouching:
        voxels = int(np.count_nonzero(where))
        return cls(deed.name, deed.when, voxels, box, on, pack(np.packbits(where)))

    @property
    def where(self) -> npt.NDArray[np.bool_]:
        """bool, shape of the box."""
        shape = tuple(part.stop - part.start for part in self.box)
        return _bits(unpack(self.bits), int(np.prod(shape))).reshape(shape)

    @property
    def n_bytes(self) -> int:
        return self.bits.n_bytes

    def spilled(self, spill: Spill) -> Vouching:
        """The same in a file; OSError where it takes no more."""
        return replace(self, bits=spill.put(self.bits))


@dataclass(frozen=True)
class Naming:
    """One step: a structure came (from None), or has another name or colour."""

    name: str
    when: float
    before: Label | None
    after: Label | None
    voxels: int = 0
    n_bytes: int = 0


class Strokelike(Protocol):
    """What changed voxels, however it is kept."""

    @property
    def name(self) -> str: ...
    @property
    def when(self) -> float: ...
    @property
    def voxels(self) -> int: ...
    @property
    def box(self) -> Box: ...
    @property
    def n_bytes(self) -> int: ...
    @property
    def born(self) -> tuple[Label, ...]: ...
    def redo(self, labels: Labels) -> None: ...
    def undo(self, labels: Labels, baseline: Labels) -> None: ...


Done: TypeAlias = Strokelike | Confirming | Vouching | Naming | Filling


class History:
    """Steps and where in them one stands; a new step ends what was taken back."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.steps: list[Done] = []
        self.at = 0  # steps that are done; those behind were taken back
        self._spill = Spill()
        self._most_bytes, self._bytes = most_bytes, 0
        self._spilled = 0  # so many of the oldest steps are in the file

    def add(self, correction: Correction, deed: Deed) -> None:
        """Voxels changed."""
        self.put(Stroke.of(correction, deed))

    def put(self, step: Done) -> None:
        """A step was done."""
        self._bytes -= sum(gone.n_bytes for gone in self.steps[self.at :])
        del self.steps[self.at :]
        self.steps.append(step)
        self._bytes += step.n_bytes
        self.at = len(self.steps)
        self._spilled = min(self._spilled, self.at - 1)
        while self._bytes > self._most_bytes and self._spilled < self.at:
            if not self._spill_oldest():
                break

    def back(self) -> Done | None:
        """The step to take back now; None at the beginning."""
        if self.at == 0:
            return None
        self.at -= 1
        return self.steps[self.at]

    def forth(self) -> Done | None:
        """The step to do again now; None at the end."""
        if self.at == len(self.steps):
            return None
        self.at += 1
        return self.steps[self.at - 1]

    def clear(self) -> None:
        """Forget all steps: nothing can be taken back."""
        self.steps, self.at = [], 0
        self._bytes = self._spilled = 0

    @property
    def n_bytes(self) -> int:
        """Memory that the steps take."""
        return self._bytes

    def _spill_oldest(self) -> bool:
        """Put the oldest step that is in memory into the file; False where that takes no more."""
        step = self.steps[self._spilled]
        if isinstance(step, Stroke | Vouching | Filling):
            try:
                self.steps[self._spilled] = step.spilled(self._spill)
            except OSError:  # a full disk: the steps stay in memory
                return False
            self._bytes -= step.n_bytes
        self._spilled += 1
        return True


def _bits(packed: bytes, count: int) -> npt.NDArray[np.bool_]:
    bits: Any = np.unpackbits(np.frombuffer(packed, np.uint8), count=count)
    return np.asarray(bits.astype(np.bool_))
