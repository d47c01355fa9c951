"""The baseline: an encoder and a decoder that share nothing but the bottleneck."""

from __future__ import annotations

import torch
from dynamic_network_architectures.building_blocks.helper import get_matching_convtransp
from dynamic_network_architectures.building_blocks.plain_conv_encoder import PlainConvEncoder
from dynamic_network_architectures.building_blocks.simple_conv_blocks import StackedConvBlocks
from torch import nn


class FCNDecoder(nn.Module):
    """Transposed convolutions back to the input's size, with no skips (Long et al. 2015)."""

    def __init__(self, encoder: PlainConvEncoder, n_outputs: int, convs_per_stage: int) -> None:
        super().__init__()
        self.deep_supervision = False
        up = get_matching_convtransp(conv_op=encoder.conv_op)
        channels, strides = encoder.output_channels, encoder.strides
        stages, upsamplings, heads = [], [], []
        for stage in range(len(channels) - 1, 0, -1):
            below, here = channels[stage], channels[stage - 1]
            stride = strides[stage]
            upsamplings.append(up(below, here, stride, stride, bias=encoder.conv_bias))
            stages.append(_blocks(encoder, here, convs_per_stage, stage - 1))
            heads.append(encoder.conv_op(here, n_outputs, 1, 1, 0, bias=True))
        self.stages = nn.ModuleList(stages)
        self.transpconvs = nn.ModuleList(upsamplings)
        self.seg_layers = nn.ModuleList(heads)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Logits (B, L, ...), the finest first if deep supervision is on."""
        x, outputs = features[-1], []
        for up, stage, head in zip(self.transpconvs, self.stages, self.seg_layers, strict=True):
            x = stage(up(x))
            if self.deep_supervision or head is self.seg_layers[-1]:
                outputs.append(head(x))
        return outputs[::-1] if self.deep_supervision else outputs[0]


def _blocks(encoder: PlainConvEncoder, channels: int, convs: int, stage: int) -> nn.Module:
    blocks: nn.Module = StackedConvBlocks(
        convs,
        encoder.conv_op,
        channels,
        channels,
        encoder.kernel_sizes[stage],
        1,
        encoder.conv_bias,
        encoder.norm_op,
        encoder.norm_op_kwargs,
        encoder.dropout_op,
        encoder.dropout_op_kwargs,
        encoder.nonlin,
        encoder.nonlin_kwargs,
    )
    return blocks
