"""Seventy-four broken, odd and tricky files, each with what must become of it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.errors import MedsegError
from napari_medseg.volume import Mask, Volume
from napari_medseg.volume.resample import mask_on

HERE = Path(
    os.environ.get("MEDSEG_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"), "bad_inputs"
)
MANIFEST = HERE / "manifest.json"
ENTRIES = json.loads(MANIFEST.read_text("utf-8"))["entries"] if MANIFEST.exists() else []
TOLD = ("g04_no_form_codes.nii.gz",)  # "ok", but its unknown orientation is to be told
UNPAIRED = "real_label_without_image.nii.gz"  # odd only beside its folder: see training
AS_LABELS = {  # wrong only as the label of this image
    "l06_wrong_shape.nii.gz": "reference_image.nii.gz",
    "real_label_of_another_organ.nii.gz": "reference_image.nii.gz",
}

pytestmark = pytest.mark.skipif(not ENTRIES, reason=f"the broken files are not at {HERE}")


def entries(*keys: str) -> Any:
    """The cases that state all of these truths."""
    chosen = [e for e in ENTRIES if all(key in e["truth"] for key in keys)]
    return pytest.mark.parametrize("entry", chosen, ids=[e["path"] for e in chosen])


def opened(name: str) -> Volume:
    """The scan, or the first of several series."""
    series = io.list_series(HERE / name)
    return io.read(HERE / name, series[0].name if len(series) > 1 else None)


def outcome(entry: dict[str, Any]) -> str:
    """ "ok", "warn" or "refuse"."""
    path, image = HERE / entry["path"], entry["truth"].get("image", AS_LABELS.get(entry["path"]))
    try:
        told = [note for series in io.list_series(path) for note in series.warnings]
        told += io.check_label(path, HERE / image) if image else list(opened(path.name).warnings)
    except MedsegError:
        return "refuse"
    return "warn" if told and path.name not in TOLD else "ok"


@entries()
def test_a_file_is_read_told_of_or_refused_as_it_deserves(entry: dict[str, Any]) -> None:
    expected = "ok" if entry["path"] == UNPAIRED else entry["expect"]
    assert outcome(entry) in expected.split("_or_")


@entries()
def test_a_refusal_is_a_line_that_names_the_file(entry: dict[str, Any]) -> None:
    if outcome(entry) != "refuse":
        return
    path, image = HERE / entry["path"], AS_LABELS.get(entry["path"])
    with pytest.raises(MedsegError) as refusal:
        io.check_label(path, HERE / image) if image else io.read_mask(path) and io.read(path)
    inside = {file.name for file in path.glob("*")} if path.is_dir() else set()
    assert refusal.value.name in {path.name} | inside
    assert len(str(refusal.value)) < 190, "it must not be cut on the command line"


@entries("shape")
def test_the_shape_is_the_stated_one(entry: dict[str, Any]) -> None:
    stated = tuple(entry["truth"]["shape"])
    want = (*stated, 1)[:3][::-1]
    volume = opened(entry["path"])
    assert volume.array.shape == ((stated[3], *want) if len(stated) == 4 else want)


@entries("shape_zyx")
def test_the_series_has_the_stated_shape(entry: dict[str, Any]) -> None:
    assert list(opened(entry["path"]).array.shape) == entry["truth"]["shape_zyx"]


@entries("spacing")
def test_the_spacing_is_the_stated_one(entry: dict[str, Any]) -> None:
    got = opened(entry["path"]).geometry.spacing_mm[::-1]
    np.testing.assert_allclose(got, entry["truth"]["spacing"], rtol=1e-4)


@entries("spacing_mm")
def test_the_spacing_is_in_millimetres(entry: dict[str, Any]) -> None:
    got = opened(entry["path"]).geometry.spacing_mm[::-1]
    np.testing.assert_allclose(got, entry["truth"]["spacing_mm"], rtol=1e-4)


@entries("spacing_zyx")
def test_the_series_has_the_stated_spacing(entry: dict[str, Any]) -> None:
    got = opened(entry["path"]).geometry.spacing_mm
    np.testing.assert_allclose(got, entry["truth"]["spacing_zyx"], rtol=1e-4)


@entries("affine")
def test_the_affine_is_the_stated_one(entry: dict[str, Any]) -> None:
    got = opened(entry["path"]).geometry.affine_ras
    np.testing.assert_allclose(got, entry["truth"]["affine"], atol=1e-4)


@entries("axcodes")
def test_the_axes_point_where_stated(entry: dict[str, Any]) -> None:
    assert opened(entry["path"]).geometry.axcodes == entry["truth"]["axcodes"]


@entries("equals")
def test_the_voxels_are_those_of_the_good_file(entry: dict[str, Any]) -> None:
    got, want = opened(entry["path"]), opened(entry["truth"]["equals"])
    np.testing.assert_array_equal(got.array, want.array)
    assert got.array.dtype.isnative
    assert got.geometry == want.geometry


@entries("same_space_as")
def test_the_scan_lies_where_its_twin_lies(entry: dict[str, Any]) -> None:
    assert opened(entry["path"]).geometry == opened(entry["truth"]["same_space_as"]).geometry


@entries("values", "image")
def test_a_mask_keeps_its_numbers(entry: dict[str, Any]) -> None:
    want = {255 if value == -1 else value for value in entry["truth"]["values"]}
    assert {0, *io.read_mask(HERE / entry["path"]).values()} == want


@entries("equals_after_reorient")
def test_a_mask_stored_the_other_way_round_is_turned_not_mirrored(entry: dict[str, Any]) -> None:
    image = opened(entry["truth"]["image"])
    turned = mask_on(io.read_mask(HERE / entry["path"]), image.geometry)
    truth = io.read_mask(HERE / entry["truth"]["equals_after_reorient"])
    np.testing.assert_array_equal(turned.labels, truth.labels)


@entries("slice_max")
def test_each_slice_has_its_own_slope(entry: dict[str, Any]) -> None:
    got = opened(entry["path"]).array.max(axis=(1, 2))
    np.testing.assert_allclose(got, entry["truth"]["slice_max"], rtol=1e-3)


@entries("secret")
def test_the_patient_stays_out_of_everything_that_is_shown(entry: dict[str, Any]) -> None:
    volume = opened(entry["path"])
    shown = repr((volume, dict(volume.header), io.list_series(HERE / entry["path"])))
    assert not [word for word in entry["truth"]["secret"] if word in shown]


@entries("vmin")
def test_the_lowest_value_is_the_stated_one(entry: dict[str, Any]) -> None:
    assert opened(entry["path"]).array.min() == entry["truth"]["vmin"]


@entries("vmax")
def test_the_highest_value_is_the_stated_one(entry: dict[str, Any]) -> None:
    assert opened(entry["path"]).array.max() == entry["truth"]["vmax"]


@entries("vmax_at_most")
def test_overlay_bits_are_no_grey_values(entry: dict[str, Any]) -> None:
    assert opened(entry["path"]).array.max() <= entry["truth"]["vmax_at_most"]


@entries("nan", "inf")
def test_odd_numbers_are_counted_and_kept(entry: dict[str, Any]) -> None:
    volume = opened(entry["path"])
    assert np.isnan(volume.array).sum() == entry["truth"]["nan"]
    counts = [int(n) for n in re.findall(r"\d+", " ".join(volume.warnings))]
    assert counts == [entry["truth"]["nan"], entry["truth"]["inf"]]


@entries("series")
def test_each_series_is_listed(entry: dict[str, Any]) -> None:
    assert len(io.list_series(HERE / entry["path"])) == entry["truth"]["series"]


@pytest.mark.parametrize("name", [e["path"] for e in ENTRIES if e["path"].startswith("g")])
@pytest.mark.parametrize("ending", io.WRITABLE)
def test_a_mask_of_each_odd_grid_comes_back_on_it(name: str, ending: str, tmp_path: Path) -> None:
    scan = opened(name)
    mask = io.read_mask(HERE / name) if "label" in name else None
    labels = np.zeros(scan.geometry.shape, np.uint8) if mask is None else mask.labels
    io.write_mask(Mask(labels, scan.geometry, header=scan.header), tmp_path / f"mask{ending}")
    back = io.read_mask(tmp_path / f"mask{ending}").geometry
    assert back.same_grid(scan.geometry, tolerance_mm=1e-4)
