"""The last layer of a network apart from the rest, so that many labels are blended as few maps.

A network ends in a 1 x 1 x 1 convolution from feature maps to labels, which is linear; so is the
blending of tiles, whose weights sum to one. The label scores of blended feature maps are the
blended label scores: with 118 labels from 16 maps, a seventh of the memory and of the sums.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from dynamic_network_architectures.building_blocks.unet_decoder import UNetDecoder
from torch import nn

PAYS = 1.25  # times as many labels as maps


@dataclass(frozen=True, eq=False)
class Head:
    """The last layer: `weight` (L, F) and `bias` (L,), float32."""

    weight: torch.Tensor
    bias: torch.Tensor

    @property
    def n_maps(self) -> int:
        return self.weight.shape[1]

    def __call__(self, maps: torch.Tensor) -> torch.Tensor:
        """Logits (L, ...) of feature maps (F, ...)."""
        weight, bias = self.weight.to(maps.device), self.bias.to(maps.device)
        flat = maps.reshape(len(maps), -1)
        return torch.addmm(bias[:, None], weight, flat).reshape(-1, *maps.shape[1:])


def split(network: nn.Module) -> tuple[nn.Module, Head] | None:
    """The network without its last layer, and that layer; None where it does not pay.

    Both share their parameters with the network, which stays as it is.
    """
    decoder = _decoder(network)
    if not isinstance(decoder, UNetDecoder):
        return None
    last = decoder.seg_layers[-1]
    if not isinstance(last, (nn.Conv2d, nn.Conv3d)) or set(last.kernel_size) != {1}:
        return None
    if last.out_channels < PAYS * last.in_channels:
        return None
    trunk = copy.deepcopy(network, {id(one): one for one in network.parameters()})
    _decoder(trunk).seg_layers[-1] = nn.Identity()
    bias = last.bias if last.bias is not None else torch.zeros(last.out_channels)
    return trunk, Head(last.weight.detach().flatten(1).float(), bias.detach().float())


def _decoder(network: nn.Module) -> Any:
    return getattr(network, "decoder", None)
