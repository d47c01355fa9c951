"""Overlapping outputs and nearest planes on the way back to the scan's grid."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from napari_medseg.inference.regrid import AxisMap, axis_maps, labels_at, painted, softmax_at
from napari_medseg.preprocess.nnunet import nearest_planes
from napari_medseg.preprocess.prepare import resized
from napari_medseg.volume import Geometry


def noise(n_outputs: int, shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randn(n_outputs, *shape, generator=torch.Generator().manual_seed(0))


def test_the_last_region_above_zero_paints() -> None:
    logits = torch.tensor([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]]).reshape(2, 1, 1, 4)
    assert painted(logits).flatten().tolist() == [2, 1, 2, 0]


def test_regions_are_those_of_the_full_interpolation() -> None:
    logits, scan = noise(3, (5, 6, 7)), Geometry.from_spacing((11, 9, 16))
    maps = axis_maps(scan, resized(scan, (5, 6, 7)))
    full = F.interpolate(logits[None], size=(11, 9, 16), mode="trilinear")[0]
    assert torch.equal(labels_at(logits, maps, regions=True), painted(full))
    sigmoid = softmax_at(logits, maps, regions=True).float()
    assert torch.allclose(sigmoid, full.sigmoid(), atol=1e-3)


def test_along_the_coarse_axis_the_nearest_plane_counts_alone() -> None:
    for n, size in ((10, 20), (20, 10), (7, 13)):
        scan = Geometry((n, 4, 4), np.diag([0.7, 0.7, 4.1, 1.0]) + np.eye(4, k=3) * 31.7)
        along = axis_maps(scan, resized(scan, (size, 4, 4)), nearest=0)[0]
        assert np.array_equal(along.lower, nearest_planes(n, size))
        assert isinstance(along, AxisMap)
        assert not along.weight.any()
