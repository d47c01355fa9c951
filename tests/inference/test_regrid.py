"""From the network's grid to the scan's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_medseg.inference.regrid import (
    MANY,
    AxisMap,
    axis_maps,
    labels_at,
    softmax_at,
    winners,
)
from napari_medseg.preprocess.prepare import resized
from napari_medseg.volume import Geometry

SHAPES = [((5, 6, 7), (9, 6, 15)), ((8, 9, 10), (5, 4, 10)), ((1, 6, 7), (4, 12, 3))]


def smooth_logits(shape: tuple[int, int, int], n_outputs: int = 5) -> torch.Tensor:
    torch.manual_seed(0)
    return F.avg_pool3d(torch.randn(n_outputs, *shape), (1, 3, 3), stride=1, padding=(0, 1, 1))


def full_interpolation(logits: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    return F.interpolate(logits[None], size=list(shape), mode="trilinear")[0]


@pytest.mark.parametrize(("low", "high"), SHAPES)
def test_labels_are_those_of_interpolating_every_logit(
    low: tuple[int, int, int], high: tuple[int, int, int]
) -> None:
    logits, own = smooth_logits(low), Geometry.from_spacing(high, (2.0, 1.0, 0.7))
    maps = axis_maps(own, resized(own, low))
    expected = full_interpolation(logits, high).argmax(dim=0)
    assert torch.equal(labels_at(logits, maps).long(), expected)


def test_softmax_is_that_of_the_interpolated_logits() -> None:
    logits, own = smooth_logits((5, 6, 7)), Geometry.from_spacing((9, 6, 15))
    maps = axis_maps(own, resized(own, (5, 6, 7)))
    expected = full_interpolation(logits, (9, 6, 15)).softmax(dim=0)
    torch.testing.assert_close(softmax_at(logits, maps).float(), expected, atol=1e-3, rtol=0)


def test_a_rotated_grid_maps_onto_itself_without_interpolation() -> None:
    turn = np.deg2rad(17)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    affine[:3, 3] = -231.7, 88.1, -1204.3
    own = Geometry((300, 512, 512), affine @ np.diag([0.71, 0.71, 1.3, 1.0]))
    assert all(one.copies for one in axis_maps(own, own))


def test_margins_shift_the_planes() -> None:
    own = Geometry.from_spacing((3, 4, 5))
    maps = axis_maps(own, own, (2, 0, 7))
    assert [int(one.lower[0]) for one in maps] == [2, 0, 7]
    assert all(one.copies for one in maps)


def test_points_beyond_the_ends_take_the_last_plane() -> None:
    one = AxisMap.through(np.array([-0.5, 0.25, 3.4]), 4)
    assert one.lower.tolist() == [0, 0, 3]
    assert one.upper.tolist() == [0, 1, 3]
    assert one.weight.tolist() == [0.0, 0.25, 0.0]


def test_the_first_of_equal_logits_wins() -> None:
    assert winners(torch.tensor([[1.0, 0.0, 2.0], [1.0, 3.0, 2.0]])).tolist() == [0, 1, 0]


@pytest.mark.parametrize("n_outputs", [MANY - 1, MANY, 40])
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("low", "high"), SHAPES)
def test_many_labels_are_decided_as_if_every_logit_were_interpolated(
    low: tuple[int, int, int], high: tuple[int, int, int], smooth: bool, n_outputs: int
) -> None:
    torch.manual_seed(1)
    noise = torch.randn(n_outputs, *low)
    logits = smooth_logits(low, n_outputs) if smooth else noise
    own = Geometry.from_spacing(high)
    maps = axis_maps(own, resized(own, low))
    expected = full_interpolation(logits, high).argmax(dim=0)
    assert torch.equal(labels_at(logits, maps).long(), expected)


def test_a_third_label_that_wins_only_in_between_is_found() -> None:
    logits = torch.full((8, 1, 1, 2), -9.0)
    logits[2, 0, 0] = torch.tensor([5.0, -5.0])
    logits[5, 0, 0] = torch.tensor([-5.0, 5.0])
    logits[7, 0, 0] = torch.tensor([4.0, 4.0])
    own = Geometry.from_spacing((1, 1, 4))
    labels = labels_at(logits, axis_maps(own, resized(own, (1, 1, 2))))
    assert labels.reshape(-1).tolist() == [2, 7, 7, 5]


@pytest.mark.parametrize("axis", [1, 2, 3])
@pytest.mark.parametrize("n_outputs", [3, 9])
def test_a_plane_cut_from_a_larger_array_has_the_same_labels(axis: int, n_outputs: int) -> None:
    whole = smooth_logits((6, 7, 8), n_outputs)
    plane = whole.narrow(axis, 3, 1)
    low = tuple(plane.shape[1:])
    high = tuple(1 if n == 1 else 2 * n for n in low)
    own = Geometry.from_spacing(high)  # type: ignore[arg-type]
    maps = axis_maps(own, resized(own, low))  # type: ignore[arg-type]
    assert torch.equal(labels_at(plane, maps), labels_at(plane.contiguous(), maps))
    expected = full_interpolation(plane, high).argmax(dim=0)  # type: ignore[arg-type]
    assert torch.equal(labels_at(plane, maps).long(), expected)


def test_the_number_of_threads_is_left_as_it_was() -> None:
    threads = torch.get_num_threads()
    own = Geometry.from_spacing((4, 5, 6))
    labels_at(smooth_logits((4, 5, 6)), axis_maps(own, own))
    assert torch.get_num_threads() == threads
