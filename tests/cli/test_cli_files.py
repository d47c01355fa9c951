"""`info`, `convert` and `evaluate` on phantoms whose numbers are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.volume import Geometry, Mask, Volume

SPACING = (2.0, 1.0, 1.5)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """4 × 5 × 6 voxels of (2, 1, 1.5) mm, counted through."""
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    io.write_volume(Volume(array, Geometry.from_spacing((4, 5, 6), SPACING)), tmp_path / "s.nii.gz")
    return tmp_path / "s.nii.gz"


def save_cube(path: Path, at: int, size: int = 4, label: int = 1) -> Path:
    """A mask with a cube of `label` whose corner is at (at, 2, 2)."""
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[at : at + size, 2 : 2 + size, 2 : 2 + size] = label
    path.parent.mkdir(exist_ok=True)
    io.write_mask(Mask(labels, Geometry.from_spacing(labels.shape, (1.0, 1.0, 1.0))), path)
    return path


def test_info_tells_the_grid(medseg, scan: Path) -> None:
    (series,) = json.loads(medseg("info", scan, "--json").out)["series"]
    assert series["shape"] == [4, 5, 6]
    assert series["spacing_mm"] == pytest.approx(SPACING)
    assert np.shape(series["affine_ras"]) == (4, 4)
    assert np.abs(np.diag(series["affine_ras"])).tolist() == pytest.approx([1.5, 1, 2, 1])
    assert (series["dtype"], series["channels"], series["axcodes"]) == ("int16", 1, "LPS")


def test_info_is_a_table_for_people(medseg, scan: Path) -> None:
    ended = medseg("info", scan)
    assert "4 × 5 × 6" in ended.out
    assert ended.err == ""


def test_info_refuses_what_is_no_scan(medseg, tmp_path: Path) -> None:
    (tmp_path / "x.nii").write_text("hello")
    ended = medseg("info", tmp_path / "x.nii", "--json")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("error: x.nii: ")


def test_info_refuses_a_mask_that_is_not_on_the_scans_grid(medseg, scan: Path, tmp_path) -> None:
    mask = save_cube(tmp_path / "m.nii.gz", at=1)
    ended = medseg("info", mask, "--label-of", scan)
    assert ended.code == 3
    assert ended.err.startswith("error: m.nii.gz: ")
    assert medseg("info", mask, "--label-of", mask).code == 0


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_convert_keeps_values_type_and_grid(medseg, scan: Path, tmp_path: Path, ending) -> None:
    out = tmp_path / f"out{ending}"
    assert medseg("convert", scan, out).code == 0
    before, after = io.read(scan), io.read(out)
    assert np.array_equal(before.array, after.array)
    assert before.array.dtype == after.array.dtype
    assert before.geometry.same_grid(after.geometry)


@pytest.mark.parametrize(("out", "code"), [("out.xyz", 2), ("missing/out.nii", 3), ("s.nii.gz", 3)])
def test_convert_refuses_a_bad_output_and_leaves_nothing(
    medseg, scan: Path, out: str, code: int
) -> None:
    before = scan.read_bytes()
    ended = medseg("convert", scan, scan.parent / out)
    assert ended.code == code
    assert Path(out).name in ended.err
    assert [path.read_bytes() for path in scan.parent.iterdir()] == [before]


def test_evaluate_scores_two_files(medseg, tmp_path: Path) -> None:
    # a 4 mm cube moved by 1 mm: half of 2 · 48 / 128, and one face 1 mm away
    pred, ref = save_cube(tmp_path / "p.nii.gz", at=3), save_cube(tmp_path / "r.nii.gz", at=2)
    ended = medseg("evaluate", pred, ref, "--labels", "1=cube", "--tolerance-mm", "0.5", "--json")
    said = json.loads(ended.out)
    scores = said["cases"]["r"]["labels"]["1"]
    assert scores["name"] == "cube"
    assert scores["dice"] == pytest.approx(0.75)
    assert scores["jaccard"] == pytest.approx(0.6)
    assert scores["hd95_mm"] == pytest.approx(1.0)
    assert scores["volume_ml_pred"] == scores["volume_ml_ref"] == pytest.approx(0.064)
    assert 0 < scores["nsd"] < 1
    assert 0 < scores["assd_mm"] < 1
    assert said["mean"]["dice"] == pytest.approx(0.75)


def test_evaluate_pairs_folders_by_name_whatever_the_format(medseg, tmp_path: Path) -> None:
    for name, at in (("a", 2), ("b", 3)):
        save_cube(tmp_path / "pred" / f"{name}.nrrd", at=at)
        save_cube(tmp_path / "ref" / f"{name}.nii.gz", at=2)
    said = json.loads(medseg("evaluate", tmp_path / "pred", tmp_path / "ref", "--json").out)
    dice = {case: scores["labels"]["1"]["dice"] for case, scores in said["cases"].items()}
    assert dice == pytest.approx({"a": 1.0, "b": 0.75})
    assert said["mean"]["dice"] == pytest.approx(0.875)
    assert said["mean_by_label"]["1"]["dice"] == pytest.approx(0.875)


def test_evaluate_goes_on_after_a_bad_case_and_says_so_with_code_5(medseg, tmp_path: Path) -> None:
    for name in ("good", "bad", "alone"):
        save_cube(tmp_path / "ref" / f"{name}.nii.gz", at=2)
    save_cube(tmp_path / "pred" / "good.nii.gz", at=2)
    (tmp_path / "pred" / "bad.nii.gz").write_text("broken")
    ended = medseg("evaluate", tmp_path / "pred", tmp_path / "ref", "--json")
    assert ended.code == 5
    said = json.loads(ended.out)
    assert (list(said["failed"]), said["only_ref"]) == (["bad"], ["alone"])
    assert [line[:6] for line in ended.err.splitlines()] == ["error:", "error:"]


def test_evaluate_writes_what_is_no_number_as_null(medseg, tmp_path: Path) -> None:
    pred, ref = save_cube(tmp_path / "p.nii", at=2), save_cube(tmp_path / "r.nii", at=2, label=2)
    said = json.loads(medseg("evaluate", pred, ref, "--json").out)
    assert said["cases"]["r"]["labels"]["2"]["dice"] == 0
    assert said["cases"]["r"]["labels"]["2"]["hd95_mm"] is None


@pytest.mark.parametrize(("labels", "code"), [("x", 2), ("0", 2), ("1,2", 0)])
def test_evaluate_checks_its_labels(medseg, tmp_path: Path, labels: str, code: int) -> None:
    mask = save_cube(tmp_path / "m.nii", at=2)
    assert medseg("evaluate", mask, mask, "--labels", labels).code == code


def test_evaluate_warns_of_a_label_that_is_nowhere(medseg, tmp_path: Path) -> None:
    mask = save_cube(tmp_path / "m.nii", at=2)
    warnings = json.loads(medseg("evaluate", mask, mask, "--labels", "1,99", "--json").out)
    assert warnings["warnings"] == ["m.nii: label 99 occurs in no mask and no reference"]


def test_evaluate_names_the_mask_that_is_on_another_grid(medseg, scan: Path, tmp_path) -> None:
    pred, ref = save_cube(tmp_path / "p.nii", at=2), tmp_path / "r.nii"
    grid = Geometry.from_spacing((4, 5, 6), SPACING)
    io.write_mask(Mask(np.ones(grid.shape, np.uint8), grid), ref)
    ended = medseg("evaluate", pred, ref)
    assert ended.code == 3
    assert ended.err.startswith("error: p.nii: a mask must lie on the reference's grid")


def test_evaluate_tells_an_empty_folder(medseg, tmp_path: Path) -> None:
    save_cube(tmp_path / "ref" / "a.nii", at=2)
    (tmp_path / "empty").mkdir()
    ended = medseg("evaluate", tmp_path / "empty", tmp_path / "ref")
    assert ended.code == 3
    assert ended.err.startswith("error: empty: ")
    assert "no masks in the folder" in ended.err


def test_evaluate_refuses_a_file_against_a_folder(medseg, tmp_path: Path) -> None:
    mask = save_cube(tmp_path / "m.nii", at=2)
    assert medseg("evaluate", mask, tmp_path).code == 3


def test_evaluate_saves_a_table(medseg, tmp_path: Path) -> None:
    mask = save_cube(tmp_path / "m.nii", at=2)
    assert medseg("evaluate", mask, mask, "--csv", tmp_path / "t.csv").code == 0
    heading, row = (tmp_path / "t.csv").read_text().splitlines()
    assert heading.startswith("case,label,name,dice,jaccard,hd95_mm,assd_mm,nsd")
    assert row.startswith("m,1,1,1.0,1.0,0.0,0.0,1.0")
