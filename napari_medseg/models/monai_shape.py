"""The shape of a network of MONAI, as a few checked numbers; its blocks are in `monai_nets`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_medseg.errors import ModelError

MOST_BLOCKS, MOST_GROUPS, MOST_FEATURES, LARGEST_KERNEL = 16, 1024, 2048, 9


class Net(StrEnum):
    """The closed list, by MONAI's own class names."""

    UNET = "UNet"
    BASIC = "BasicUNet"
    DYNAMIC = "DynUNet"
    SEGRES = "SegResNet"


class Norm(StrEnum):
    """What keeps features near zero."""

    NONE = "none"
    INSTANCE = "instance"
    BATCH = "batch"  # with the statistics that it learned, also while it is fine-tuned
    GROUP = "group"


class Act(StrEnum):
    """The non-linearity."""

    PRELU = "prelu"
    RELU = "relu"
    LEAKY = "leakyrelu"
    ELU = "elu"


class Up(StrEnum):
    """How the decoder gets finer."""

    DECONV = "deconv"
    LINEAR = "nontrainable"


@dataclass(frozen=True)
class MonaiShape:
    """What `NetworkConfig` does not say of a network of MONAI.

    Attributes
    ----------
    net
        Which of the closed list.
    affine
        Whether instance normalisation has weights.
    groups
        Of group normalisation.
    slope
        Of LeakyReLU; ELU's alpha.
    bias
        Whether convolutions have one (DynUNet: the transposed ones).
    order
        Of normalisation N and activation A in a block; D, dropout, does nothing here.
    residual
        UNet: convolutions of a residual unit, 0 for plain blocks. DynUNet: 1 for residual blocks.
    up_kernel
        UNet: of the decoder's transposed convolutions.
    blocks_down, blocks_up
        SegResNet: residual blocks of each stage.
    last
        BasicUNet: features before the output.
    """

    net: Net
    norm: Norm = Norm.INSTANCE
    affine: bool = False
    groups: int = 8
    eps: float = 1e-5
    act: Act = Act.PRELU
    slope: float = 0.01
    bias: bool = True
    order: str = "NDA"
    residual: int = 0
    up_kernel: tuple[int, ...] = ()
    up: Up = Up.DECONV
    blocks_down: tuple[int, ...] = ()
    blocks_up: tuple[int, ...] = ()
    last: int = 32

    def __post_init__(self) -> None:
        blocks = (self.residual, *self.blocks_down, *self.blocks_up)
        if max(blocks) > MOST_BLOCKS or min(blocks) < 0:
            raise ModelError(f"a stage must have at most {MOST_BLOCKS} blocks, got {blocks}")
        if any(n % 2 == 0 or not 1 <= n <= LARGEST_KERNEL for n in self.up_kernel):
            raise ModelError(
                f"a kernel must be odd and at most {LARGEST_KERNEL}, got {self.up_kernel}"
            )
        if len(set(self.order)) != len(self.order) or not set(self.order) <= set("NDA"):
            raise ModelError(f"a block's order must be of N, D and A, got {self.order!r}")
        if not 1 <= self.groups <= MOST_GROUPS or not 1 <= self.last <= MOST_FEATURES:
            raise ModelError(f"groups and features must be in bounds, got {self.groups, self.last}")
        if not 0 < self.eps < 1 or not abs(self.slope) <= 10:
            raise ModelError(f"eps and slope must be small, got {self.eps} and {self.slope}")
