"""The mask of a picture as a picture, its numbers as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from napari_medseg import io
from napari_medseg.errors import WriteError
from napari_medseg.volume import Geometry, Mask


def mask_of(shape: tuple[int, int, int], dtype: str = "u1", top: int = 2) -> Mask:
    labels = np.random.default_rng(0).integers(0, top + 1, shape).astype(dtype)
    return Mask(labels, Geometry(shape, np.eye(4)))


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("top", [2, 300])
def test_a_mask_comes_back_from_a_picture(ending: str, top: int, tmp_path: Path) -> None:
    mask = mask_of((1, 7, 9), "u2", top)
    io.write_mask(mask, tmp_path / f"mask{ending}")
    back = io.read_mask(tmp_path / f"mask{ending}")
    np.testing.assert_array_equal(back.labels, mask.labels)
    np.testing.assert_array_equal(PIL.Image.open(tmp_path / f"mask{ending}"), mask.labels[0])


def test_a_tiff_takes_a_stack_and_a_png_does_not(tmp_path: Path) -> None:
    mask = mask_of((3, 7, 9))
    io.write_mask(mask, tmp_path / "mask.tif")
    np.testing.assert_array_equal(io.read_mask(tmp_path / "mask.tif").labels, mask.labels)
    with pytest.raises(WriteError, match="one slice"):
        io.write_mask(mask, tmp_path / "mask.png")
    assert [path.name for path in tmp_path.iterdir()] == ["mask.tif"]


def test_the_mask_of_a_scan_in_millimetres_is_no_picture(tmp_path: Path) -> None:
    mask = Mask(np.ones((1, 7, 9), np.uint8), Geometry.from_spacing((1, 7, 9), (3.0, 0.5, 0.5)))
    with pytest.raises(WriteError, match="grid did not read back"):
        io.write_mask(mask, tmp_path / "mask.png")
    assert list(tmp_path.iterdir()) == []
