from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from napari_medseg import io
from napari_medseg.errors import ReadError

Writer = Callable[..., Path]
IN_PLANE = [
    (*(sign * np.eye(3)[a]), *(other * np.eye(3)[b]))
    for a, b in permutations(range(3), 2)
    for sign, other in product((1, -1), repeat=2)
]


@pytest.mark.parametrize("cosines", IN_PLANE)
def test_every_orientation_puts_each_pixel_where_dicom_says(
    write_series: Writer, ramp: npt.NDArray[np.int16], cosines: tuple[float, ...]
) -> None:
    volume = io.read(write_series(cosines=cosines))
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    z, y, x = 4, 3, 2  # PS3.3 C.7.6.2.1.1: column index along the row's cosine
    truth = np.array([-10, 20, 30]) + 10 * np.cross(row, column) + x * 0.7 * row + y * 0.8 * column
    (index,) = np.rint(volume.geometry.index(truth)).astype(int)
    np.testing.assert_allclose(volume.geometry.world([index])[0], truth, atol=1e-4)
    assert volume.array[tuple(index)] == ramp[z, y, x]


def test_slices_are_sorted_by_place_whatever_their_numbers_and_names(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    shuffled = (5.0, 0.0, 12.5, 2.5, 10.0, 7.5)
    folder = write_series(lambda z: {"InstanceNumber": 99 - z}, heights_mm=shuffled)
    np.testing.assert_array_equal(io.read(folder).array, ramp[np.argsort(shuffled)])


def test_a_missing_slice_is_interpolated_and_its_place_is_told(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    volume = io.read(write_series(heights_mm=(0, 2.5, 5, 10, 12.5, 15)))
    assert volume.array.shape == (7, 5, 4)
    np.testing.assert_array_equal(volume.array[[0, 1, 2, 4, 5, 6]], ramp)
    np.testing.assert_array_equal(volume.array[3], (ramp[2] + ramp[3]) / 2)
    assert volume.warnings == ("1 slice missing after slice 3 (5 mm at 5 mm): interpolated there",)


def test_uneven_slices_are_brought_to_even_places(write_series: Writer) -> None:
    volume = io.read(write_series(heights_mm=(0, 2, 3, 6, 7.2, 10)))
    assert volume.geometry.world([(volume.array.shape[0] - 1, 0, 0)])[0, 2] == pytest.approx(40)
    assert "unevenly spaced (1.00 to 3.00 mm)" in volume.warnings[0]


def test_a_slice_that_nearly_repeats_another_is_left_out_and_named(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    volume = io.read(write_series(heights_mm=(0, 5, 10, 10.02, 15, 20, 25)))
    np.testing.assert_array_equal(volume.array, ramp[[0, 1, 2, 4, 5, 0]])
    assert volume.geometry.spacing_mm == pytest.approx((5, 0.8, 0.7))
    assert volume.warnings == ("1 slice at a position already taken, left out: IM003",)


def test_one_small_gap_does_not_set_the_step(write_series: Writer) -> None:
    volume = io.read(write_series(heights_mm=(0, 5, 10, 11, 16, 21, 26)))
    assert volume.array.shape[0] == 6
    assert "unevenly spaced (1.00 to 5.00 mm)" in volume.warnings[0]


def test_a_slice_a_kilometre_away_is_refused(write_series: Writer) -> None:
    with pytest.raises(ReadError, match="near each other"):
        io.read(write_series(heights_mm=(0, 2.5, 5, 7.5, 1e6)))


def test_memory_is_checked_for_the_slices_after_interpolation(
    write_series: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_series(heights_mm=(0, 2.5, 5, 7.5, 25))  # 5 stored slices of 40 bytes, 11 made
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2 * 439))
    with pytest.raises(ReadError, match="got 440 bytes"):
        io.read(folder)


@pytest.mark.parametrize("degrees", [-30, -5, 5, 18, 30])
def test_a_tilted_gantry_gives_a_sheared_grid_with_exact_places(
    write_series: Writer, degrees: float
) -> None:
    angle = np.deg2rad(degrees)
    cosines = (1, 0, 0, 0, np.cos(angle), np.sin(angle))

    def on_the_table(z: int) -> dict[str, object]:
        return {"ImagePositionPatient": [-10, 20, 30 + 2.5 * z]}

    volume = io.read(write_series(on_the_table, cosines))
    np.testing.assert_allclose(volume.geometry.world([(4, 0, 0)])[0], [-10, 20, 40], atol=1e-6)
    assert volume.geometry.is_sheared
    assert volume.geometry.voxel_ml * 1000 == pytest.approx(0.7 * 0.8 * 2.5 * np.cos(angle))
    assert f"tilted by {abs(degrees):.1f}°" in volume.warnings[0]


def test_slices_in_no_line_are_refused(write_series: Writer) -> None:
    folder = write_series(lambda z: {"ImagePositionPatient": [(z % 2) * 9.0, 20, 2.5 * z]})
    with pytest.raises(ReadError, match="one straight stack"):
        io.read(folder)


def test_a_repeated_slice_is_left_out_and_named(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    volume = io.read(write_series(heights_mm=(0, 2.5, 5, 7.5, 10, 10)))
    np.testing.assert_array_equal(volume.array, ramp[:5])
    assert volume.warnings == ("1 slice at a position already taken, left out: IM005",)


def test_two_pictures_at_every_place_become_two_channels(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    volume = io.read(write_series(heights_mm=(0, 2.5, 5, 0, 2.5, 5)))
    np.testing.assert_array_equal(volume.array, [ramp[:3], ramp[3:]])
    assert "4-D" in volume.warnings[0]


def test_several_series_are_listed_and_one_must_be_chosen(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    folder = write_series()
    write_series(
        lambda z: {"SeriesInstanceUID": "1.2.3", "SeriesDescription": "Late", "SeriesNumber": 4},
        folder="series/sub",
    )
    assert [one.name for one in io.list_series(folder)] == ["Thorax", "Late"]
    with pytest.raises(ReadError, match="'Thorax', 'Late'"):
        io.read(folder)
    np.testing.assert_array_equal(io.read(folder, "Late").array, ramp)


def test_series_of_one_name_are_told_apart(write_series: Writer) -> None:
    folder = write_series()
    write_series(lambda z: {"SeriesInstanceUID": "1.2.3"}, folder="series/sub")
    assert [one.name for one in io.list_series(folder)] == ["Thorax (2)", "Thorax"][::-1]


def test_files_without_preamble_or_series_number_are_found(write_series: Writer) -> None:
    folder = write_series(lambda z: {"SeriesInstanceUID": ""})
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[132:])
    volume = io.read(folder)
    assert volume.array.shape == (6, 5, 4)
    assert "UID) is empty" in volume.warnings[0]


def test_without_positions_the_numbers_sort_and_the_doubt_is_told(
    write_series: Writer, ramp: npt.NDArray[np.int16]
) -> None:
    def placeless(z: int) -> dict[str, object]:
        return {"ImagePositionPatient": None, "InstanceNumber": 6 - z}

    volume = io.read(write_series(placeless))
    np.testing.assert_array_equal(volume.array, ramp[::-1])
    assert volume.geometry.spacing_mm == (2.5, 0.8, 0.7)
    assert "orientation unknown" in volume.warnings[0]


def test_a_stray_slice_of_another_size_is_left_out_and_named(write_series: Writer) -> None:
    def odd(z: int) -> dict[str, object]:
        return {"Rows": 4, "Columns": 5} if z == 5 else {}

    volume = io.read(write_series(odd))
    assert volume.array.shape == (5, 5, 4)
    assert volume.warnings == ("1 slice of another size or direction, left out: IM005",)


def test_one_slice_of_a_series_says_that_there_is_more(write_series: Writer) -> None:
    volume = io.read(write_series() / "IM002")
    assert volume.array.shape == (1, 5, 4)
    assert volume.warnings == ("one slice of a series: open its folder for the whole scan",)


def test_a_file_cut_short_refuses_its_series_by_name(write_series: Writer) -> None:
    folder = write_series()
    file = folder / "IM003"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ReadError, match=r"IM003.*truncated"):
        io.read(folder)
    with pytest.raises(ReadError, match=r"IM003.*truncated"):
        io.list_series(folder)


def test_a_series_cut_short_does_not_hide_the_others(write_series: Writer) -> None:
    folder = write_series()
    other = write_series(
        lambda z: {"SeriesInstanceUID": "1.2.3", "SeriesDescription": "Late"}, folder="series/sub"
    )
    (other / "IM000").write_bytes((other / "IM000").read_bytes()[:-10])
    (listed,) = io.list_series(folder)
    assert listed.name == "Thorax"
    assert "IM000" in listed.warnings[0]


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "SR"}, "a report"),
        ({"SamplesPerPixel": 3}, "colour"),
        ({"PixelData": None}, "truncated"),
        ({"Rows": 0}, "rows and columns"),
        ({"Rows": 60000, "Columns": 60000}, "truncated"),
        ({"NumberOfFrames": 2_000_000_000}, "truncated"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "perpendicular"),
    ],
)
def test_what_is_no_scan_is_refused_with_the_reason(
    write_series: Writer, tags: dict[str, object], reason: str
) -> None:
    with pytest.raises(ReadError, match=reason):
        io.read(write_series(lambda z: tags))


@pytest.mark.parametrize("spacing", [[0, 0], [float("nan"), 1], None])
def test_an_unknown_pixel_size_is_told(write_series: Writer, spacing: object) -> None:
    volume = io.read(write_series(lambda z: {"PixelSpacing": spacing}))
    assert volume.geometry.spacing_mm == (2.5, 1.0, 1.0)
    assert "pixel size is unknown" in volume.warnings[0]


def test_other_files_in_the_folder_do_not_matter(write_series: Writer) -> None:
    folder = write_series()
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf" * 100)
    (folder / "notes.txt").write_text("seen by Dr. X")
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert io.read(folder).warnings == ()


def test_a_folder_of_other_scans_says_which_to_open(tmp_path: Path) -> None:
    (tmp_path / "case.nii.gz").write_bytes(b"")
    with pytest.raises(ReadError, match=r"open case\.nii\.gz by itself"):
        io.read(tmp_path)
