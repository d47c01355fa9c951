"""MONAI's networks under MONAI's parameter names, so that their weights fit.

Written after MONAI 1.6 (Apache-2.0), `monai.networks.nets`: UNet, BasicUNet, DynUNet, SegResNet.
Dropout is left out: it has no weights and does nothing in prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from napari_medseg.errors import ModelError
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.monai_blocks import (
    Blocks,
    Convolution,
    Deconv,
    DynBlock,
    PlainConv,
    ResidualUnit,
    ResPair,
    Upsample,
)
from napari_medseg.models.monai_shape import MonaiShape, Net


class Whole(nn.Module):
    """Stands where our own networks have a decoder: the network before it does all."""

    def __init__(self) -> None:
        super().__init__()
        self.deep_supervision = False

    def forward(self, logits: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        return [logits] if self.deep_supervision else logits


def monai_net(config: NetworkConfig, in_channels: int, n_outputs: int) -> nn.Module:
    """A network of the closed list.

    Raises
    ------
    ModelError
        Its numbers do not fit together.
    """
    shape = config.monai
    if shape is None:
        raise ModelError("a network of MONAI must say its shape; import its bundle")
    try:
        return _NETS[shape.net](config, shape, in_channels, n_outputs)
    except (ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:
        raise ModelError(f"a {shape.net}'s numbers must fit together, {error}") from error


class Skip(nn.Module):
    """Features beside what a network makes of them."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.submodule(x)], dim=1)


class UNet(nn.Module):
    """Strided convolutions or residual units down, transposed ones up; a level within a level."""

    def __init__(
        self, config: NetworkConfig, shape: MonaiShape, in_channels: int, n_outputs: int
    ) -> None:
        super().__init__()
        self._blocks = Blocks(config.dims, shape)
        self._kernel = config.kernel_sizes[0]
        self._up_kernel = shape.up_kernel or self._kernel
        self._units = shape.residual
        self.model = self._level(in_channels, n_outputs, config.features, config.strides[1:], True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.model(x))

    def _level(
        self,
        n_in: int,
        n_out: int,
        features: Sequence[int],
        strides: Sequence[Sequence[int]],
        top: bool,
    ) -> nn.Module:
        here, stride = features[0], strides[0]
        if len(features) > 2:
            below = self._level(here, here, features[1:], strides[1:], False)
            wide = 2 * here
        else:
            below = self._down(here, features[1], [1] * len(stride))
            wide = here + features[1]
        up = self._up(wide, n_out, stride, top)
        return nn.Sequential(self._down(n_in, here, stride), Skip(below), up)

    def _down(self, n_in: int, n_out: int, stride: Sequence[int]) -> nn.Module:
        if self._units:
            return ResidualUnit(self._blocks, n_in, n_out, self._kernel, stride, self._units)
        return Convolution(self._blocks, n_in, n_out, self._kernel, stride)

    def _up(self, n_in: int, n_out: int, stride: Sequence[int], top: bool) -> nn.Module:
        bare = top and not self._units
        up = Convolution(self._blocks, n_in, n_out, self._up_kernel, stride, bare, transposed=True)
        if not self._units:
            return up
        flat = [1] * len(stride)
        unit = ResidualUnit(self._blocks, n_out, n_out, self._kernel, flat, 1, last_bare=top)
        return nn.Sequential(up, unit)


class TwoConv(nn.Module):
    """Two convolutions of 3 voxels."""

    def __init__(self, blocks: Blocks, n_in: int, n_out: int) -> None:
        super().__init__()
        kernel, stride = [3] * blocks.dims, [1] * blocks.dims
        self.conv_0 = Convolution(blocks, n_in, n_out, kernel, stride)
        self.conv_1 = Convolution(blocks, n_out, n_out, kernel, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.conv_1(self.conv_0(x)))


class Down(nn.Module):
    """Half the size, then two convolutions."""

    def __init__(self, blocks: Blocks, n_in: int, n_out: int) -> None:
        super().__init__()
        self.max_pooling = blocks.max_pool(2)
        self.convs = TwoConv(blocks, n_in, n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.convs(self.max_pooling(x)))


class UpCat(nn.Module):
    """Twice the size, the encoder's features beside it, two convolutions."""

    def __init__(self, blocks: Blocks, n_in: int, n_skip: int, n_out: int, halves: bool) -> None:
        super().__init__()
        n_up = n_in // 2 if halves else n_in
        self.upsample = Upsample(blocks, n_in, n_up, align_corners=True)
        self.convs = TwoConv(blocks, n_skip + n_up, n_out)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.convs(torch.cat([skip, self.upsample(x)], dim=1)))


