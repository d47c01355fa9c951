"""NIfTI-1 and NIfTI-2, in one file or two.

nibabel reads the header; the voxels come through `guard.payload`, for nibabel itself stops
before a gzip's checksum and allocates whatever the header promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from napari_medseg.errors import ReadError
from napari_medseg.io import guard
from napari_medseg.io.nifti_forms import Forms
from napari_medseg.volume import Geometry, Volume

LONGEST_SIDE = 32767  # of NIfTI-1: its sizes are 16-bit
EXACT_FORMS_MM = 1e-4  # kept forms must give the mask's grid this exactly to be written again


def read(path: Path) -> Volume:
    """A NIfTI as it is stored; scaled by its slope, native byte order."""
    header_path, data_path = _pair(path)
    with guard.refusing(path, HeaderDataError, WrapStructError):
        header, version, single = _header(header_path)
        shape = _shape(header, path)
        dtype = _dtype(header, path)
        raw = _voxels(header, data_path, shape, dtype, single)
    array, notes = _scaled(raw.reshape(shape[::-1]), header)
    forms = Forms.of(header, 2 if int(header["dim"][0]) == 2 else 3, version)
    try:
        geometry, more = forms.geometry(array.shape[-3:])
    except ReadError as error:
        raise ReadError(error.message, path.name) from error
    low, high = float(header["cal_min"]), float(header["cal_max"])
    return Volume(
        array,
        geometry,
        channels=tuple(f"channel {i}" for i in range(shape[3])) if len(shape) == 4 else (),
        warnings=(*notes, *more, *_axes_notes(shape)),
        window=(low, high) if np.isfinite([low, high]).all() and high > low else None,
        header=forms.keep(),
    )


def _pair(path: Path) -> tuple[Path, Path]:
    """Where header and voxels are: one file, or .hdr and .img beside each other."""
    for own, other in ((".hdr", ".img"), (".img", ".hdr")):
        for gz in ("", ".gz"):
            if path.name.lower().endswith(own + gz):
                mate = path.name[: -len(own + gz)] + other
                found = [path.with_name(mate + end) for end in ("", ".gz")]
                here = next((one for one in found if one.is_file()), None)
                if here is None:
                    raise ReadError(f"must have its {mate} beside it, got none", path.name)
                return (path, here) if own == ".hdr" else (here, path)
    return path, path


def _header(path: Path) -> tuple[Any, int, bool]:
    """nibabel's header, NIfTI's version, and whether the voxels follow in the same file."""
    start = guard.head(path, 540)
    sizes = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    if 348 in sizes and start[344:347] in (b"n+1", b"ni1") and len(start) >= 348:
        header = Nifti1Header(start[:348], check=False)
        return header, 1, start[344:347] == b"n+1"
    if 540 in sizes and start[4:7] in (b"n+2", b"ni2") and len(start) == 540:
        return Nifti2Header(start, check=False), 2, start[4:7] == b"n+2"
    if not start:
        raise ReadError(
            "must be a NIfTI file, got an empty one (0 bytes); copy it again", path.name
        )
    if 348 in sizes and len(start) >= 348:
        raise ReadError(
            "must be a NIfTI file, got Analyze 7.5, which has no left and right", path.name
        )
    raise ReadError("must be a NIfTI file, got something else under its name", path.name)


def _shape(header: Any, path: Path) -> tuple[int, ...]:
    """(x, y, z) or (x, y, z, channels), at least one voxel each."""
    ndim = int(header["dim"][0])
    sizes = [int(n) for n in header["dim"][1 : ndim + 1]] if 1 <= ndim <= 7 else []
    if ndim < 2 or not sizes or min(sizes) < 1:
        raise ReadError(f"must have two to seven sizes of one or more, got {sizes}", path.name)
    more = [n for n in sizes[3:] if n > 1]
    if len(more) > 1:
        raise ReadError(f"must be a volume or one series of volumes, got sizes {sizes}", path.name)
    return (*[*sizes, 1][:3], *more)


def _axes_notes(shape: tuple[int, ...]) -> list[str]:
    if len(shape) == 3:
        return []
    return [f"4-D: its {shape[3]} volumes are shown as channels (time points or sequences?)"]


def _dtype(header: Any, path: Path) -> np.dtype[Any]:
    code = int(header["datatype"])
    try:
        dtype: np.dtype[Any] = np.dtype(header.get_data_dtype())
    except (HeaderDataError, KeyError) as error:
        raise ReadError(f"must have a known data type, got code {code}", path.name) from error
    if dtype.fields is not None:
        raise ReadError("must have one number per voxel, got an RGB colour picture", path.name)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ReadError(f"must hold real numbers of at most 64 bits, got {dtype}", path.name)
    return dtype


def _voxels(
    header: Any, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], single: bool
) -> npt.NDArray[Any]:
    """The stored numbers, flat, native byte order."""
    offset, least = float(header["vox_offset"]), header.sizeof_hdr + 4 if single else 0
    offset = least if offset == 0 else offset
    if not (least <= offset < 2**62 and offset == int(offset)):
        raise ReadError(f"must have its voxels behind its header, got offset {offset}", path.name)
    want = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
    packing = "gzip" if guard.is_gzip(path) else ""
    return native(guard.payload(path, want, int(offset), packing=packing).view(dtype))


def native(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same numbers in this machine's byte order (torch refuses the other one)."""
    if array.dtype.isnative:
        return array
    return array.byteswap(inplace=True).view(array.dtype.newbyteorder("="))


