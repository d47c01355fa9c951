"""How much of the open case a person painted or confirmed, kept up to date stroke by stroke."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from napari_medseg.workbench import Case


class Tally:
    """Counts a person's voxels slice by slice, so that a stroke costs its slices only."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._per_slice: npt.NDArray[np.int64] = np.zeros(case.source.shape[0], np.int64)
        self.recount(slice(0, case.source.shape[0]))

    def recount(self, z: slice) -> None:
        """Count these slices again; the work is a pass over their voxels."""
        for index in range(*z.indices(len(self._per_slice))):
            self._per_slice[index] = np.count_nonzero(self._case.source[index])

    @property
    def voxels(self) -> int:
        return int(self._per_slice.sum())

    @property
    def touched(self) -> list[int]:
        """The slices in which a person painted or confirmed something."""
        return [int(z) for z in np.flatnonzero(self._per_slice)]

    @property
    def slices(self) -> int:
        return int(np.count_nonzero(self._per_slice))


def words(count: int, one: str, many: str = "") -> str:
    """A number and its noun: "1 slice", "12 345 voxels"."""
    noun = one if count == 1 else many or f"{one}s"
    return f"{count:,} {noun}".replace(",", "\u202f")


def time_left(seconds: float | None) -> str:
    """As a user says it; nothing where nobody knows."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f" · about {max(seconds, 1):.0f} s left"
    return f" · about {seconds / 60:.0f} min left"
