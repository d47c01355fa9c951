"""The blocks of MONAI's networks, their parts named as MONAI names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from napari_medseg.models.monai_shape import Act, MonaiShape, Norm, Up

CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
DECONV: dict[int, type[nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
INSTANCE: dict[int, type[nn.Module]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
INTERPOLATION = {2: "bilinear", 3: "trilinear"}


class FixedBatchNorm(nn.Module):
    """Batch normalisation with the statistics that it learned, also while it is fine-tuned.

    Batches of a fine-tune are one or two patches: their own statistics would spoil the network.
    """

    def __init__(self, features: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.running_mean = nn.Parameter(torch.zeros(features), requires_grad=False)
        self.running_var = nn.Parameter(torch.ones(features), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, variance = self.running_mean.detach(), self.running_var.detach()
        return F.batch_norm(x, mean, variance, self.weight, self.bias, False, 0.0, self.eps)


class Blocks:
    """The small parts that a network is made of."""

    def __init__(self, dims: int, shape: MonaiShape) -> None:
        self.dims = dims
        self.shape = shape

    def conv(
        self,
        n_in: int,
        n_out: int,
        kernel: Sequence[int] | int,
        stride: Sequence[int] | int = 1,
        padding: Sequence[int] | int = 0,
        bias: bool = True,
    ) -> nn.Module:
        return CONV[self.dims](n_in, n_out, kernel, stride, padding, bias=bias)

    def max_pool(self, size: int) -> nn.Module:
        return POOL[self.dims](size)

    def norm(self, features: int) -> nn.Module:
        shape = self.shape
        if shape.norm is Norm.NONE:
            return nn.Identity()
        if shape.norm is Norm.BATCH:
            return FixedBatchNorm(features, shape.eps)
        if shape.norm is Norm.GROUP:
            return nn.GroupNorm(shape.groups, features, shape.eps)
        return INSTANCE[self.dims](features, shape.eps, affine=shape.affine)

    def act(self) -> nn.Module:
        shape = self.shape
        own = shape.norm is not Norm.NONE  # else it would change what a skip still needs
        if shape.act is Act.PRELU:
            return nn.PReLU()
        if shape.act is Act.RELU:
            return nn.ReLU(inplace=own)
        if shape.act is Act.ELU:
            return nn.ELU(shape.slope, inplace=own)
        return nn.LeakyReLU(shape.slope, inplace=own)

    def after(self, features: int) -> nn.Module:
        """Normalisation and activation in the shape's order."""
        block = nn.Sequential()
        for letter in self.shape.order:
            if letter == "N" and self.shape.norm is not Norm.NONE:
                block.add_module("N", self.norm(features))
            if letter == "A":
                block.add_module("A", self.act())
        return block


class Convolution(nn.Module):
    """A convolution, plain or transposed, and what follows it."""

    def __init__(
        self,
        blocks: Blocks,
        n_in: int,
        n_out: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        bare: bool = False,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        padding, bias = [(k - 1) // 2 for k in kernel], blocks.shape.bias
        if transposed:
            more = [s - 1 for s in stride]
            kind = DECONV[blocks.dims]
            self.conv = kind(n_in, n_out, kernel, stride, padding, more, bias=bias)
        else:
            self.conv = blocks.conv(n_in, n_out, kernel, stride, padding, bias)
        self.adn = nn.Identity() if bare else blocks.after(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.adn(self.conv(x)))


class ResidualUnit(nn.Module):
    """Some convolutions, and their input added."""

    def __init__(
        self,
        blocks: Blocks,
        n_in: int,
        n_out: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        units: int,
        last_bare: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        self.residual: nn.Module = nn.Identity()
        flat = [1] * len(stride)
        for n in range(units):
            bare = last_bare and n == units - 1
            first = (n_in, n_out, kernel, stride)
            numbers = first if n == 0 else (n_out, n_out, kernel, flat)
            self.conv.add_module(f"unit{n}", Convolution(blocks, *numbers, bare))
        if max(stride) > 1 or n_in != n_out:
            wide = kernel if max(stride) > 1 else flat
            padding = [(k - 1) // 2 for k in wide]
            self.residual = blocks.conv(n_in, n_out, wide, stride, padding, blocks.shape.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.conv(x) + self.residual(x))


class PlainConv(nn.Module):
    """A convolution that follows nothing."""

    def __init__(
        self,
        blocks: Blocks,
        n_in: int,
        n_out: int,
        kernel: Sequence[int],
        stride: Sequence[int] | int,
        bias: bool = False,
    ) -> None:
        super().__init__()
        steps = [stride] * blocks.dims if isinstance(stride, int) else stride
        padding = [(k - s + 1) // 2 for k, s in zip(kernel, steps, strict=True)]
        self.conv = blocks.conv(n_in, n_out, kernel, steps, padding, bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.conv(x))


class Deconv(nn.Module):
    """A transposed convolution whose kernel is its stride."""

    def __init__(self, blocks: Blocks, n_in: int, n_out: int, stride: Sequence[int]) -> None:
        super().__init__()
        self.conv = DECONV[blocks.dims](n_in, n_out, stride, stride, bias=blocks.shape.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.conv(x))


class Upsample(nn.Module):
    """Twice the size."""

    def __init__(self, blocks: Blocks, n_in: int, n_out: int, align_corners: bool) -> None:
        super().__init__()
        self._align = align_corners
        self._mode = INTERPOLATION[blocks.dims]
        self._learned = blocks.shape.up is Up.DECONV
        if self._learned:
            self.deconv = DECONV[blocks.dims](n_in, n_out, 2, 2)
        else:
            self.preconv = blocks.conv(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._learned:
            return cast(torch.Tensor, self.deconv(x))
        before = self.preconv(x)
        return F.interpolate(before, scale_factor=2, mode=self._mode, align_corners=self._align)


class DynBlock(nn.Module):
    """Two convolutions with normalisation; the residual kind adds its input."""

    def __init__(
        self,
        blocks: Blocks,
        n_in: int,
        n_out: int,
        kernel: Sequence[int],
        stride: Sequence[int],
        residual: bool,
    ) -> None:
        super().__init__()
        flat = [1] * blocks.dims
        self.conv1 = PlainConv(blocks, n_in, n_out, kernel, stride)
        self.conv2 = PlainConv(blocks, n_out, n_out, kernel, 1)
        self.norm1, self.norm2 = blocks.norm(n_out), blocks.norm(n_out)
        self.lrelu = blocks.act()
        self._residual = residual
        self._changes = n_in != n_out or max(stride) > 1
        if residual and self._changes:
            self.conv3 = PlainConv(blocks, n_in, n_out, flat, stride)
            self.norm3 = blocks.norm(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.norm2(self.conv2(self.lrelu(self.norm1(self.conv1(x)))))
        if self._residual:
            out = out + (self.norm3(self.conv3(x)) if self._changes else x)
        return cast(torch.Tensor, self.lrelu(out))


class ResPair(nn.Module):
    """SegResNet's block: normalisation and activation come first."""

    def __init__(self, blocks: Blocks, features: int) -> None:
        super().__init__()
        kernel = [3] * blocks.dims
        self.norm1, self.norm2 = blocks.norm(features), blocks.norm(features)
        self.act = blocks.act()
        self.conv1 = PlainConv(blocks, features, features, kernel, 1)
        self.conv2 = PlainConv(blocks, features, features, kernel, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv1(self.act(self.norm1(x)))
        return x + cast(torch.Tensor, self.conv2(self.act(self.norm2(out))))
