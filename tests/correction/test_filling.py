"""A step that a model took: it knows what was there before, also from a file."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.correction.filling import Filling, Slab
from napari_medseg.correction.history import History

BOX = (slice(1, 3), slice(0, 4), slice(2, 5))
OLD = np.zeros((2, 4, 3), np.uint16)
NEW = np.arange(24, dtype=np.uint16).reshape(2, 4, 3)


@pytest.mark.parametrize("most_bytes", [0, 1 << 20])
def test_it_gives_back_what_was_there_before_and_after(most_bytes: int) -> None:
    history = History(most_bytes)
    history.put(Filling("learned", 0.0, (Slab.of(BOX, OLD, NEW),)))
    step = history.back()
    assert isinstance(step, Filling)
    assert (step.n_bytes == 0) == (most_bytes == 0)
    assert step.voxels == 23
    np.testing.assert_array_equal(step.slabs[0].labels(before=True), OLD)
    np.testing.assert_array_equal(step.slabs[0].labels(before=False), NEW)
