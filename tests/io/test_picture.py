from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile

from napari_medseg import io
from napari_medseg.errors import ReadError

GREY = np.arange(20, dtype=np.uint8).reshape(4, 5) * 12


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_grey_png_is_a_stack_of_one(dtype: str, tmp_path: Path) -> None:
    truth = GREY.astype(dtype) * (1 if dtype == "u1" else 200)
    PIL.Image.fromarray(truth).save(tmp_path / "a.png")
    volume = io.read(tmp_path / "a.png")
    np.testing.assert_array_equal(volume.array, truth[None])
    assert "pixel size is unknown" in volume.warnings[0]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_a_colour_picture_that_is_grey_becomes_grey(mode: str, tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(io.read(tmp_path / "a.png").array, GREY[None])


def test_true_colour_becomes_three_channels(tmp_path: Path) -> None:
    truth = np.random.default_rng(0).integers(0, 255, (4, 5, 3)).astype(np.uint8)
    PIL.Image.fromarray(truth).save(tmp_path / "a.png")
    volume = io.read(tmp_path / "a.png")
    np.testing.assert_array_equal(volume.array[:, 0], truth.transpose(2, 0, 1))
    assert volume.channels == ("red", "green", "blue")


def test_a_palette_mask_keeps_its_numbers(tmp_path: Path) -> None:
    picture = PIL.Image.frombytes("P", (5, 4), bytes(i % 3 for i in range(20)))
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(tmp_path / "mask.png")
    assert io.read_mask(tmp_path / "mask.png").values() == (1, 2)
    assert io.read(tmp_path / "mask.png").n_channels == 3


def test_a_real_ultrasound_mask_has_its_three_labels(kit: Path) -> None:
    masks = sorted((kit / "us_nerve_2d" / "masks").glob("*.png"))
    assert {value for path in masks for value in io.read_mask(path).values()} == {1, 2}


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4"])
def test_the_pages_of_a_tiff_are_slices(
    compression: str | None, dtype: str, tmp_path: Path
) -> None:
    truth = np.arange(60).reshape(3, 4, 5).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", truth, photometric="minisblack", compression=compression)
    volume = io.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.array, truth)
    assert "pixel size is unknown" in volume.warnings[0]


def test_an_lzw_tiff_is_read(tmp_path: Path) -> None:
    PIL.Image.fromarray(GREY).save(tmp_path / "a.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(io.read(tmp_path / "a.tif").array, GREY[None])


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.full((8, 8), 128, np.uint8)).save(tmp_path / "a.jpg")
    assert io.read(tmp_path / "a.jpg").array.tolist() == np.full((1, 8, 8), 128).tolist()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg"])
def test_a_cut_picture_is_refused_by_name(name: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for size in (0, 10, len(whole) // 2):
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises(ReadError, match=rf"a\.{name[2:]}"):
            io.read(tmp_path / name)


def test_a_picture_of_insane_size_is_refused(tmp_path: Path) -> None:
    PIL.Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "a.png")
    raw = bytearray((tmp_path / "a.png").read_bytes())
    raw[16:24] = (60_000).to_bytes(4, "big") * 2
    (tmp_path / "a.png").write_bytes(raw)
    with pytest.raises(ReadError, match=r"a\.png"):
        io.read(tmp_path / "a.png")
