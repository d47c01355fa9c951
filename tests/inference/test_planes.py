"""2-D networks on volumes: slice by slice in any plane, with the slices on either side."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from echo import Echo, MakeSegmenter, random_scan

from napari_medseg.errors import ModelError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.preprocess.prepare import prepare, with_neighbours

CPU = PredictConfig(device="cpu")
SHAPE = (9, 12, 20)


class Beyond(Echo):
    """Echoes the slice that lies so many above the one asked for."""

    def __init__(self, reach: int, steps: int) -> None:
        super().__init__()
        self.channel = reach + steps

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return super().forward(batch[:, self.channel :])


@pytest.mark.parametrize(("orientation", "axis"), [("LPS", 0), ("LIP", 1), ("PIL", 2)])
@pytest.mark.parametrize("viewed", [None, (0, 4), (1, 4), (2, 4)])
def test_a_volume_is_seen_slice_by_slice_in_the_networks_plane(
    orientation: str,
    axis: int,
    viewed: tuple[int, int] | None,
    echo: Echo,
    segmenter_of: MakeSegmenter,
) -> None:
    scan = random_scan(SHAPE)
    segmenter = segmenter_of(echo, 2, patch=(1, 24, 24), orientation=orientation)
    config = PredictConfig(device="cpu", slice_zyx=viewed)
    labels = finish(predict(scan, segmenter, config)).mask.labels
    np.testing.assert_array_equal(labels, scan.array)
    assert prepare(scan, segmenter.recipe).tensor.shape[1] == SHAPE[axis]


@pytest.mark.parametrize("orientation", ["LPS", "LIP", "PIL"])
@pytest.mark.parametrize("steps", [-2, 1])
def test_a_network_that_answers_with_a_neighbour_gives_the_scan_moved_by_slices(
    orientation: str, steps: int, segmenter_of: MakeSegmenter
) -> None:
    scan = random_scan(SHAPE)
    network = Beyond(2, steps)
    segmenter = segmenter_of(network, 2, patch=(1, 24, 24), orientation=orientation, neighbours=2)
    turn = prepare(scan, segmenter.recipe).turn
    slices = turn.apply(scan.array)
    at = np.clip(np.arange(len(slices)) + steps, 0, len(slices) - 1)
    labels = finish(predict(scan, segmenter, CPU)).mask.labels
    np.testing.assert_array_equal(labels, turn.undo(slices[at]))


def test_neighbours_stand_in_order_and_the_ends_are_repeated() -> None:
    tensor = torch.arange(2 * 4, dtype=torch.float32).reshape(2, 4, 1, 1)
    stacked = with_neighbours(tensor, 1)[:, :, 0, 0]
    assert stacked[:3].tolist() == [[0, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 3]]
    assert stacked[3:].tolist() == [[4, 4, 5, 6], [4, 5, 6, 7], [5, 6, 7, 7]]


def test_the_neighbours_of_one_channel_take_no_memory() -> None:
    stacked = with_neighbours(torch.zeros(1, 50, 8, 8), 3)
    assert stacked.shape == (7, 50, 8, 8)
    assert stacked.untyped_storage().nbytes() == 4 * 56 * 8 * 8


def test_a_single_slice_is_its_own_neighbour() -> None:
    assert with_neighbours(torch.ones(1, 1, 2, 2), 2).tolist() == torch.ones(5, 1, 2, 2).tolist()


@pytest.mark.parametrize(("neighbours", "patch"), [(-1, (1, 8, 8)), (9, (1, 8, 8)), (1, (8, 8, 8))])
def test_only_slices_have_neighbours_and_not_too_many(
    neighbours: int, patch: tuple[int, int, int], echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    with pytest.raises(ModelError, match="slices on either side"):
        segmenter_of(echo, 2, neighbours=neighbours, patch=patch)
