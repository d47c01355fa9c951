"""Two masks of one scan beside each other: where they agree, and where only one of them says so."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Box
from napari_medseg.correction.tracker import whole
from napari_medseg.errors import GridError

ONLY_A, ONLY_B, BOTH = 1, 2, 3
COLORS = {ONLY_A: "#f58231", ONLY_B: "#42a5f5", BOTH: "#7bd88f"}
EVERY = 0  # in place of a structure's number: all of them as one


class Comparison:
    """Where two masks differ; kept up while one of them is painted.

    Attributes
    ----------
    difference
        Shape (Z, Y, X), uint8: `ONLY_A`, `ONLY_B`, `BOTH`, 0 for neither.
    counts
        Voxels of neither, only A, only B, both.

    Parameters
    ----------
    a, b
        Label numbers (Z, Y, X) on one grid; they are read again at each update.
    value
        The structure to compare; `EVERY` for all that is not background.

    Raises
    ------
    GridError
        The masks have two shapes.
    """

    def __init__(self, a: npt.NDArray[Any], b: npt.NDArray[Any], value: int, voxel_ml: float):
        if a.shape != b.shape:
            raise GridError(
                f"two masks must share a grid to be compared, got {a.shape} and {b.shape}; "
                "resample one first"
            )
        self.a, self.b, self.value, self._voxel_ml = a, b, value, voxel_ml
        self.difference = np.zeros(a.shape, np.uint8)
        self.counts = np.array([a.size, 0, 0, 0], np.int64)
        self.update(whole(a.shape))

    def update(self, box: Box) -> None:
        """Look again at a box whose labels changed."""
        before = self.difference[box]
        now = self._of(self.a[box]).view(np.uint8) | (self._of(self.b[box]).view(np.uint8) << 1)
        self.counts += np.bincount(now.ravel(), minlength=4)
        self.counts -= np.bincount(before.ravel(), minlength=4)
        self.difference[box] = now

    def _of(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        return np.asarray(labels != 0 if self.value == EVERY else labels == self.value)

    @property
    def dice(self) -> float:
        """Overlap in [0, 1]; nan where neither mask has the structure."""
        _, a, b, both = (int(n) for n in self.counts)
        return 2 * both / (a + b + 2 * both) if a + b + both else float("nan")

    def ml(self, what: int) -> float:
        """Volume of `ONLY_A`, `ONLY_B` or `BOTH`."""
        return float(self.counts[what]) * self._voxel_ml
