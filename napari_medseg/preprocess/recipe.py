"""What a network wants to see: everything between a scan and its tensor, in one value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from napari_medseg.errors import InputError, ModelError
from napari_medseg.preprocess.nnunet_plan import NnUNetPlan
from napari_medseg.volume import Label

MOST_NEIGHBOURS = 8
SIDES = {"R": "L", "A": "P", "I": "S"}  # each side's opposite, as LPS names it


class Denoise(StrEnum):
    """Filter before normalisation, 3 voxels wide."""

    NONE = "none"
    MEDIAN = "median"
    MEAN = "mean"
    GAUSSIAN = "gaussian"


class Normalise(StrEnum):
    """How intensities become numbers near zero; always per image and channel."""

    ZERO_ONE = "zero-one"  # [0, 1] between the percentiles
    MINUS_ONE_ONE = "minus-one-one"  # [-1, 1] between the percentiles
    Z_SCORE = "z-score"  # mean 0, standard deviation 1
    CT_WINDOW = "ct-window"  # clipped to `window`, then mean 0 and width 2
    # as imported models were taught: no padding is looked for, all voxels count
    RANGE = "range"  # `window` to `onto`
    PERCENTILES = "percentiles"  # from the percentiles to `onto`
    MEAN_STD = "mean-std"  # mean 0, standard deviation 1

    @property
    def foreign(self) -> bool:
        """Whether it stands for another program's."""
        return self in (Normalise.RANGE, Normalise.PERCENTILES, Normalise.MEAN_STD)


class Grid(StrEnum):
    """Where the voxels of another spacing lie."""

    EDGES = "edges"  # over the same field of view; smoothed where it gets coarser
    CORNER = "corner"  # from the centre of the first voxel on, as MONAI's Spacing does


@dataclass(frozen=True)
class CleanRule:
    """What is taken away from one label of a finished mask, and filled; by default nothing.

    Attributes
    ----------
    value
        The label's number in the mask.
    keep_largest
        Only its largest connected piece stays; voxels that share a face, an edge or a corner are
        connected.
    smallest_ml
        Pieces below this volume go.
    fill_holes
        Background that it encloses on all sides (in the plane, for a single slice) joins it.
    """

    value: int
    keep_largest: bool = False
    smallest_ml: float = 0.0
    fill_holes: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.smallest_ml < math.inf:
            raise InputError(f"the smallest piece must be 0 ml or more, got {self.smallest_ml}")


@dataclass(frozen=True)
class Recipe:
    """Scan to tensor and back; travels inside the checkpoint.

    Attributes
    ----------
    labels
        The structures, in the order of the network's outputs 1, 2, …; output 0 is background.
    channels
        What each input channel is, e.g. ("CT",) or ("T1", "FLAIR").
    spacing_mm
        (Z, Y, X) that the network was trained at; None keeps each scan's own grid.
    patch
        (Z, Y, X) voxels of a tile; (1, Y, X) for a 2-D network.
    percentiles
        Ends of the intensity range that ZERO_ONE, MINUS_ONE_ONE and Z_SCORE clip to.
    window
        (low, high) HU, for CT_WINDOW and RANGE.
    mirror_axes
        Axes (0 Z, 1 Y, 2 X) along which the anatomy may be flipped in training.
    clean
        What a finished mask is cleaned of, learned from validation cases.
    orientation
        The sides that x, y and z of the network's grid grow to; "LPS" for our own models. A network
        of a program that orders arrays (X, Y, Z), RAS, reads "SAR", one of coronal slices "LIP".
    neighbours
        Slices on either side that a 2-D network sees too; the first and last one are repeated.
    grid
        Where the voxels of `spacing_mm` lie.
    onto
        (low, high) that RANGE and PERCENTILES map to.
    clip
        Whether they cut off what lies beyond.
    nonzero
        Whether MEAN_STD leaves out voxels that are 0, which stay 0.
    regions
        The mask values that each output covers, where outputs overlap: then none of them is
        background, and `labels` tells what each paints where it is above 0, the later over the
        earlier.
    nnunet
        What an imported nnU-Net does instead; then spacing, patch and mirror axes are in the order
        of its own axes, and nothing here from `denoise` to `nonzero` counts.
    scout
        How many times coarser scans the network was also taught to read, for a look at the whole
        before the parts; 1: none.
    borders
        Whether that look may stand where it is sure, such that only borders are computed closely.
    """

    labels: tuple[Label, ...]
    channels: tuple[str, ...] = ("image",)
    spacing_mm: tuple[float, float, float] | None = None
    patch: tuple[int, int, int] = (64, 64, 64)
    denoise: Denoise = Denoise.NONE
    normalise: Normalise = Normalise.Z_SCORE
    percentiles: tuple[float, float] = (0.5, 99.5)
    window: tuple[float, float] = (-1000.0, 1000.0)
    mirror_axes: tuple[int, ...] = ()
    clean: tuple[CleanRule, ...] = ()
    orientation: str = "LPS"
    neighbours: int = 0
    scout: float = 1.0
    borders: bool = False
    grid: Grid = Grid.EDGES
    onto: tuple[float, float] = (0.0, 1.0)
    clip: bool = True
    nonzero: bool = False
    regions: tuple[tuple[int, ...], ...] = ()
    nnunet: NnUNetPlan | None = None

    def __post_init__(self) -> None:
        if sorted("LPS".find(SIDES.get(one, one)) for one in self.orientation) != [0, 1, 2]:
            raise ModelError(
                f"a network's axes must grow to three sides such as LPS, got {self.orientation!r}"
            )
        if not 0 <= self.neighbours <= (MOST_NEIGHBOURS if self.patch[0] == 1 else 0):
            raise ModelError(
                f"a 2-D network may see 0 to {MOST_NEIGHBOURS} slices on either side, any other "
                f"none, got {self.neighbours} for patches of {self.patch}"
            )
        if self.regions and len(self.regions) != len(self.labels):
            raise ModelError(
                f"each region must paint one label, got {len(self.regions)} regions for "
                f"{len(self.labels)} labels"
            )
        if self.nnunet is not None and len(self.nnunet.channels) != len(self.channels):
            raise ModelError(
                f"each of {len(self.channels)} channels must be normalised, got "
                f"{len(self.nnunet.channels)} ways to do it"
            )

    @property
    def n_inputs(self) -> int:
        """Input channels of the network: the scan's, those of its neighbours, a former stage's."""
        previous = self.nnunet.previous if self.nnunet else 0
        return len(self.channels) * (2 * self.neighbours + 1) + previous

    @property
    def n_outputs(self) -> int:
        """Labels and background; regions alone where they overlap."""
        return len(self.labels) + (not self.regions)

    @property
    def belongs(self) -> tuple[tuple[bool, ...], ...]:
        """For each of `values` whether its voxels lie in each region; empty where none overlap."""
        return tuple(tuple(v in one for one in self.regions) for v in self.values if self.regions)

    @property
    def values(self) -> tuple[int, ...]:
        """Mask value of each output, 0 first: of the largest, or of the last region above 0."""
        return (0, *(label.value for label in self.labels))
