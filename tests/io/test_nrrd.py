from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from napari_medseg import io
from napari_medseg.errors import ReadError

USUAL = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "4 5 6",
    "space directions": "(0.7,0,0) (0,0.8,0) (0,0,2.5)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(1,2,3)",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, ramp: npt.NDArray[np.int16]) -> Write:
    """An NRRD written by hand; a field of None is left out."""

    def make(data: bytes | None = None, name: str = "scan.nrrd", **fields: str | None) -> Path:
        merged = USUAL | {key.replace("_", " "): value for key, value in fields.items()}
        lines = ["NRRD0004", *(f"{k}: {v}" for k, v in merged.items() if v is not None), "", ""]
        payload = ramp.astype("<i2").tobytes() if data is None else data
        (tmp_path / name).write_bytes("\n".join(lines).encode() + payload)
        return tmp_path / name

    return make


def test_a_raw_file_is_read_where_it_lies(write: Write, ramp: npt.NDArray[np.int16]) -> None:
    volume = io.read(write())
    np.testing.assert_array_equal(volume.array, ramp)
    np.testing.assert_allclose(volume.geometry.world([(1, 1, 1)]), [[1.7, 2.8, 5.5]])
    assert volume.warnings == ()


@pytest.mark.parametrize(
    ("space", "place"),
    [
        ("left-posterior-superior", (1, 2, 3)),
        ("LPS", (1, 2, 3)),
        ("right-anterior-superior", (-1, -2, 3)),
        ("LAS", (1, -2, 3)),
    ],
)
def test_each_space_is_turned_into_lps(
    write: Write, space: str, place: tuple[float, float, float]
) -> None:
    np.testing.assert_allclose(io.read(write(space=space)).geometry.world([(0, 0, 0)])[0], place)


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("bzip2", bz2.compress),
        ("ascii", lambda raw: " ".join(map(str, np.frombuffer(raw, "<i2"))).encode()),
    ],
)
def test_each_encoding_gives_the_same_voxels(
    write: Write, ramp: npt.NDArray[np.int16], encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    path = write(pack(ramp.astype("<i2").tobytes()), encoding=encoding)
    np.testing.assert_array_equal(io.read(path).array, ramp)


def test_big_endian_numbers_come_native(write: Write, ramp: npt.NDArray[np.int16]) -> None:
    array = io.read(write(ramp.astype(">i2").tobytes(), endian="big")).array
    np.testing.assert_array_equal(array, ramp)
    assert array.dtype.isnative


@pytest.mark.parametrize("first", [True, False])
def test_channels_come_first_wherever_they_are_stored(write: Write, first: bool) -> None:
    truth = np.arange(240, dtype="<i2").reshape(2, 6, 5, 4)
    stored = np.moveaxis(truth, 0, -1) if first else truth
    three = USUAL["space directions"]
    path = write(
        np.ascontiguousarray(stored).tobytes(),
        dimension="4",
        sizes="2 4 5 6" if first else "4 5 6 2",
        kinds="list domain domain domain" if first else "domain domain domain list",
        space_directions=f"none {three}" if first else f"{three} none",
    )
    np.testing.assert_array_equal(io.read(path).array, truth)


def test_spacings_alone_leave_the_orientation_unknown(write: Write) -> None:
    path = write(space_directions=None, space=None, space_origin=None, spacings="0.7 0.8 2.5")
    volume = io.read(path)
    assert volume.geometry.spacing_mm == (2.5, 0.8, 0.7)
    assert "orientation is unknown" in volume.warnings[0]


def test_nothing_about_space_is_told(write: Write) -> None:
    volume = io.read(write(space_directions=None, space=None, space_origin=None))
    assert "voxel size is unknown" in " ".join(volume.warnings)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"space_directions": "(nan,nan,nan) (0,1,0) (0,0,1)", "sizes": "1 4 30"}, "possible|scan"),
        ({"space_directions": "(nan,0,0) (0,1,0) (0,0,1)"}, "finite space directions"),
        ({"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, "span space"),
        ({"sizes": "4 -5 6"}, "one or more"),
        ({"sizes": "4294967296 4294967296 2"}, "header promises"),
        ({"sizes": "4 5 60"}, "header promises"),
        ({"type": "block"}, "number type"),
        ({"encoding": "hex"}, "raw, gzip"),
        ({"kinds": "RGB-color domain domain"}, "colour"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(
    write: Write, fields: dict[str, str], reason: str
) -> None:
    if reason == "possible|scan":  # one axis not in space: a flat picture of the other two
        assert io.read(write(**fields)).array.shape == (1, 30, 4)
        return
    with pytest.raises(ReadError, match=reason):
        io.read(write(**fields))


def test_a_gzip_bomb_is_not_unpacked(write: Write) -> None:
    bomb = gzip.compress(bytes(200 << 20), 1)
    with pytest.raises(ReadError, match="endless"):
        io.read(write(bomb, encoding="gzip"))


def test_detached_data_are_read_from_the_headers_own_folder(
    write: Write, ramp: npt.NDArray[np.int16], tmp_path: Path
) -> None:
    (tmp_path / "scan.raw").write_bytes(ramp.astype("<i2").tobytes())
    path = write(b"", "scan.nhdr", data_file="scan.raw")
    np.testing.assert_array_equal(io.read(path).array, ramp)


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret.raw", "link.raw", "missing.raw"])
def test_detached_data_anywhere_else_are_not_touched(
    write: Write, tmp_path: Path, target: str
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "secret.raw").write_bytes(bytes(240))
    (tmp_path / "sub" / "link.raw").symlink_to("/etc/passwd")
    with pytest.raises(ReadError, match=r"own folder|beside it"):
        io.read(write(b"", "sub/scan.nhdr", data_file=target))


def test_the_segments_that_slicer_names_come_with_their_mask(write: Write) -> None:
    path = write(name="liver.seg.nrrd")
    text = path.read_bytes().replace(
        b"\n\n",
        b"\nSegment0_LabelValue:=2\nSegment0_Name:=Liver\nSegment0_Color:=1 0.5 0\n\n",
        1,
    )
    path.write_bytes(text)
    (label,) = io.read_mask(path).names
    assert (label.value, label.name, label.color) == (2, "Liver", "#ff8000")
