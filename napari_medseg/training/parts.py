"""Which part of a network a fine-tune changes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from napari_medseg.training.config import Teaches
from napari_medseg.training.student import mix

RANK = 4  # of the additions to a convolution's weights


class Adapted(nn.Module):
    """A frozen network whose convolutions have small learned additions of low rank.

    Each addition starts at zero: a new one answers as its network does.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.base = network.requires_grad_(False)
        self.names = [name for name, one in network.named_parameters() if one.ndim > 2]
        parameters = dict(network.named_parameters())
        first, second = [], []
        for name in self.names:
            rows, columns = parameters[name].shape[0], parameters[name][0].numel()
            first.append(nn.Parameter(torch.zeros(rows, RANK)))
            noise = torch.randn(RANK, columns, generator=torch.Generator().manual_seed(0))
            second.append(nn.Parameter(noise / columns**0.5))
        self.first, self.second = nn.ParameterList(first), nn.ParameterList(second)

    def forward(self, images: torch.Tensor) -> Any:
        """As the network with its additions."""
        # not tied: a module that two others share would be put back with what it was lent
        return functional_call(self.base, dict(self._weights()), (images,), tie_weights=False)

    def merged(self) -> nn.Module:
        """A plain network that answers the same."""
        network = copy.deepcopy(self.base)
        own = dict(network.named_parameters())
        with torch.no_grad():
            for name, weight in self._weights():
                own[name].copy_(weight)
        return network

    def _weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        parameters = dict(self.base.named_parameters())
        for name, first, second in zip(self.names, self.first, self.second, strict=True):
            yield name, parameters[name] + (first @ second).reshape(parameters[name].shape)


def learner(network: nn.Module, teaches: Teaches, patch: tuple[int, int, int], n: int) -> nn.Module:
    """The network with only a part of it free to change; `n` are its input channels."""
    network.requires_grad_(True)
    if teaches is Teaches.WHOLE:
        return network
    if teaches is Teaches.ADAPTERS:
        return Adapted(network)
    free = part_names(network, teaches, patch, n)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in free)
    return network


def plain(network: nn.Module) -> nn.Module:
    """The network as others know it."""
    return network.merged() if isinstance(network, Adapted) else network


def pull(network: nn.Module, parent: nn.Module, share: float) -> None:
    """Move what was learned this share of the way back to the parent (L2-SP, decoupled)."""
    share = min(1.0, share)
    if isinstance(network, Adapted):
        with torch.no_grad():
            torch._foreach_mul_(list(network.first), 1 - share)
    else:
        mix(network, parent, share)


def part_names(
    network: nn.Module, teaches: Teaches, patch: tuple[int, int, int], n: int
) -> set[str]:
    """The parameters of the decoder, or of what follows the last change of resolution.

    Found from what a forward does, for networks of every kind: the decoder is what comes after the
    smallest feature maps.
    """
    order: list[tuple[str, int]] = []  # each layer with weights, voxels of what it gives
    hooks = [
        one.register_forward_hook(
            lambda _, __, given, name=name: order.append((name, given[0, 0].numel()))
        )
        for name, one in network.named_modules()
        if any(True for _ in one.parameters(recurse=False))
    ]
    size = patch[1:] if patch[0] == 1 else patch
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network(torch.zeros(1, n, *size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    voxels = [count for _, count in order]
    smallest = len(voxels) - 1 - voxels[::-1].index(min(voxels))
    begin = smallest + 1
    if teaches is Teaches.LAST:
        begin = next((k + 1 for k in range(len(voxels) - 1, 0, -1) if _grows(voxels, k)), begin)
        begin -= 1  # the layer that reached the last resolution is a part of the block
    layers = {name for name, _ in order[min(begin, len(order) - 1) :]}
    return {name for name, _ in network.named_parameters() if name.rpartition(".")[0] in layers}


def _grows(voxels: list[int], k: int) -> bool:
    return voxels[k] != voxels[k - 1]