class BasicUNet(nn.Module):
    """Five levels of two convolutions, max pooling between them."""

    def __init__(
        self, config: NetworkConfig, shape: MonaiShape, in_channels: int, n_outputs: int
    ) -> None:
        super().__init__()
        blocks, f = Blocks(config.dims, shape), config.features
        if len(f) != 5:
            raise ModelError(f"a BasicUNet must have 5 levels, got {len(f)}")
        self.conv_0 = TwoConv(blocks, in_channels, f[0])
        self.down_1 = Down(blocks, f[0], f[1])
        self.down_2 = Down(blocks, f[1], f[2])
        self.down_3 = Down(blocks, f[2], f[3])
        self.down_4 = Down(blocks, f[3], f[4])
        self.upcat_4 = UpCat(blocks, f[4], f[3], f[3], True)
        self.upcat_3 = UpCat(blocks, f[3], f[2], f[2], True)
        self.upcat_2 = UpCat(blocks, f[2], f[1], f[1], True)
        self.upcat_1 = UpCat(blocks, f[1], f[0], shape.last, False)
        self.final_conv = blocks.conv(shape.last, n_outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x0 = self.conv_0(x)
        x1 = self.down_1(x0)
        x2 = self.down_2(x1)
        x3 = self.down_3(x2)
        up = self.upcat_3(self.upcat_4(self.down_4(x3), x3), x2)
        return cast(torch.Tensor, self.final_conv(self.upcat_1(self.upcat_2(up, x1), x0)))


class DynUp(nn.Module):
    """Finer by a transposed convolution, the encoder's features beside it."""

    def __init__(
        self,
        blocks: Blocks,
        n_in: int,
        n_out: int,
        kernel: Sequence[int],
        stride: Sequence[int],
    ) -> None:
        super().__init__()
        self.transp_conv = Deconv(blocks, n_in, n_out, stride)
        self.conv_block = DynBlock(blocks, 2 * n_out, n_out, kernel, [1] * blocks.dims, False)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.conv_block(torch.cat((self.transp_conv(x), skip), dim=1)))


class DynUNet(nn.Module):
    """nnU-Net's first shape: any kernel and stride a level."""

    def __init__(
        self, config: NetworkConfig, shape: MonaiShape, in_channels: int, n_outputs: int
    ) -> None:
        super().__init__()
        blocks, f, residual = Blocks(config.dims, shape), config.features, shape.residual > 0
        kernels, strides = config.kernel_sizes, config.strides
        levels = [
            DynBlock(blocks, n_in, n_out, kernel, stride, residual)
            for n_in, n_out, kernel, stride in zip(
                (in_channels, *f), f, kernels, strides, strict=False
            )
        ]
        self.input_block, self.bottleneck = levels[0], levels[-1]
        self.downsamples = nn.ModuleList(levels[1:-1])
        self.upsamples = nn.ModuleList(
            DynUp(blocks, f[i], f[i - 1], kernels[i], strides[i]) for i in range(len(f) - 1, 0, -1)
        )
        head = PlainConv(blocks, f[0], n_outputs, [1] * blocks.dims, 1, bias=True)
        self.output_block = nn.ModuleDict({"conv": head})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = [self.input_block(x)]
        for level in self.downsamples:
            skips.append(level(skips[-1]))
        x = self.bottleneck(skips[-1])
        for up, skip in zip(self.upsamples, reversed(skips), strict=True):
            x = up(x, skip)
        return cast(torch.Tensor, self.output_block["conv"](x))


class SegResNet(nn.Module):
    """Pre-activated residual blocks; the decoder adds what the encoder saw."""

    def __init__(
        self, config: NetworkConfig, shape: MonaiShape, in_channels: int, n_outputs: int
    ) -> None:
        super().__init__()
        blocks, f = Blocks(config.dims, shape), config.features
        kernel, flat = [3] * config.dims, [1] * config.dims
        if len(shape.blocks_down) != len(f) or len(shape.blocks_up) != len(f) - 1:
            raise ModelError(f"a SegResNet must have blocks for {len(f)} stages")
        self.convInit = PlainConv(blocks, in_channels, f[0], kernel, 1)
        self.down_layers = nn.ModuleList(
            nn.Sequential(
                PlainConv(blocks, f[i - 1], f[i], kernel, 2) if i else nn.Identity(),
                *(ResPair(blocks, f[i]) for _ in range(n)),
            )
            for i, n in enumerate(shape.blocks_down)
        )
        finer = list(range(len(f) - 2, -1, -1))
        self.up_samples = nn.ModuleList(
            nn.Sequential(
                PlainConv(blocks, f[i + 1], f[i], flat, 1),
                Upsample(blocks, f[i], f[i], align_corners=False),
            )
            for i in finer
        )
        self.up_layers = nn.ModuleList(
            nn.Sequential(*(ResPair(blocks, f[i]) for _ in range(n)))
            for i, n in zip(finer, shape.blocks_up, strict=True)
        )
        head = PlainConv(blocks, f[0], n_outputs, flat, 1, bias=True)
        self.conv_final = nn.Sequential(blocks.norm(f[0]), blocks.act(), head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.convInit(x)
        skips = []
        for down in self.down_layers:
            x = down(x)
            skips.append(x)
        for up, layers, skip in zip(
            self.up_samples, self.up_layers, reversed(skips[:-1]), strict=True
        ):
            x = layers(up(x) + skip)
        return cast(torch.Tensor, self.conv_final(x))


_NETS = {
    Net.UNET: UNet,
    Net.BASIC: BasicUNet,
    Net.DYNAMIC: DynUNet,
    Net.SEGRES: SegResNet,
}
