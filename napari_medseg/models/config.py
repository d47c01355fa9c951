"""A network as a few numbers: what the form shows and the checkpoint keeps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated


class Family(StrEnum):
    """The closed list of networks; a checkpoint names one, it never brings code."""

    UNET = "unet"  # plain convolution blocks, skip concatenation (nnU-Net's PlainConvUNet)
    RESIDUAL = "residual-unet"  # residual encoder (nnU-Net's ResidualEncoderUNet)
    LIGHT = "light-unet"  # depthwise-separable convolutions, for weak machines
    FCN = "fcn"  # no skips: the baseline


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a network.

    Attributes
    ----------
    family
        Which of the closed list.
    dims
        2 or 3.
    features
        Feature maps of each stage, the finest first; their number is the depth.
    strides
        Down-sampling (Z, Y, X) or (Y, X) at the entry of each stage; the first is all ones.
    convs_per_stage
        Convolutions (or residual blocks) of each stage.
    deep_supervision
        Whether training also scores the coarser outputs.
    """

    family: Family = Family.UNET
    dims: Annotated[int, {"min": 2, "max": 3}] = 3
    features: tuple[int, ...] = (16, 32, 64, 128)
    strides: tuple[tuple[int, ...], ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    convs_per_stage: Annotated[int, {"min": 1, "max": 6}] = 2
    deep_supervision: bool = True
