from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from napari_medseg import io
from napari_medseg.errors import ReadError
from napari_medseg.volume import Geometry, Mask

OBLIQUE = np.array([[0.0, -2, 0, 5], [1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])


@pytest.fixture
def write(tmp_path: Path, ramp: npt.NDArray[np.int16]) -> Callable[..., Path]:
    """A NIfTI of `ramp` by nibabel, with header fields changed in the bytes afterwards."""

    def make(affine: npt.NDArray[np.float64] = OBLIQUE, **fields: object) -> Path:
        image = nib.Nifti1Image(ramp.T, affine)
        image.set_qform(affine, 1)
        path = tmp_path / "scan.nii"
        image.to_filename(path)
        raw = bytearray(path.read_bytes())
        header = nib.Nifti1Header(bytes(raw[:348]), check=False)
        for name, value in fields.items():
            header[name] = value
        raw[:348] = header.binaryblock
        path.write_bytes(raw)
        return path

    return make


def test_the_grid_is_nibabels(write: Callable[..., Path], ramp: npt.NDArray[np.int16]) -> None:
    volume = io.read(write())
    np.testing.assert_array_equal(volume.array, ramp)
    np.testing.assert_allclose(volume.geometry.affine_ras, OBLIQUE)
    assert volume.warnings == ()


@pytest.mark.parametrize(
    "quatern", [(0, 0, 0), (0.5, 0.5, 0.5), (1, 0, 0), (0.1, -0.7, 0.3), (0, 0, 1)]
)
@pytest.mark.parametrize("qfac", [-1, 1])
def test_a_qform_alone_is_read_as_nibabel_reads_it(
    write: Callable[..., Path], quatern: tuple[float, ...], qfac: int
) -> None:
    b, c, d = quatern
    path = write(
        sform_code=0, quatern_b=b, quatern_c=c, quatern_d=d, pixdim=[qfac, 1, 2, 3] + [1] * 4
    )
    np.testing.assert_allclose(io.read(path).geometry.affine_ras, nib.load(path).affine, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"pixdim": [1, 0, 0, 0, 1, 1, 1, 1], "qform_code": 0, "sform_code": 0}, "size is unknown"),
        ({"qform_code": 0, "sform_code": 0}, "orientation is unknown"),
        ({"srow_x": [np.nan] * 4}, "sform is not a usable"),
        ({"srow_x": [0] * 4}, "sform is not a usable"),
        ({"srow_x": [0, 2, 0, 5]}, "disagree"),
        ({"pixdim": [1, 9, 9, 9, 1, 1, 1, 1], "qform_code": 0}, "sizes and sform disagree"),
        ({"srow_z": [0.5, 0, 3, 7], "qform_code": 0}, "sheared"),
        ({"scl_slope": np.inf}, "scale is not finite"),
        ({"pixdim": [1, 1, 2, 900, 1, 1, 1, 1], "sform_code": 0}, "not plausible"),
    ],
)
def test_a_header_that_lies_is_told_of(
    write: Callable[..., Path], fields: dict[str, object], told: str
) -> None:
    assert told in " ".join(io.read(write(**fields)).warnings)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"srow_x": [np.nan] * 4, "pixdim": [1, -1, 1, 1, 1, 1, 1, 1]}, "sform or qform"),
        ({"sform_code": 0, "quatern_b": 3.0}, "sform or qform"),
        ({"sform_code": 0, "pixdim": [1, 1e12, 1, 1, 1, 1, 1, 1]}, "possible size"),
        ({"dim": [0] * 8}, "two to seven sizes"),
        ({"dim": [3, 4, -5, 6, 1, 1, 1, 1]}, "sizes of one or more"),
        ({"dim": [9, 4, 5, 6, 1, 1, 1, 1]}, "two to seven sizes"),
        ({"dim": [7, *[32767] * 7]}, "got sizes"),
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, "header promises"),
        ({"vox_offset": -1000}, "voxels behind its header"),
        ({"vox_offset": np.nan}, "voxels behind its header"),
        ({"vox_offset": 1e30}, "voxels behind its header"),
        ({"vox_offset": 4000}, "header promises"),
        ({"datatype": 128}, "RGB"),
        ({"datatype": 32}, "real numbers"),
        ({"datatype": 9999}, "known data type"),
        ({"magic": b"xyz"}, "Analyze"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(
    write: Callable[..., Path], fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(ReadError, match=reason) as refusal:
        io.read(write(**fields))
    assert refusal.value.name == "scan.nii"


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_a_slope_of_nothing_means_none(
    write: Callable[..., Path], ramp: npt.NDArray[np.int16], slope: float
) -> None:
    np.testing.assert_array_equal(io.read(write(scl_slope=slope, scl_inter=5)).array, ramp)


@pytest.mark.parametrize("gz", [False, True])
def test_no_part_of_a_scan_is_ever_taken_for_the_whole(
    write: Callable[..., Path], gz: bool
) -> None:
    whole = gzip.compress(write().read_bytes()) if gz else write().read_bytes()
    path = write().with_name("cut.nii.gz" if gz else "cut.nii")
    for size in np.linspace(0, len(whole) - 1, 64).astype(int):
        path.write_bytes(whole[:size])
        with pytest.raises(ReadError, match=r"cut\.nii"):
            io.read(path)


def test_a_wrong_checksum_is_refused(write: Callable[..., Path]) -> None:
    packed = bytearray(gzip.compress(write().read_bytes()))
    packed[-6] ^= 1
    path = write().with_name("scan.nii.gz")
    path.write_bytes(packed)
    with pytest.raises(ReadError, match="checksum"):
        io.read(path)


def test_endless_data_behind_the_image_are_refused(write: Callable[..., Path]) -> None:
    path = write().with_name("scan.nii.gz")
    path.write_bytes(gzip.compress(write().read_bytes() + bytes(80 << 20), 1))
    with pytest.raises(ReadError, match="endless"):
        io.read(path)


def test_a_pair_opens_by_either_name(ramp: npt.NDArray[np.int16], tmp_path: Path) -> None:
    nib.Nifti1Pair(ramp.T, OBLIQUE).to_filename(tmp_path / "scan.hdr")
    for name in ("scan.hdr", "scan.img"):
        np.testing.assert_array_equal(io.read(tmp_path / name).array, ramp)
    (tmp_path / "scan.img").unlink()
    with pytest.raises(ReadError, match=r"scan\.img beside it"):
        io.read(tmp_path / "scan.hdr")


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 1), (4, 0), (0, 1), (0, 0)])
def test_a_mask_has_the_forms_and_codes_of_its_scan(
    write: Callable[..., Path], sform: int, qform: int, tmp_path: Path
) -> None:
    scan = io.read(write(sform_code=sform, qform_code=qform, scl_slope=4, descrip=b"Name^Patient"))
    labels = np.ones(scan.geometry.shape, np.uint8)
    io.write_mask(Mask(labels, scan.geometry, header=scan.header), tmp_path / "mask.nii.gz")
    ours, theirs = nib.load(tmp_path / "mask.nii.gz").header, nib.load(tmp_path / "scan.nii").header
    for field in ("sform_code", "qform_code", "srow_x", "quatern_b", "qoffset_x", "pixdim"):
        np.testing.assert_array_equal(ours[field], theirs[field])
    assert float(nib.load(tmp_path / "mask.nii.gz").dataobj.slope) == 1
    assert not bytes(ours["descrip"]).strip(b"\0")


