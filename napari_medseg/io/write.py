"""Saving a mask or a scan so that under its name there is the whole of it, or what was before."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from isal import igzip

from napari_medseg.errors import GridError, WriteError
from napari_medseg.io import metaimage, nifti, nrrd, picture
from napari_medseg.io.files import MASK_WRITABLE, WRITABLE, ending
from napari_medseg.volume import Geometry, Mask, Volume


@dataclass(frozen=True)
class _Picture:
    """What stands for a module of this room where one module writes two formats."""

    write: Callable[..., None]
    read: Callable[[Path], Volume] = picture.read


FORMATS: dict[str, Any] = {
    ".nii.gz": nifti,
    ".nii": nifti,
    ".nrrd": nrrd,
    ".mha": metaimage,
    ".png": _Picture(picture.write_png),
    ".tif": _Picture(picture.write_tiff),
    ".tiff": _Picture(picture.write_tiff),
}
FAULTS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EACCES: "there is no permission; choose another folder",
    errno.EPERM: "there is no permission; choose another folder",
    errno.EROFS: "the folder is read-only; choose another folder",
    errno.ENOENT: "the folder does not exist; create it or choose another",
    errno.ENOTDIR: "the folder does not exist; create it or choose another",
    errno.EISDIR: "a folder of this name is there; choose another name",
}


def write_mask(mask: Mask, path: Path | str) -> None:
    """Save labels on the mask's own grid; the name's ending picks the format.

    A PNG or TIFF knows no millimetres: only the mask of a picture can be one.

    Raises
    ------
    WriteError
        It could not be saved; nothing half-written is left and an older file is as it was.
    """
    labels = mask.labels.astype(np.min_scalar_type(int(mask.labels.max(initial=0))), copy=False)
    _save(labels, mask.geometry, mask.header, Path(path), MASK_WRITABLE)


def write_masks(masks: Sequence[Mask], path: Path | str) -> None:
    """Save the masks of a series in time, one grid for all, as a 4-D file in their order.

    Raises
    ------
    GridError
        They do not share a grid.
    WriteError
        As `write_mask`.
    """
    first = masks[0]
    for other in masks[1:]:
        if not other.geometry.same_grid(first.geometry):
            raise GridError(
                f"masks of a series must share a grid, got {first.geometry} and {other.geometry}",
                Path(path).name,
            )
    labels = np.stack([mask.labels for mask in masks])
    labels = labels.astype(np.min_scalar_type(int(labels.max(initial=0))), copy=False)
    _save(labels, first.geometry, first.header, Path(path), WRITABLE)


def write_volume(volume: Volume, path: Path | str) -> None:
    """Save a scan with its own numbers, type and grid; the name's ending picks the format.

    Raises
    ------
    WriteError
        As `write_mask`.
    """
    array = volume.array
    if array.dtype == np.float16 or array.dtype.kind == "b":
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.uint8)
    _save(array, volume.geometry, volume.header, Path(path), WRITABLE)


def _save(
    array: npt.NDArray[Any],
    geometry: Geometry,
    header: Mapping[str, Any],
    path: Path,
    endings: Sequence[str],
) -> None:
    if ending(path) not in endings:
        raise WriteError(f"must end in {' '.join(endings)}, got {path.suffix or 'none'}", path.name)
    known = FORMATS[ending(path)]
    with _replacing(path) as temporary:
        with temporary.open("xb") as file:
            if ending(path).endswith(".gz"):
                with igzip.IGzipFile("", "wb", 1, fileobj=file, mtime=0) as stream:
                    known.write(stream, array, geometry, header)
            else:
                known.write(file, array, geometry, header)
            file.flush()
            os.fsync(file.fileno())
        _compare(known.read(temporary), array, geometry, path)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; renamed to it at the end, gone if anything fails."""
    target = Path(os.path.realpath(path))  # through a link, to the file it stands for
    temporary = target.with_name(f".{secrets.token_hex(4)}.{target.name}"[:255])
    try:
        yield temporary
        os.replace(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        reason = FAULTS.get(error.errno or 0, error.strerror or str(error))
        raise WriteError(f"cannot be saved: {reason}", path.name) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut; Windows has no such call."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _compare(back: Volume, array: npt.NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Refuse what does not read back voxel for voxel on the same grid."""
    same = back.array.dtype == array.dtype and back.array.shape == array.shape
    nan_too = array.dtype.kind == "f"
    if not same or not np.array_equal(back.array, array, equal_nan=nan_too):
        raise WriteError("cannot be saved: it did not read back as written; try again", path.name)
    if not back.geometry.same_grid(geometry):
        raise WriteError("cannot be saved: its grid did not read back; try .nrrd", path.name)
