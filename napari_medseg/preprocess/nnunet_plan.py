"""What nnU-Net does between a scan and its tensor, as far as its plans leave it open."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from napari_medseg.errors import ModelError


class Scheme(StrEnum):
    """nnU-Net's normalisations."""

    CT = "CTNormalization"  # clipped to percentiles of the training set, then its mean and spread
    Z_SCORE = "ZScoreNormalization"  # mean 0, standard deviation 1, of this scan
    NONE = "NoNormalization"
    UNIT = "RescaleTo01Normalization"  # 0 to 1 between the lowest and the highest value
    RGB = "RGBTo01Normalization"  # divided by 255


@dataclass(frozen=True)
class Intensity:
    """How one channel is normalised.

    Attributes
    ----------
    masked
        Z_SCORE looks at, and changes, only what is not the zero background.
    mean, std, low, high
        Of the training set, for CT; `low` and `high` are its 0.5 and 99.5 percentiles.
    """

    scheme: Scheme
    masked: bool = False
    mean: float = 0.0
    std: float = 1.0
    low: float = 0.0
    high: float = 0.0


class Resize(StrEnum):
    """nnU-Net's ways to another number of voxels."""

    SPLINE = "resample_data_or_seg_to_shape"  # scikit-image's resize
    TORCH = "resample_torch_fornnunet"  # linear


@dataclass(frozen=True)
class Resampling:
    """How voxels get another spacing.

    Attributes
    ----------
    order
        Of the spline; 1 for TORCH.
    separate
        Whether the coarsest axis takes the nearest plane and only the others are interpolated;
        None: where it is more than three times as coarse as the finest one.
    """

    by: Resize = Resize.SPLINE
    order: int = 3
    separate: bool | None = None

    def __post_init__(self) -> None:
        if self.order not in range(6):
            raise ModelError(f"a spline must have order 0 to 5, got {self.order}")


@dataclass(frozen=True)
class NnUNetPlan:
    """Scan to tensor as nnU-Net does it: crop to what is not zero, normalise, resample, pad by 0.

    Attributes
    ----------
    channels
        How each is normalised.
    data, logits
        How the scan comes to the network's spacing, and the logits back; `logits` is linear.
    transpose
        Order of the file's axes (Z, Y, X) that the network sees: `transpose_forward` of the plans.
    reorient
        Whether the file is turned to `Recipe.orientation` first (NibabelIOWithReorient); most
        networks see the axes as the file has them.
    previous
        Labels of the stage before, each another input channel; 0 for all but a cascade's second.
    """

    channels: tuple[Intensity, ...]
    data: Resampling = Resampling()
    logits: Resampling = Resampling(order=1)
    transpose: tuple[int, int, int] = (0, 1, 2)
    reorient: bool = False
    previous: int = 0

    def __post_init__(self) -> None:
        if self.logits.order != 1:
            raise ModelError(f"logits must be resampled linearly, got order {self.logits.order}")
        if sorted(self.transpose) != [0, 1, 2]:
            raise ModelError(f"a transposition must order 0, 1 and 2, got {self.transpose}")
        if not 0 <= self.previous < 1000:
            raise ModelError(f"a stage must have 0 to 999 labels, got {self.previous}")
