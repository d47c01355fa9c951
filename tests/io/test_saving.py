from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.errors import WriteError
from napari_medseg.io import nifti
from napari_medseg.volume import Geometry, Mask, Volume


@pytest.fixture
def mask() -> Mask:
    labels = np.random.default_rng(0).integers(0, 3, (6, 7, 8)).astype(np.uint8)
    return Mask(labels, Geometry.from_spacing((6, 7, 8), (2, 1, 1)))


def failing(code: int) -> Callable[..., None]:
    def call(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("code", "reason"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "read-only")],
)
def test_a_failing_disk_leaves_the_older_file_and_nothing_half_written(
    mask: Mask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int, reason: str
) -> None:
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(b"older")
    monkeypatch.setattr(os, step, failing(code))
    with pytest.raises(WriteError, match=rf"mask\.nii\.gz: .*{reason}"):
        io.write_mask(mask, path)
    assert path.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == ["mask.nii.gz"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("ending", io.WRITABLE)
def test_a_disk_that_fills_while_writing_is_told(
    mask: Mask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r": real(Path("/dev/full") if "x" in mode else self, "wb")
    )
    with pytest.raises(WriteError, match="disk is full"):
        io.write_mask(mask, tmp_path / f"mask{ending}")


def test_a_read_only_folder_is_told(mask: Mask, tmp_path: Path) -> None:
    if os.name != "posix" or os.geteuid() == 0:
        pytest.skip("only a user without all rights can be refused")
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="no permission"):
        io.write_mask(mask, tmp_path / "mask.nii.gz")


def test_a_folder_that_is_not_there_is_told(mask: Mask, tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="folder does not exist"):
        io.write_mask(mask, tmp_path / "nowhere" / "mask.nii.gz")
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="folder does not exist"):
        io.write_mask(mask, tmp_path / "file" / "mask.nii.gz")


def test_what_does_not_read_back_is_not_kept(
    mask: Mask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Volume(np.zeros((6, 7, 8), np.uint8), mask.geometry)
    monkeypatch.setattr(nifti, "read", lambda path: other)
    with pytest.raises(WriteError, match="did not read back"):
        io.write_mask(mask, tmp_path / "mask.nii.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mask.dcm", "mask.jpg", "mask", "mask.nii.bz2"])
def test_other_endings_are_refused_with_those_that_work(
    mask: Mask, tmp_path: Path, name: str
) -> None:
    with pytest.raises(WriteError, match=r"\.nii\.gz \.nii \.nrrd \.mha"):
        io.write_mask(mask, tmp_path / name)


def test_a_mask_is_saved_in_the_smallest_type_that_holds_it(mask: Mask, tmp_path: Path) -> None:
    labels = mask.labels.astype(np.uint32)
    labels[0, 0, 0] = 1000
    io.write_mask(Mask(labels, mask.geometry), tmp_path / "mask.nrrd")
    assert io.read(tmp_path / "mask.nrrd").array.dtype == np.uint16


def test_the_same_mask_gives_the_same_bytes(mask: Mask, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        io.write_mask(mask, tmp_path / name / "mask.nii.gz")
    one, two = (tmp_path / name / "mask.nii.gz" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_a_link_is_followed_to_the_file_it_stands_for(mask: Mask, tmp_path: Path) -> None:
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "real.nii.gz")
    io.write_mask(mask, tmp_path / "link.nii.gz")
    assert (tmp_path / "link.nii.gz").is_symlink()
    assert io.read_mask(tmp_path / "real.nii.gz").geometry == mask.geometry


def test_a_float16_scan_is_saved_as_float32(tmp_path: Path) -> None:
    array = np.linspace(0, 1, 24, dtype=np.float16).reshape(2, 3, 4)
    io.write_volume(Volume(array, Geometry.from_spacing((2, 3, 4))), tmp_path / "scan.nii")
    np.testing.assert_array_equal(io.read(tmp_path / "scan.nii").array, array)


def test_a_scan_with_nan_is_saved_with_them(tmp_path: Path) -> None:
    array = np.array([[[np.nan, np.inf, 1.0]]], np.float32)
    io.write_volume(Volume(array, Geometry.from_spacing((1, 1, 3))), tmp_path / "scan.mha")
    np.testing.assert_array_equal(io.read(tmp_path / "scan.mha").array, array)


def test_a_name_at_the_limit_of_the_disk_can_be_saved(mask: Mask, tmp_path: Path) -> None:
    path = tmp_path / ("x" * 248 + ".nii.gz")
    io.write_mask(mask, path)
    assert path.exists()
