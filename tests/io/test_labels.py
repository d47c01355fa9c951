from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.errors import GridError, ReadError
from napari_medseg.io.labels import as_labels, doubts
from napari_medseg.volume import Geometry, Mask, Volume


@pytest.mark.parametrize(
    ("values", "dtype"),
    [([0, 1, 2], "u1"), ([0, 255], "u1"), ([0, 3, 17, 1000], "u2"), ([0, 70_000], "u4")],
)
@pytest.mark.parametrize("stored", ["i4", "i8", "f4", "f8"])
def test_labels_keep_their_numbers_in_the_smallest_type(
    values: list[int], dtype: str, stored: str
) -> None:
    labels, _ = as_labels(np.array(values, stored).reshape(1, 1, -1), "mask")
    assert labels.dtype == dtype
    assert labels.ravel().tolist() == values


def test_minus_one_becomes_the_ignore_value_and_is_told() -> None:
    labels, notes = as_labels(np.array([[[-1.0, 0, 1, 2]]]), "mask")
    assert labels.ravel().tolist() == [255, 0, 1, 2]
    assert notes == ["1 voxel of -1 are read as 255: ignore, they teach nothing"]


def test_numbers_that_interpolation_left_almost_whole_are_rounded() -> None:
    assert as_labels(np.array([[[0.0, 1.99999]]]), "mask")[0].ravel().tolist() == [0, 2]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([0.0, 0.4, 1.0], "probability map"),
        ([0.0, 1.5, 3.0], "fractions"),
        ([-2, 0, 1], "from 0"),
        ([np.nan, 1.0], "NaN"),
        ([0.0, 1e30], "beyond any label"),
    ],
)
def test_what_is_no_label_is_refused(values: list[float], reason: str) -> None:
    with pytest.raises(ReadError, match=reason):
        as_labels(np.array(values), "mask")


def image(values: object, dtype: str = "i2") -> np.ndarray:
    return np.resize(np.array(values, dtype), (10, 20, 30))


@pytest.mark.parametrize(
    "array",
    [
        image([0]),
        image([0, 1, 2], "u1"),
        image([0, 3, 17, 1000], "u2"),
        image(np.arange(-500, 500)),
        image(np.linspace(-1, 1, 999), "f4"),
        image(np.arange(256), "u1"),
        image([-1000, 0, 40]),
        np.zeros((2, 10, 20, 30), np.uint8),
    ],
)
def test_nothing_is_said_of_honest_scans_and_masks(array: np.ndarray) -> None:
    assert doubts(array) == []


def test_a_lonely_255_is_told() -> None:
    array = image([0, 1, 2], "u1")
    array[5, 5, 5] = 255
    assert doubts(array) == ["label 255 is in 1 voxel only: a slip, or the ignore value?"]


def test_an_ignore_value_and_a_probability_map_are_told() -> None:
    assert "as a mask they are read as 255" in doubts(image([-1, 0, 1, 2], "f4"))[0]
    assert "probability map" in doubts(image([0, 0.25, 1], "f4"))[0]


def test_a_mask_of_several_volumes_is_refused(tmp_path: Path) -> None:
    scan = Volume(np.zeros((2, 3, 4, 5), np.uint8), Geometry.from_spacing((3, 4, 5)))
    io.write_volume(scan, tmp_path / "many.nii")
    with pytest.raises(ReadError, match="one volume of labels"):
        io.read_mask(tmp_path / "many.nii")


def test_a_label_is_checked_against_its_scan(ball: tuple[Volume, Mask], tmp_path: Path) -> None:
    scan, mask = ball
    io.write_volume(scan, tmp_path / "scan.nrrd")
    io.write_mask(mask, tmp_path / "mask.nii.gz")
    assert io.check_label(tmp_path / "mask.nii.gz", tmp_path / "scan.nrrd") == []
    io.write_mask(
        Mask(mask.labels[3:], Geometry((17, 40, 40), mask.geometry.affine)), tmp_path / "b.nii"
    )
    with pytest.raises(GridError, match=r"b\.nii: .*\(20, 40, 40\).*\(17, 40, 40\)"):
        io.check_label(tmp_path / "b.nii", tmp_path / "scan.nrrd")
