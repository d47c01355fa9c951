"""The masks of a series in time as one 4-D file, where the series lies."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import PIL.Image
import pytest

from napari_medseg import io
from napari_medseg.errors import GridError, ReadError
from napari_medseg.volume import Geometry, Mask

SHAPE = (2, 5, 6)


def masks_on(geometry: Geometry, header: object = None) -> list[Mask]:
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 3, SHAPE).astype(np.uint8) for _ in range(4))
    return [Mask(labels, geometry, header=header or {}) for labels in frames]  # type: ignore[arg-type]


@pytest.mark.parametrize("ending", io.WRITABLE)
def test_the_masks_of_a_series_come_back_in_their_order(ending: str, tmp_path: Path) -> None:
    masks = masks_on(Geometry.from_spacing(SHAPE, (8.0, 1.5, 1.5)))
    io.write_masks(masks, tmp_path / f"masks{ending}")
    back = io.read_masks(tmp_path / f"masks{ending}")
    for mask, one in zip(masks, back, strict=True):
        np.testing.assert_array_equal(one.labels, mask.labels)
        assert one.geometry.same_grid(mask.geometry)


def test_the_masks_of_a_cine_keep_its_place_and_its_time(tmp_path: Path) -> None:
    affine = np.array([[0, -1.5, 0, 3], [1.5, 0, 0, -7], [0, 0, 8, 11], [0, 0, 0, 1.0]])
    cine = nibabel.Nifti1Image(np.zeros((6, 5, 2, 4), np.int16), affine)
    cine.header.set_xyzt_units("mm", "msec")
    cine.header["pixdim"][4] = 33.3
    nibabel.save(cine, tmp_path / "cine.nii.gz")
    volume = io.read(tmp_path / "cine.nii.gz")
    io.write_masks(masks_on(volume.geometry, volume.header), tmp_path / "masks.nii.gz")
    back = nibabel.load(tmp_path / "masks.nii.gz")
    np.testing.assert_array_equal(back.affine, nibabel.load(tmp_path / "cine.nii.gz").affine)
    assert back.header.get_zooms()[3] == pytest.approx(33.3)
    assert back.header.get_xyzt_units() == ("mm", "msec")


def test_one_mask_is_a_series_of_one_and_a_series_is_not_one_mask(tmp_path: Path) -> None:
    masks = masks_on(Geometry.from_spacing(SHAPE))
    io.write_mask(masks[0], tmp_path / "one.nrrd")
    assert len(io.read_masks(tmp_path / "one.nrrd")) == 1
    io.write_masks(masks, tmp_path / "all.nrrd")
    with pytest.raises(ReadError, match="one volume of labels, got 4"):
        io.read_mask(tmp_path / "all.nrrd")


def test_a_colour_picture_is_no_series_of_masks(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 3, (5, 6, 3)).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "mask.png")
    with pytest.raises(ReadError, match="colour picture"):
        io.read_masks(tmp_path / "mask.png")


def test_masks_on_several_grids_are_no_series(tmp_path: Path) -> None:
    one, other = (masks_on(Geometry.from_spacing(SHAPE, (mm, 1, 1)))[0] for mm in (1.0, 2.0))
    with pytest.raises(GridError, match="share a grid"):
        io.write_masks([one, other], tmp_path / "masks.nii.gz")
    assert list(tmp_path.iterdir()) == []
