"""What a model gave in one go, as a step to take back; it says nothing of a person's voxels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from napari_medseg.correction.record import Box, Labels
from napari_medseg.correction.spill import Packed, Spill, pack, unpack


@dataclass(frozen=True, eq=False)
class Slab:
    """A part of a mask before and after, packed; `voxels` says how many differ."""

    box: Box
    kind: str
    voxels: int
    old: Packed = field(repr=False)
    new: Packed = field(repr=False)

    @classmethod
    def of(cls, box: Box, old: Labels, new: Labels) -> Slab:
        """Of the labels in a box, both of its shape."""
        voxels = int(np.count_nonzero(old != new))
        return cls(box, new.dtype.str, voxels, pack(old.astype(new.dtype, copy=False)), pack(new))

    def labels(self, before: bool) -> Labels:
        """As they were before the step, or after it; read-only."""
        shape = tuple(part.stop - part.start for part in self.box)
        packed = self.old if before else self.new
        return np.frombuffer(unpack(packed), self.kind).reshape(shape)

    def spilled(self, spill: Spill) -> Slab:
        """The same in a file; OSError where it takes no more."""
        return replace(self, old=spill.put(self.old), new=spill.put(self.new))


@dataclass(frozen=True, eq=False)
class Filling:
    """One step: labels of a model, in parts small enough to be written between two strokes.

    They are written as a prediction is: what a person painted or confirmed keeps its label, both
    when the step is done and when it is taken back.
    """

    name: str
    when: float
    slabs: tuple[Slab, ...] = field(repr=False)

    @property
    def voxels(self) -> int:
        """How many changed."""
        return sum(slab.voxels for slab in self.slabs)

    @property
    def n_bytes(self) -> int:
        """Memory that the step takes."""
        return sum(slab.old.n_bytes + slab.new.n_bytes for slab in self.slabs)

    def spilled(self, spill: Spill) -> Filling:
        """The same in a file; OSError where it takes no more."""
        return replace(self, slabs=tuple(slab.spilled(spill) for slab in self.slabs))
