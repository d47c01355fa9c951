"""A network as a few numbers: what the form shows and the checkpoint keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from napari_medseg.errors import ModelError
from napari_medseg.models.monai_shape import MonaiShape

MOST_CONVS = 12  # of a stage
MOST_STAGES, MOST_FEATURES, MOST_STRIDE = 9, 2048, 7  # a hostile header cannot ask for more


class Family(StrEnum):
    """The closed list of networks; a checkpoint names one, it never brings code."""

    UNET = "unet"  # plain convolution blocks, skip concatenation (nnU-Net's PlainConvUNet)
    RESIDUAL = "residual-unet"  # residual encoder (nnU-Net's ResidualEncoderUNet)
    LIGHT = "light-unet"  # depthwise-separable convolutions, for weak machines
    FCN = "fcn"  # no skips: the baseline
    MONAI = "monai"  # one of MONAI's, imported: `NetworkConfig.monai` says which
    ONNX = "onnx"  # any graph, imported: it can be run and nothing else

    @property
    def ours(self) -> bool:
        """Whether it can be trained from scratch."""
        return self not in (Family.MONAI, Family.ONNX)


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
    kernels
        Kernel size of each stage; empty derives it: 1 along an axis until it is first
        down-sampled, if others were down-sampled before (thick slices), else 3.
    monai
        The rest of a network of MONAI.
    convs, decoder_convs
        Convolutions (or residual blocks) of each stage, and convolutions of each but the last on
        the way back, where they differ; empty: `convs_per_stage`, 1 on a residual network's way
        back.
    """

    family: Family = Family.UNET
    dims: Annotated[int, {"min": 2, "max": 3}] = 3
    features: tuple[int, ...] = (16, 32, 64, 128)
    strides: tuple[tuple[int, ...], ...] = ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    convs_per_stage: Annotated[int, {"min": 1, "max": 6}] = 2
    deep_supervision: bool = True
    kernels: tuple[tuple[int, ...], ...] = ()
    monai: MonaiShape | None = None
    convs: tuple[int, ...] = ()
    decoder_convs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        stages = len(self.features)
        if self.dims not in (2, 3):
            raise ModelError(f"a network must have 2 or 3 dimensions, got {self.dims}")
        if not 2 <= stages <= MOST_STAGES or min(self.features) < 1:
            raise ModelError(f"a network must have 2 to {MOST_STAGES} stages, got {self.features}")
        convs = (self.convs_per_stage, *self.encoder_counts, *self.decoder_counts)
        if max(self.features) > MOST_FEATURES or not all(1 <= n <= MOST_CONVS for n in convs):
            raise ModelError(
                f"a stage must have at most {MOST_FEATURES} features, {MOST_CONVS} convolutions"
            )
        if len(self.encoder_counts) != stages or len(self.decoder_counts) != stages - 1:
            raise ModelError(
                f"convolutions must be told for {stages} stages and {stages - 1} on the way back, "
                f"got {self.convs} and {self.decoder_convs}"
            )
        for name in ("strides", "kernel_sizes"):
            rows = getattr(self, name)
            if len(rows) != stages or any(len(row) != self.dims for row in rows):
                raise ModelError(f"{name} must be {stages} rows of {self.dims}, got {rows}")
            if any(not 1 <= n <= MOST_STRIDE for row in rows for n in row):
                raise ModelError(f"{name} must be 1 to {MOST_STRIDE}, got {rows}")

    @property
    def encoder_counts(self) -> tuple[int, ...]:
        """Convolutions or residual blocks of each stage."""
        return self.convs or (self.convs_per_stage,) * len(self.features)

    @property
    def decoder_counts(self) -> tuple[int, ...]:
        """Convolutions of each stage of the decoder, the coarsest first."""
        simple = 1 if self.family is Family.RESIDUAL else self.convs_per_stage
        return self.decoder_convs or (simple,) * (len(self.features) - 1)

    @property
    def kernel_sizes(self) -> tuple[tuple[int, ...], ...]:
        """Kernel size of each stage."""
        if self.kernels:
            return self.kernels
        return tuple(self._kernel(stage) for stage in range(len(self.strides)))

    def _kernel(self, stage: int) -> tuple[int, ...]:
        following = self.strides[stage + 1] if stage + 1 < len(self.strides) else ()
        so_far = [max(row[axis] for row in self.strides[: stage + 1]) for axis in range(self.dims)]
        thick = [
            bool(following) and seen == 1 and following[axis] == 1 and max(following) > 1
            for axis, seen in enumerate(so_far)
        ]
        return tuple(1 if flat else 3 for flat in thick)

    @property
    def total_stride(self) -> tuple[int, ...]:
        """What each spatial size must be a multiple of."""
        return tuple(math.prod(row[axis] for row in self.strides) for axis in range(self.dims))
