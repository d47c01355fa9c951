"""A piece of a scan's labels on the network's grid, against the same of the whole scan."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medseg.preprocess.patchwork import put
from napari_medseg.preprocess.prepare import IGNORE, resized, voted
from napari_medseg.volume import Geometry

SCAN = Geometry.from_spacing((6, 12, 18), (3.0, 1.0, 1.0))
BOX = (slice(1, 5), slice(2, 10), slice(4, 16))


@pytest.mark.parametrize("shape", [(6, 12, 18), (3, 6, 9), (12, 24, 36), (6, 4, 12)])
def test_a_box_lands_where_the_whole_mask_would(shape: tuple[int, int, int]) -> None:
    grid = resized(SCAN, shape)
    whole = np.full(SCAN.shape, IGNORE, np.uint8)
    whole[BOX] = np.random.default_rng(0).integers(0, 2, whole[BOX].shape)
    target = torch.full(shape, IGNORE, dtype=torch.uint8)
    put(target, grid, whole[BOX], BOX, SCAN)
    wanted = voted(torch.from_numpy(whole), shape)
    assert torch.equal(target == IGNORE, wanted == IGNORE)
    assert float((target == wanted).float().mean()) > 0.9  # they differ where two are as many


def test_what_nobody_knows_any_more_is_forgotten() -> None:
    target = torch.ones(SCAN.shape, dtype=torch.uint8)
    nothing = np.full([part.stop - part.start for part in BOX], IGNORE, np.uint8)
    assert put(target, SCAN, nothing, BOX, SCAN) == BOX
    assert bool((target[BOX] == IGNORE).all())
    assert int((target == 1).sum()) == target.numel() - nothing.size
