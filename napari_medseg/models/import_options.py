"""What a foreign model does not say of itself and its importer may add."""

from __future__ import annotations

from dataclasses import dataclass

from napari_medseg.errors import ModelError
from napari_medseg.preprocess.recipe import Normalise


class UntoldError(ModelError):
    """A model can be imported once somebody says more of it."""


@dataclass(frozen=True)
class ImportOptions:
    """The knobs of an import; the first three for nnU-Net, the others for ONNX.

    Attributes
    ----------
    configuration
        Such as "3d_fullres"; empty where the folder holds one.
    folds
        Which to use; empty takes all.
    checkpoint
        The file in each fold.
    labels
        Names of the outputs 1, 2, …; output 0 is background.
    channels
        Names of the inputs.
    spacing_mm
        (Z, Y, X) that the model reads; empty takes each scan's own.
    normalise, window
        As in `Recipe`.
    patch
        (Z, Y, X) voxels of a tile; empty takes what the model says.
    orientation
        As in `Recipe`.
    """

    configuration: str = ""
    folds: tuple[int, ...] = ()
    checkpoint: str = "checkpoint_final.pth"
    labels: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    normalise: Normalise | None = None
    window: tuple[float, float] | None = None
    patch: tuple[int, ...] = ()
    orientation: str = "LPS"
