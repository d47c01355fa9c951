"""Who is behind each voxel, as numbers that a layer shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Source
from napari_medseg.workbench import Case

NOBODY, MODEL, PAINTED, CONFIRMED = range(4)
# least distance of two over grey, CIE76: 62 for most eyes, 35, 50 and 48 where red, green or blue
# is not seen (simulated after Machado, Oliveira and Fernandes 2009)
COLORS = {MODEL: "#0a84ff", PAINTED: "#c2185b", CONFIRMED: "#ffe14d"}
WORDS = {MODEL: "model", PAINTED: "painted by a person", CONFIRMED: "confirmed by a person"}


class Whose:
    """What an array of `NOBODY` to `CONFIRMED`, shape (Z, Y, X), would hold; read part by part.

    A model's background is nobody's: it would cover all of the scan. It takes no memory, and is
    always as the case is.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, case: Case) -> None:
        self._case = case

    @property
    def shape(self) -> tuple[int, ...]:
        return self._case.labels.shape

    @property
    def size(self) -> int:
        return self._case.labels.size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: Any) -> npt.NDArray[np.uint8]:
        source, labels = self._case.source[part], self._case.labels[part]
        somebody = (source != Source.MODEL) | (labels != 0)
        return np.asarray(source + somebody)  # each `Source` is one less than its number here

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:].astype(self.dtype if dtype is None else dtype, copy=False)
