from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_medseg import io
from napari_medseg.errors import ReadError
from napari_medseg.io import guard
from napari_medseg.volume import Geometry, Mask


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("case.nii.gz", "case"),
        ("Пациент 01 (копия).scan.v2.nii.gz", "Пациент 01 (копия).scan.v2"),
        ("CASE.NII.GZ", "CASE"),
        ("liver.seg.nrrd", "liver.seg"),
        ("1.2.840.113", "1.2.840.113"),
        ("notes.txt", "notes.txt"),
        (".nii", ".nii"),
        ("/a/b/c.mha", "c"),
    ],
)
def test_only_a_known_ending_is_cut(name: str, stem: str) -> None:
    assert io.stem(name) == stem


def test_every_written_ending_can_be_read() -> None:
    assert set(io.WRITABLE) <= set(io.READABLE)


@pytest.mark.parametrize("name", ["scan.xyz", "scan", "scan.txt"])
def test_an_unknown_kind_is_refused_with_those_that_work(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x" * 200)
    with pytest.raises(ReadError, match=r"\.nii\.gz"):
        io.read(tmp_path / name)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"gone\.nii: there must be a file"):
        io.read(tmp_path / "gone.nii")


def test_a_name_in_capitals_is_read(tmp_path: Path) -> None:
    mask = Mask(np.ones((2, 3, 4), np.uint8), Geometry.from_spacing((2, 3, 4)))
    io.write_mask(mask, tmp_path / "MASK.NII.GZ")
    assert io.read_mask(tmp_path / "MASK.NII.GZ").values() == (1,)


def test_a_scan_bigger_than_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = Mask(np.ones((20, 30, 40), np.uint8), Geometry.from_spacing((20, 30, 40)))
    io.write_mask(mask, tmp_path / "mask.nii")
    little = type("Memory", (), {"available": 10_000})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    with pytest.raises(ReadError, match=r"fit into 5 kB of free memory, got 24\.4 kB"):
        io.read(tmp_path / "mask.nii")


def test_a_file_that_may_not_be_opened_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scan.nii").write_bytes(bytes(400))

    def locked(*_: object) -> bytes:
        raise PermissionError(13, "no")

    monkeypatch.setattr(guard, "head", locked)
    with pytest.raises(ReadError, match="got no permission"):
        io.read(tmp_path / "scan.nii")


def test_a_freesurfer_volume_is_read_or_refused_when_cut(tmp_path: Path) -> None:
    import nibabel as nib

    truth = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    nib.MGHImage(truth.T, np.diag([-1, 2, 3, 1])).to_filename(tmp_path / "a.mgz")
    volume = io.read(tmp_path / "a.mgz")
    np.testing.assert_array_equal(volume.array, truth)
    np.testing.assert_allclose(volume.geometry.affine_ras, np.diag([-1, 2, 3, 1]))
    (tmp_path / "a.mgz").write_bytes((tmp_path / "a.mgz").read_bytes()[:60])
    with pytest.raises(ReadError, match=r"a\.mgz"):
        io.read(tmp_path / "a.mgz")
