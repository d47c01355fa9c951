"""A network from its config.

The blocks are nnU-Net's own (`dynamic_network_architectures`), under the same parameter names, so
that nnU-Net's weights fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from dynamic_network_architectures.building_blocks.plain_conv_encoder import PlainConvEncoder
from dynamic_network_architectures.building_blocks.simple_conv_blocks import ConvDropoutNormReLU
from torch import nn

from napari_medseg.errors import ModelError
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.models.fcn import FCNDecoder
from napari_medseg.models.monai_nets import Whole, monai_net
from napari_medseg.models.segmenter import Segmenter

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
NORM = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}


class Network(nn.Module):
    """An encoder and a decoder.

    `network(batch)` takes (B, C, [Z,] Y, X) and gives logits (B, L, [Z,] Y, X); with
    `deep_supervision` on it gives a list of them, the finest first. Spatial sizes must be multiples
    of `NetworkConfig.total_stride`.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    @property
    def deep_supervision(self) -> bool:
        return bool(self.decoder.deep_supervision)

    @deep_supervision.setter
    def deep_supervision(self, on: bool) -> None:
        cast(Any, self.decoder).deep_supervision = on

    def forward(self, batch: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        return cast(torch.Tensor | list[torch.Tensor], self.decoder(self.encoder(batch)))


def build(config: NetworkConfig, in_channels: int, n_outputs: int) -> Network:
    """A fresh network with He initialisation, deep supervision off.

    Raises
    ------
    ModelError
        It is an imported graph, or the numbers of a network of MONAI do not fit together.
    """
    if config.family is Family.ONNX:
        raise ModelError("an ONNX model can only be run; import its original weights to train")
    if config.family is Family.MONAI:
        return Network(monai_net(config, in_channels, n_outputs), Whole())
    parts: Any = _BUILDERS[config.family](config, in_channels, n_outputs)
    network = Network(parts.encoder, parts.decoder)
    if config.family is Family.LIGHT:
        _separate(network)
    network.apply(PlainConvUNet.initialize)
    if config.family is Family.RESIDUAL:
        network.apply(ResidualEncoderUNet.initialize)
    return network


def network_of(
    segmenter: Segmenter, device: str | torch.device = "cpu", member: int = 0
) -> Network:
    """The segmenter's network with its own copy of a member's weights, in eval mode.

    Raises
    ------
    ModelError
        The weights do not fit the network.
    """
    recipe = segmenter.recipe
    network = build(segmenter.network, recipe.n_inputs, recipe.n_outputs)
    load_weights(network, segmenter.members[member])
    return network.to(device).eval()


class Mean(nn.Module):
    """Several networks as one, whose logits are the mean of theirs."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.stack([member(batch) for member in self.members]).mean(0)


def mean_of(segmenter: Segmenter, device: str | torch.device = "cpu") -> nn.Module:
    """All members of a segmenter as one network, in eval mode."""
    members = [network_of(segmenter, device, n) for n in range(len(segmenter.members))]
    return members[0] if len(members) == 1 else Mean(members).eval()


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of the parameters on the CPU, each shared one once."""
    return {
        name: parameter.detach().to("cpu", torch.float32, copy=True).contiguous()
        for name, parameter in network.named_parameters()
    }


def load_weights(network: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Copy the weights into the network; names and shapes must agree.

    Raises
    ------
    ModelError
        They do not.
    """
    own = dict(network.named_parameters())
    if missing := sorted(own.keys() ^ weights.keys()):
        raise ModelError(
            f"weights must fit the network, {len(missing)} names differ, first {missing[0]}"
        )
    with torch.no_grad():
        for name, parameter in own.items():
            if parameter.shape != weights[name].shape:
                raise ModelError(
                    f"weight {name} must be {tuple(parameter.shape)}, "
                    f"got {tuple(weights[name].shape)}"
                )
            parameter.copy_(weights[name])


def _options(config: NetworkConfig) -> dict[str, Any]:
    """What every family shares: nnU-Net's conv, norm and activation."""
    return {
        "conv_bias": True,
        "norm_op": NORM[config.dims],
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }


def _stages(config: NetworkConfig) -> tuple[Any, ...]:
    """n_stages, features, convolution, kernels and strides, in the library's order."""
    kernels = [list(row) for row in config.kernel_sizes]
    strides = [list(row) for row in config.strides]
    n_stages = len(config.features)
    return n_stages, list(config.features), CONVOLUTION[config.dims], kernels, strides


def _plain(config: NetworkConfig, in_channels: int, n_outputs: int) -> nn.Module:
    convs, decoder = list(config.encoder_counts), list(config.decoder_counts)
    network: nn.Module = PlainConvUNet(
        in_channels, *_stages(config), convs, n_outputs, decoder, **_options(config)
    )
    return network


def _residual(config: NetworkConfig, in_channels: int, n_outputs: int) -> nn.Module:
    blocks, decoder = list(config.encoder_counts), list(config.decoder_counts)
    network: nn.Module = ResidualEncoderUNet(
        in_channels, *_stages(config), blocks, n_outputs, decoder, **_options(config)
    )
    return network


def _fcn(config: NetworkConfig, in_channels: int, n_outputs: int) -> nn.Module:
    convs = config.convs_per_stage
    encoder = PlainConvEncoder(
        in_channels, *_stages(config), convs, return_skips=True, **_options(config)
    )
    return Network(encoder, FCNDecoder(encoder, n_outputs, convs))


_BUILDERS = {
    Family.UNET: _plain,
    Family.RESIDUAL: _residual,
    Family.LIGHT: _plain,
    Family.FCN: _fcn,
}


def _separate(network: nn.Module) -> None:
    """Make every wide convolution depthwise-separable (Chollet 2017): 8 times fewer products."""
    for block in network.modules():
        if isinstance(block, ConvDropoutNormReLU) and block.conv.in_channels > 1:
            convolution = block.conv
            kind = type(convolution)
            block.conv = nn.Sequential(
                kind(
                    convolution.in_channels,
                    convolution.in_channels,
                    convolution.kernel_size,
                    convolution.stride,
                    convolution.padding,
                    groups=convolution.in_channels,
                    bias=False,
                ),
                kind(convolution.in_channels, convolution.out_channels, 1),
            )
            block.all_modules[0] = block.conv