def test_forms_of_another_grid_are_not_kept(write: Callable[..., Path], tmp_path: Path) -> None:
    scan = io.read(write())
    elsewhere = Geometry.from_spacing((2, 3, 4), (3, 2, 1))
    mask = Mask(np.ones((2, 3, 4), np.uint8), elsewhere, header=scan.header)
    io.write_mask(mask, tmp_path / "mask.nii")
    assert io.read_mask(tmp_path / "mask.nii").geometry == elsewhere


def test_a_flat_picture_has_a_flat_mask(tmp_path: Path) -> None:
    nib.Nifti1Image(np.ones((4, 5), np.int16), np.eye(4)).to_filename(tmp_path / "flat.nii")
    scan = io.read(tmp_path / "flat.nii")
    mask = Mask(np.ones((1, 5, 4), np.uint8), scan.geometry, header=scan.header)
    io.write_mask(mask, tmp_path / "mask.nii")
    assert nib.load(tmp_path / "mask.nii").shape == (4, 5)


def test_a_side_longer_than_nifti_1_allows_is_written_as_nifti_2(tmp_path: Path) -> None:
    long = Mask(np.ones((1, 1, 40_000), np.uint8), Geometry.from_spacing((1, 1, 40_000)))
    io.write_mask(long, tmp_path / "long.nii.gz")
    assert isinstance(nib.load(tmp_path / "long.nii.gz"), nib.Nifti2Image)
