"""Scores as JSON, CSV and folders."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.errors import InputError, ReadError, WriteError
from napari_medseg.evaluation.compare import compare
from napari_medseg.evaluation.folders import Files, FolderScores, compare_folders
from napari_medseg.evaluation.report import as_json, folder_as_json, write_csv
from napari_medseg.jobs import Notice, Progress, finish
from napari_medseg.volume import Geometry, Label, Mask

KEYS = ["dice", "jaccard", "hd95_mm", "assd_mm", "nsd", "volume_ml_pred", "volume_ml_ref"]


def read(path: Path) -> Mask:
    """A mask of six voxels, written as digits."""
    digits = [int(digit) for digit in path.read_text()]
    if len(digits) != 6:
        raise ReadError("a mask must have six digits", path.name)
    labels = np.array(digits, np.uint8).reshape(1, 2, 3)
    return Mask(labels, Geometry.from_spacing((1, 2, 3)), (Label(1, "cyst"),))


FILES = Files(read, lambda path: path.name.removesuffix(".six"), (".six",))


def folder(path: Path, **masks: str) -> Path:
    path.mkdir()
    for name, digits in masks.items():
        (path / f"{name}.six").write_text(digits)
    return path


@pytest.fixture
def scored(tmp_path: Path) -> tuple[FolderScores, list[object]]:
    pred = folder(tmp_path / "pred", a="110000", b="000000", c="111111", d="11")
    ref = folder(tmp_path / "ref", a="110000", b="110000", d="110000", e="110000")
    (ref / "notes.txt").write_text("not a mask")
    events: list[object] = []
    return finish(compare_folders(pred, ref, FILES), events.append), events


def test_json_has_the_promised_keys_and_no_number_that_json_lacks(tmp_path: Path) -> None:
    masks = folder(tmp_path / "m", a="110000", b="000000")
    document = as_json(compare(read(masks / "b.six"), read(masks / "a.six"), labels=[1, 2]))
    cyst = document["labels"]["1"]
    assert [key for key in cyst if key != "name"] == list(document["mean"]) == KEYS
    assert (cyst["name"], cyst["dice"], cyst["hd95_mm"]) == ("cyst", 0.0, None)
    assert document["labels"]["2"]["dice"] is None
    json.dumps(document, allow_nan=False)


def test_folders_are_paired_by_name_and_the_rest_is_told(
    scored: tuple[FolderScores, list[object]],
) -> None:
    scores, events = scored
    assert list(scores.cases) == ["a", "b"]
    assert (scores.only_pred, scores.only_ref) == (("c",), ("e",))
    assert scores.failed == {"d": "d.six: a mask must have six digits"}
    assert sum(isinstance(event, Notice) for event in events) == 3
    assert [event.text for event in events if isinstance(event, Progress)] == ["a", "b", "d"]


def test_the_mean_of_a_folder_is_that_of_its_cases(
    scored: tuple[FolderScores, list[object]],
) -> None:
    document = folder_as_json(scored[0])
    assert document["mean"]["dice"] == document["mean_by_label"]["1"]["dice"] == 0.5
    assert document["failed"] == {"d": "d.six: a mask must have six digits"}
    json.dumps(document, allow_nan=False)


def test_csv_has_a_row_for_each_case_and_label(
    scored: tuple[FolderScores, list[object]], tmp_path: Path
) -> None:
    write_csv(scored[0].cases, tmp_path / "scores.csv")
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text("utf-8").splitlines()))
    assert [(row["case"], row["label"], row["dice"]) for row in rows] == [
        ("a", "1", "1.0"),
        ("b", "1", "0.0"),
    ]
    assert rows[1]["hd95_mm"] == ""


def test_csv_into_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="table of scores"):
        write_csv({}, tmp_path / "nowhere" / "scores.csv")


def test_folders_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    pred, ref = folder(tmp_path / "p", a="000000"), folder(tmp_path / "r", b="000000")
    with pytest.raises(InputError, match="none of 1"):
        finish(compare_folders(pred, ref, FILES))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must exist"):
        finish(compare_folders(tmp_path / "no", tmp_path, FILES))


def test_two_files_for_one_case_are_refused(tmp_path: Path) -> None:
    files = Files(read, lambda path: path.stem.lower(), (".six",))
    twice = folder(tmp_path / "p", a="000000", A="000000")
    with pytest.raises(InputError, match="one mask"):
        finish(compare_folders(twice, twice, files))
