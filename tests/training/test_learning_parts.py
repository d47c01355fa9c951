"""What of a network a fine-tune may change."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.training.config import Teaches
from napari_medseg.training.parts import Adapted, learner, part_names, plain, pull

PATCH = (16, 16, 16)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return build(
        NetworkConfig(features=(4, 8, 16), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2))), 1, 3
    )


def step(network: nn.Module) -> None:
    """One step on nothing in particular."""
    free = [one for one in network.parameters() if one.requires_grad]
    optimiser = torch.optim.SGD(free, 0.1)
    network(torch.rand(1, 1, *PATCH)).square().mean().backward()
    optimiser.step()


def changed(before: nn.Module, after: nn.Module) -> set[str]:
    old, new = weights_of(before), weights_of(after)
    return {name for name in old if not torch.equal(old[name], new[name])}


def test_the_decoder_learns_and_the_encoder_stays(network: nn.Module) -> None:
    before = copy.deepcopy(network)
    step(learner(network, Teaches.DECODER, PATCH, 1))
    names = changed(before, network)
    assert names
    assert not any(name.startswith("encoder") for name in names)


def test_the_last_block_is_a_part_of_the_decoder(network: nn.Module) -> None:
    last, decoder = (
        part_names(network, part, PATCH, 1) for part in (Teaches.LAST, Teaches.DECODER)
    )
    assert last
    assert last < decoder


def test_new_adapters_change_no_answer_and_learning_moves_them_alone(network: nn.Module) -> None:
    images = torch.rand(1, 1, *PATCH)
    before = copy.deepcopy(network)
    adapted = learner(copy.deepcopy(network), Teaches.ADAPTERS, PATCH, 1)
    assert torch.equal(adapted(images), network(images))
    step(adapted)
    step(adapted)
    assert isinstance(adapted, Adapted)
    assert not changed(before, adapted.base)
    merged = plain(adapted)
    assert changed(before, merged)
    assert torch.allclose(merged(images), adapted(images), atol=1e-5)


def test_adapters_are_few(network: nn.Module) -> None:
    adapted = learner(network, Teaches.ADAPTERS, PATCH, 1)
    free = sum(one.numel() for one in adapted.parameters() if one.requires_grad)
    assert free < 0.5 * sum(one.numel() for one in adapted.parameters())


def test_pulling_adapters_all_the_way_gives_the_parent(network: nn.Module) -> None:
    parent = copy.deepcopy(network)
    adapted = learner(network, Teaches.ADAPTERS, PATCH, 1)
    step(adapted)
    pull(adapted, parent, 1.0)
    assert not changed(parent, plain(adapted))
