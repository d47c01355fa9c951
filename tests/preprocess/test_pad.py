"""Mirroring scans that are smaller than a tile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medseg.preprocess.pad import margin, mirror_indices, padded


@pytest.mark.parametrize(("size", "wanted"), [(5, 5), (5, 9), (6, 11), (7, 3), (2, 13)])
def test_mirroring_is_that_of_numpy(size: int, wanted: int) -> None:
    before = margin(size, wanted)
    after = max(0, wanted - size) - before
    expected = np.pad(np.arange(size), (before, after), mode="reflect")
    np.testing.assert_array_equal(mirror_indices(size, wanted), expected)


def test_one_voxel_is_repeated() -> None:
    assert mirror_indices(1, 4).tolist() == [0, 0, 0, 0]


def test_a_tensor_is_padded_on_the_axes_that_need_it_and_lies_in_the_middle() -> None:
    tensor = torch.rand(2, 3, 9, 4)
    wide = padded(tensor, (8, 8, 5))
    assert wide.shape == (2, 8, 9, 5)
    assert torch.equal(wide[:, 2:5, :, 0:4], tensor)


def test_a_tensor_that_is_large_enough_is_the_same() -> None:
    tensor = torch.rand(1, 8, 8, 8)
    assert padded(tensor, (8, 4, 1)) is tensor
