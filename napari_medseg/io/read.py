"""One door for all files: `read`, `read_mask`, `read_masks`, `list_series`, `check_label`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import numpy as np

from napari_medseg.errors import GridError, ReadError
from napari_medseg.io.files import format_of, stem
from napari_medseg.io.labels import as_labels, doubts
from napari_medseg.volume import Geometry, Label, Mask, Volume
from napari_medseg.volume.geometry import Affine
from napari_medseg.volume.resample import mask_on
from napari_medseg.volume.volume import COLOURS

PLAUSIBLE_MM = (0.001, 50.0)  # a voxel's edge, from a micrograph to a scout view
POSSIBLE_MM = (1e-6, 1e4)


@dataclass(frozen=True, eq=False)
class SeriesInfo:
    """What a file or one series of a folder holds, as `medseg info` tells it.

    Attributes
    ----------
    shape, spacing_mm
        Along (Z, Y, X).
    affine_ras
        (4, 4) voxel (x, y, z) to RAS millimetres.
    channels
        How many.
    value_range
        (lowest, highest) finite value; None where the voxels were not read.
    """

    name: str
    modality: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    affine_ras: Affine
    axcodes: str
    dtype: str
    channels: int
    warnings: tuple[str, ...]
    unit: str = ""
    value_range: tuple[float, float] | None = None


def read(path: Path | str, series: str | None = None) -> Volume:
    """A scan from a file or a DICOM folder.

    Parameters
    ----------
    series
        Which one, by its name in `list_series`; needed where a folder holds several.

    Raises
    ------
    ReadError
        It cannot be read faithfully, or holds several series and none is named.
    """
    path = Path(path)
    kind = format_of(path)
    if kind == "dicom":
        from napari_medseg.io import dicom

        return _checked(dicom.read(path, series), path)
    volume = import_module(f"napari_medseg.io.{kind}").read(path)
    if series is not None and series != stem(path):
        raise ReadError(f"must hold the series {series!r}, got a single scan", path.name)
    return _checked(replace(volume, name=stem(path)), path)


def read_mask(path: Path | str) -> Mask:
    """Labels from a file: whole numbers, kept as they are, in the smallest unsigned type.

    -1 becomes 255 ("ignore") with a warning.

    Raises
    ------
    ReadError
        The voxels are not labels, or there is more than one volume of them.
    """
    path = Path(path)
    volume = _numbers(path)
    if volume.n_channels > 1:
        raise ReadError(
            f"a mask must be one volume of labels, got {volume.n_channels}; save one label map",
            path.name,
        )
    return _mask(volume, path)


def read_masks(path: Path | str) -> tuple[Mask, ...]:
    """The masks of a series in time: each volume of a file as `read_mask` reads a single one.

    Raises
    ------
    ReadError
        The voxels are not labels, or it is a colour picture.
    """
    path = Path(path)
    volume = _numbers(path)
    if volume.channels == COLOURS:
        raise ReadError("a mask must hold labels, got a colour picture", path.name)
    return tuple(_mask(volume.channel(frame), path) for frame in range(volume.n_channels))


def _numbers(path: Path) -> Volume:
    """The file's voxels as they are stored, a palette's numbers and not its colours."""
    kind = format_of(path)
    if kind == "dicom":
        raise ReadError("a mask must be NIfTI, NRRD, MHA or a picture, got DICOM", path.name)
    if kind == "picture":
        from napari_medseg.io import picture

        return picture.read(path, palette=True)
    volume: Volume = import_module(f"napari_medseg.io.{kind}").read(path)
    return volume


def _mask(volume: Volume, path: Path) -> Mask:
    """Labels from the numbers of one volume."""
    _check_grid(volume.geometry, path)
    labels, notes = as_labels(volume.array, path.name)
    names = tuple(Label(*segment) for segment in volume.header.get("labels", ()))
    warnings = (*volume.warnings, *_grid_notes(volume.geometry, volume.warnings), *notes)
    return Mask(labels, volume.geometry, names, warnings, volume.header)


def check_label(path: Path | str, image_path: Path | str) -> list[str]:
    """Warnings about a file as the mask of a scan; empty where it fits without a word.

    Raises
    ------
    ReadError
        One of the two cannot be read.
    GridError
        The mask does not lie on the scan's grid.
    """
    mask, image = read_mask(path), read(image_path)
    try:
        mask_on(mask, image.geometry)
    except GridError as error:
        raise GridError(error.message, Path(path).name) from error
    return list(mask.warnings)


def list_series(path: Path | str) -> list[SeriesInfo]:
    """What a file or folder holds; the voxels of DICOM files are not decoded for it.

    Raises
    ------
    ReadError
        There is no usable scan in it.
    """
    path = Path(path)
    if format_of(path) == "dicom":
        from napari_medseg.io import dicom

        return [
            _info(
                one.name,
                one.modality,
                one.geometry,
                one.dtype,
                one.channels,
                one.warnings,
                one.unit,
            )
            for one in dicom.list_series(path)
        ]
    volume = read(path)
    info = _info(
        volume.name,
        volume.modality,
        volume.geometry,
        str(volume.array.dtype),
        volume.n_channels,
        (*volume.warnings, *doubts(volume.array)),
        volume.unit,
    )
    return [replace(info, value_range=_range(volume))]


def _info(
    name: str,
    modality: str,
    geometry: Geometry,
    dtype: str,
    channels: int,
    warnings: tuple[str, ...],
    unit: str,
) -> SeriesInfo:
    return SeriesInfo(
        name,
        modality,
        geometry.shape,
        geometry.spacing_mm,
        geometry.affine_ras,
        geometry.axcodes,
        dtype,
        channels,
        warnings,
        unit,
    )


def _range(volume: Volume) -> tuple[float, float] | None:
    array = volume.array
    if array.dtype.kind == "f":
        array = array[np.isfinite(array)]
    return (float(array.min()), float(array.max())) if array.size else None


def _checked(volume: Volume, path: Path) -> Volume:
    """The volume with what holds for every format: a sane grid, finite numbers counted."""
    _check_grid(volume.geometry, path)
    notes = [*volume.warnings, *_grid_notes(volume.geometry, volume.warnings)]
    if volume.array.dtype.kind == "f":
        n_nan = int(np.isnan(volume.array).sum())
        n_inf = int(np.isinf(volume.array).sum())
        if n_nan or n_inf:
            notes.append(
                f"{n_nan} voxels are not a number and {n_inf} are infinite; they are ignored"
            )
    return replace(volume, warnings=tuple(notes))


def _check_grid(geometry: Geometry, path: Path) -> None:
    low, high = POSSIBLE_MM
    if not all(low <= mm <= high for mm in geometry.spacing_mm):
        sizes = " × ".join(f"{mm:.3g}" for mm in geometry.spacing_mm)
        raise ReadError(f"voxels must have a possible size, got {sizes} mm; repair it", path.name)


def _grid_notes(geometry: Geometry, said: tuple[str, ...]) -> list[str]:
    """What is odd about a grid, unless the reader has said it."""
    notes = []
    low, high = PLAUSIBLE_MM
    if not all(low <= mm <= high for mm in geometry.spacing_mm):
        sizes = " × ".join(f"{mm:.3g}" for mm in geometry.spacing_mm)
        notes.append(f"voxels of {sizes} mm are not plausible: check the file's units")
    if geometry.is_sheared and not any("sheared" in note for note in said):
        notes.append("the grid is sheared (axes not perpendicular); it is kept exactly as it is")
    return notes
