from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from napari_medseg import io
from napari_medseg.errors import ReadError
from napari_medseg.volume import Geometry

USUAL = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "1 2 3",
    "ElementSpacing": "0.7 0.8 2.5",
    "DimSize": "4 5 6",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, ramp: npt.NDArray[np.int16]) -> Write:
    """A MetaImage written by hand; a field of None is left out."""

    def make(data: bytes | None = None, name: str = "scan.mha", **fields: str | None) -> Path:
        merged = {**{k: v for k, v in USUAL.items() if k != "ElementDataFile"}, **fields}
        merged["ElementDataFile"] = fields.get("ElementDataFile", "LOCAL")
        lines = [f"{key} = {value}" for key, value in merged.items() if value is not None]
        payload = ramp.astype("<i2").tobytes() if data is None else data
        (tmp_path / name).write_bytes("\n".join([*lines, ""]).encode() + payload)
        return tmp_path / name

    return make


def test_a_plain_file_is_read_where_it_lies(write: Write, ramp: npt.NDArray[np.int16]) -> None:
    volume = io.read(write())
    np.testing.assert_array_equal(volume.array, ramp)
    np.testing.assert_allclose(volume.geometry.world([(1, 1, 1)]), [[1.7, 2.8, 5.5]])
    assert volume.warnings == ()


@pytest.mark.parametrize("suffix", ["mha", "mhd"])
def test_itks_own_files_are_read_at_the_same_place(
    suffix: str, ramp: npt.NDArray[np.int16], slanted: Geometry, tmp_path: Path
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(ramp)
    image.SetSpacing(slanted.spacing_mm[::-1])
    image.SetOrigin(slanted.affine[:3, 3].tolist())
    image.SetDirection((slanted.affine[:3, :3] / slanted.spacing_mm[::-1]).ravel().tolist())
    sitk.WriteImage(image, str(tmp_path / f"scan.{suffix}"), useCompression=True)
    back = io.read(tmp_path / f"scan.{suffix}")
    np.testing.assert_array_equal(back.array, ramp)
    assert back.geometry.same_grid(slanted, 1e-4)


def test_big_endian_numbers_come_native(write: Write, ramp: npt.NDArray[np.int16]) -> None:
    array = io.read(write(ramp.astype(">i2").tobytes(), BinaryDataByteOrderMSB="True")).array
    np.testing.assert_array_equal(array, ramp)


def test_interleaved_channels_come_apart(write: Write) -> None:
    truth = np.arange(240, dtype="<i2").reshape(2, 6, 5, 4)
    data = np.ascontiguousarray(np.moveaxis(truth, 0, -1)).tobytes()
    np.testing.assert_array_equal(io.read(write(data, ElementNumberOfChannels="2")).array, truth)


@pytest.mark.parametrize("size", [0, 20, 100, -1])
def test_a_cut_stream_is_refused(write: Write, ramp: npt.NDArray[np.int16], size: int) -> None:
    packed = zlib.compress(ramp.astype("<i2").tobytes())
    with pytest.raises(ReadError, match=r"scan\.mha"):
        io.read(write(packed[:size], CompressedData="True"))


def test_a_zlib_bomb_is_not_unpacked(write: Write) -> None:
    with pytest.raises(ReadError, match="endless"):
        io.read(write(zlib.compress(bytes(200 << 20), 1), CompressedData="True"))


def test_detached_data_elsewhere_are_not_touched(write: Write) -> None:
    with pytest.raises(ReadError, match="own folder"):
        io.read(write(b"", "scan.mhd", ElementDataFile="/etc/passwd"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"DimSize": "4 5 0"}, "one or more"),
        ({"DimSize": "40000 40000 40000"}, "header promises"),
        ({"ElementType": "MET_STRING"}, "number type"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "spans space"),
        ({"ElementDataFile": "LIST"}, "one file"),
        ({"DimSize": "four"}, "damaged"),
        ({"DimSize": None}, "damaged"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(
    write: Write, fields: dict[str, str], reason: str
) -> None:
    with pytest.raises(ReadError, match=reason):
        io.read(write(**fields))


def test_unknown_spacing_and_matrix_are_told(write: Write) -> None:
    told = " ".join(io.read(write(ElementSpacing="0 0 0", TransformMatrix=None)).warnings)
    assert "voxel size is unknown" in told
    assert "orientation is unknown" in told
