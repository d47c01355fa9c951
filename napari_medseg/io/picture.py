"""PNG, JPEG and TIFF: flat pictures, and TIFF stacks; masks are written as PNG and TIFF."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import PIL.Image
import tifffile

from napari_medseg.errors import ReadError, WriteError
from napari_medseg.io import guard
from napari_medseg.volume import Geometry, Volume
from napari_medseg.volume.volume import COLOURS

NO_SIZE = "the pixel size is unknown: 1 mm was assumed, do not trust mm and ml"
GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def read(path: Path, palette: bool = False) -> Volume:
    """A picture as a stack of its pages; colour becomes three channels.

    Parameters
    ----------
    palette
        Keep a palette picture's numbers, as masks need, and not its colours.
    """
    with guard.refusing(path, tifffile.TiffFileError, PIL.Image.DecompressionBombError):
        if path.stat().st_size == 0:
            raise ReadError(
                "must be a picture, got an empty file (0 bytes); copy it again", path.name
            )
        pages = _tiff(path) if path.suffix.lower() in (".tif", ".tiff") else None
        if pages is None:
            pages = _pages(path, palette)
    array = _channels_first(pages)
    geometry = Geometry(array.shape[-3:], np.eye(4))
    return Volume(
        array if array.ndim == 3 else np.ascontiguousarray(array),
        geometry,
        channels=COLOURS if array.ndim == 4 else (),
        warnings=(NO_SIZE,),
        header={"format": "picture"},
    )


def write_png(
    stream: BinaryIO, array: npt.NDArray[Any], geometry: Geometry, header: Mapping[str, Any]
) -> None:
    """One slice (1, Y, X) of labels as grey levels: every program reads them as numbers."""
    if len(array) > 1 or array.dtype.itemsize > 2:
        raise WriteError(f"a PNG holds one slice of labels to 65535, got {array.shape}; try .nrrd")
    PIL.Image.fromarray(array[0]).save(stream, "PNG")


def write_tiff(
    stream: BinaryIO, array: npt.NDArray[Any], geometry: Geometry, header: Mapping[str, Any]
) -> None:
    """Slices (Z, Y, X) as pages."""
    tifffile.imwrite(stream, array, photometric="minisblack", compression="zlib")


def _tiff(path: Path) -> npt.NDArray[Any] | None:
    """(Z, Y, X) or (Z, Y, X, colours); None for what Pillow reads and tifffile does not."""
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        page = series.keyframe
        guard.check_size(path, int(series.nbytes), path.stat().st_size * guard.DEFLATE_RATIO)
        if page.compression not in (1, 8, 32946) or page.photometric == 3:  # else: LZW, palette
            return None
        array = np.asarray(series.asarray())
        colours = page.samplesperpixel > 1 and page.planarconfig == 1
    if page.samplesperpixel > 1 and not colours:
        raise ReadError("must have its colours interleaved, got separate planes", path.name)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iuf":
        raise ReadError(f"must hold real numbers, got {array.dtype}", path.name)
    tail = array.shape[-3:] if colours else array.shape[-2:]
    return array.reshape(-1, *tail)


def _pages(path: Path, palette: bool) -> npt.NDArray[Any]:
    """By Pillow: (Z, Y, X) or (Z, Y, X, colours)."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        try:
            with PIL.Image.open(path, formats=("PNG", "JPEG", "TIFF")) as image:
                n = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
                want = image.width * image.height * 4 * n
                guard.check_size(path, want, path.stat().st_size * 4 * guard.DEFLATE_RATIO)
                pages = []
                for i in range(n):
                    image.seek(i)
                    pages.append(_page(image, palette))
        except PIL.Image.DecompressionBombWarning as error:
            raise ReadError(
                "must be a picture of a sane size, got a huge one", path.name
            ) from error
    if len({page.shape for page in pages}) > 1:
        raise ReadError("must have pages of one size, got several; save them apart", path.name)
    return np.stack(pages)


def _page(image: PIL.Image.Image, palette: bool) -> npt.NDArray[Any]:
    if image.mode in GREY_MODES or (palette and image.mode == "P"):
        page = np.asarray(image)
        return page.astype(np.uint8) if page.dtype == bool else page.copy()
    return np.asarray(image.convert("L" if image.mode == "LA" else "RGB"))


def _channels_first(pages: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(Z, Y, X) where all colours are equal, else (3, Z, Y, X)."""
    if pages.ndim == 3:
        return pages
    red = pages[..., 0]
    if all(np.array_equal(red, pages[..., i]) for i in range(1, min(pages.shape[-1], 3))):
        return np.ascontiguousarray(red)
    if pages.shape[-1] < 3:  # grey and alpha
        return np.ascontiguousarray(red)
    return np.moveaxis(pages[..., :3], -1, 0)
