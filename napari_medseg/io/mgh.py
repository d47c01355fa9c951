"""FreeSurfer's MGH and MGZ: read only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from napari_medseg.errors import ReadError
from napari_medseg.io import guard
from napari_medseg.io.nifti import native
from napari_medseg.volume import Geometry, Volume

HEADER_BYTES = 284


def read(path: Path) -> Volume:
    """An MGH volume; big-endian in the file, native here."""
    with guard.refusing(path, MGHError, HeaderDataError, WrapStructError):
        header = MGHHeader(guard.head(path, HEADER_BYTES), check=False)
        shape = [int(n) for n in header["dims"]]  # x, y, z, frames
        if int(header["version"]) != 1 or min(shape) < 1:
            raise ReadError("must be an MGH file of version 1, got something else", path.name)
        dtype = np.dtype(header.get_data_dtype()).newbyteorder(">")
        want = int(np.prod(shape, dtype=object)) * dtype.itemsize
        packing = "gzip" if guard.is_gzip(path) else ""
        flat = native(guard.payload(path, want, HEADER_BYTES, packing=packing).view(dtype))
        known = int(header["goodRASFlag"]) > 0
        geometry = Geometry.from_ras((shape[2], shape[1], shape[0]), header.get_affine())
    array = flat.reshape(shape[::-1])
    notes = [] if known else ["the orientation is unknown: left and right may be swapped"]
    if shape[3] > 1:
        notes.append(f"4-D: its {shape[3]} frames are shown as channels")
    return Volume(
        array if shape[3] > 1 else array[0],
        geometry,
        channels=tuple(f"frame {i}" for i in range(shape[3])) if shape[3] > 1 else (),
        warnings=tuple(notes),
        header={"format": "mgh"},
    )