def _scaled(array: npt.NDArray[Any], header: Any) -> tuple[npt.NDArray[Any], list[str]]:
    """Stored numbers times slope plus intercept; a slope of 0 or NaN means none."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isnan(slope) or slope == 0 or (slope, inter) == (1.0, 0.0):
        return array, []
    if not np.isfinite([slope, inter]).all():
        return array, ["its intensity scale is not finite and was ignored"]
    wide = np.float32 if array.dtype.itemsize <= 2 else np.float64  # 24 bits hold 16 exactly
    return array * wide(slope) + wide(inter), []


def write(
    stream: BinaryIO, array: npt.NDArray[Any], geometry: Geometry, header: Mapping[str, Any]
) -> None:
    """Write an array (Z, Y, X) or (C, Z, Y, X) with the source's forms where they fit the grid."""
    forms = Forms.kept(header)
    if forms is not None and not _fits(forms, geometry):
        forms = None
    sizes = array.shape[::-1]
    if forms is not None and forms.ndim == 2 and array.shape[0] == 1 and array.ndim == 3:
        sizes = sizes[:2]
    big = max(sizes) > LONGEST_SIDE or (forms is not None and forms.version == 2)
    fresh = Nifti2Header() if big else Nifti1Header()
    fresh.set_data_dtype(array.dtype)
    fresh.set_data_shape(sizes)
    _place(fresh, geometry, forms)
    fresh["scl_slope"], fresh["scl_inter"] = 1.0, 0.0  # a mask of a scaled scan is not scaled
    fresh["vox_offset"] = len(fresh.binaryblock) + 4
    stream.write(fresh.binaryblock + b"\0\0\0\0")
    stream.write(guard.as_bytes(array))


def _fits(forms: Forms, geometry: Geometry) -> bool:
    try:
        again, _ = forms.geometry(geometry.shape)
    except ReadError:
        return False
    return again.same_grid(geometry, EXACT_FORMS_MM)


def _place(header: Any, geometry: Geometry, forms: Forms | None) -> None:
    if forms is None:
        header.set_xyzt_units("mm")
        header.set_qform(geometry.affine_ras, code=0 if geometry.is_sheared else 1)
        header["pixdim"][1:4] = geometry.spacing_mm[::-1]
        header.set_sform(geometry.affine_ras, code=1)
        return
    header["xyzt_units"] = forms.units
    header["pixdim"][:4] = forms.pixdim
    if int(header["dim"][0]) == 4:
        header["pixdim"][4] = forms.step
    header["sform_code"], header["qform_code"] = forms.sform_code, forms.qform_code
    for i, axis in enumerate("xyz"):
        header[f"srow_{axis}"] = forms.srow[4 * i : 4 * i + 4]
        header[f"qoffset_{axis}"] = forms.qoffset[i]
    for axis, value in zip("bcd", forms.quatern, strict=True):
        header[f"quatern_{axis}"] = value
