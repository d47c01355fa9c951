"""File ▸ Open Sample: real scans that come with the package, and where its models are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_medseg import io
from napari_medseg.errors import MedsegError, ReadError
from napari_medseg.volume import Label
from napari_medseg.widgets.files import NOTHING
from napari_medseg.widgets.layers import mask_layer, volume_layers
from napari_medseg.widgets.notices import tell_error

CHEST = "chest_ct"
LUNG, TUMOUR, NODULE = ("lung", "#42d4f4"), ("tumour", "#f58231"), ("nodule", "#f58231")


def folder() -> Path:
    """The sample data: inside an installed package, beside it in a checkout.

    Raises
    ------
    ReadError
        They are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for place in (package.parent / "sample_data", package / "sample_data"):
        if (place / f"{CHEST}.nii.gz").exists():
            return place
    raise ReadError("the sample data must come with the package, they are not there; reinstall it")


def models() -> list[Path]:
    """The models that come with the package, by name."""
    return sorted((folder() / "models").glob("*.safetensors"))


def chest_ct() -> list[Any]:
    """A chest CT with a tumour of 48 ml that the lung model misses; without its mask."""
    return _layers(CHEST, "CT")


def nodule_ct() -> list[Any]:
    """A chest CT with a nodule of 1.4 ml, with lungs and nodule as a mask."""
    return _layers("nodule_ct", "CT", LUNG, NODULE)


def brain_mr() -> list[Any]:
    """A T1 MR of a brain after contrast, with its tumour as a mask."""
    return _layers("brain_mr", "MR", TUMOUR)


def breast_mr() -> list[Any]:
    """A part of a breast MR, with its tumour as a mask."""
    return _layers("breast_mr", "MR", TUMOUR)


def truth(name: str) -> Path:
    """The mask that comes with a sample scan."""
    return folder() / f"{name}_mask.nii.gz"


def _layers(name: str, modality: str, *structures: tuple[str, str]) -> list[Any]:
    """The scan's layers and, with structures named, its mask on top."""
    try:
        volume = io.read(folder() / f"{name}.nii.gz")
        made = volume_layers(replace(volume, name=name, modality=modality))
        if structures:
            names = tuple(Label(n, *one) for n, one in enumerate(structures, start=1))
            mask = replace(io.read_mask(truth(name)), names=names)
            made.append(mask_layer(mask, f"{name} · mask"))
    except MedsegError as error:
        tell_error(error)
        return NOTHING
    return made
