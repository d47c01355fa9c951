"""The largest and the second largest of many logits."""

from __future__ import annotations

import pytest
import torch

from napari_medseg.inference.largest import GROUP, IN_CACHE, Largest, winners

COUNTS = [1, 2, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 2, 300]


def noise(n_outputs: int, *shape: int) -> torch.Tensor:
    return torch.randn(n_outputs, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("n_outputs", COUNTS)
def test_the_winner_is_the_first_of_the_largest(n_outputs: int) -> None:
    logits = noise(n_outputs, 2, 5, 7).round()  # many are equal
    assert torch.equal(winners(logits).long(), logits.argmax(0))
    assert torch.equal(Largest.of(logits).number.long(), logits.argmax(0))


@pytest.mark.parametrize("n_outputs", COUNTS[1:])
def test_the_first_two_are_those_of_sorting(n_outputs: int) -> None:
    logits = noise(n_outputs, 2, 5, 7).round()
    flat, voxels = logits.flatten(1), torch.arange(0, 70, 3)
    two = Largest.of(logits).first_two(flat, voxels)
    assert torch.equal(two[:, voxels], flat.topk(2, dim=0).values[:, voxels])


def test_pieces_that_are_looked_at_one_by_one_make_the_whole() -> None:
    logits = noise(3, 2 * IN_CACHE + 5)
    assert torch.equal(winners(logits).long(), logits.argmax(0))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_plane_cut_from_a_larger_array_has_its_own_winners(axis: int) -> None:
    plane = noise(20, 4, 5, 6).narrow(axis, 2, 1)
    largest = Largest.of(plane)
    assert torch.equal(largest.number.long(), plane.argmax(0))
    assert torch.equal(largest.of_group[0], plane[:GROUP].amax(0).flatten())


def test_logits_of_double_precision_are_not_rounded() -> None:
    assert winners(torch.tensor([[0.1], [0.1 + 1e-12]], dtype=torch.float64)).item() == 1
