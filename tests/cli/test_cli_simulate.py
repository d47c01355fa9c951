"""`medseg simulate`: one document, a table and a chart; nothing half-done."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cube_cases import save_case

QUICK = ("--cases", 2, "--held", 2, "--budget", 4, "--set", "threads=1", "--set", "validations=1")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "cases"
    for number in range(5):
        save_case(folder, f"case{number}", number)
    return folder


@pytest.fixture(scope="module")
def model(dataset: Path) -> Path:
    """One that finds the cube, roughly."""
    from napari_medseg.cli import main

    path = dataset.parent / "model.safetensors"
    knobs = {"features": "[4,8]", "patch": "[16,16,16]", "batch": "2", "convs_per_stage": "1"}
    knobs |= {"steps": "25", "learning_rate": "0.02", "augmentation": "0", "validations": "1"}
    knobs |= {"normalise": '"z-score"', "ema": "0", "threads": "1", "validation_fraction": "0"}
    words = [word for key, value in knobs.items() for word in ("--set", f"{key}={value}")]
    assert main(["train", str(dataset), str(path), *words]) == 0
    return path


def test_one_document_a_table_and_a_chart(medseg, model, dataset, tmp_path: Path) -> None:
    table, chart = tmp_path / "rows.csv", tmp_path / "rows.png"
    words = ["simulate", model, dataset, *QUICK, "--steps", 2, "--csv", table, "--png", chart]
    said = json.loads(medseg(*words, "--strategy", "ours", "--strategy", "none", "--json").out)
    assert said["held"] == 2
    rows = said["rows"]
    assert [(row["strategy"], row["cases"]) for row in rows] == [
        (name, n) for name in ("ours", "none") for n in range(3)
    ]
    assert 0 <= rows[0]["dice"]["label 1"] <= 1
    assert rows[2]["dice_mean"] is not None
    assert all(0 <= row["strokes"] <= 4 for row in rows)
    with table.open() as file:
        lines = list(csv.DictReader(file))
    assert [line["case"] for line in lines] == [row["case"] for row in rows]
    assert float(lines[0]["dice_label 1"]) == pytest.approx(rows[0]["dice_mean"], abs=1e-5)
    assert chart.read_bytes().startswith(b"\x89PNG")


def test_people_get_a_line_for_each_score(medseg, model, dataset) -> None:
    ended = medseg("simulate", model, dataset, *QUICK, "--strategy", "none")
    assert ended.code == 0
    assert ended.out.splitlines()[0].startswith("strategy  seed  cases")
    assert len(ended.out.splitlines()) == 4  # before, and after each of two cases
    assert "none, seed 0, case 2" in ended.err


def test_a_dataset_of_its_own_may_be_held_back(medseg, model, dataset, tmp_path: Path) -> None:
    for number in (7, 8):
        save_case(tmp_path, f"case{number}", number)
    words = ["simulate", model, dataset, "--cases", 1, "--held", tmp_path, "--strategy", "none"]
    assert json.loads(medseg(*words, "--json").out)["held"] == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--strategy", "magic"), 2, "--strategy must be one of ours"),
        (("--held", 0), 2, "--held must be 1 or more"),
        (("--held", 5), 3, "at least one case must be left"),
        (("--held", "nowhere"), 3, "there is no such folder"),
        (("--budget", 100_000), 2, "budget: must be 1"),
        (("--set", "step=3"), 2, "the nearest is steps"),
        (("--csv", "rows.txt"), 2, "must end in .csv"),
        (("--png", "nowhere/chart.png"), 3, "must exist"),
    ],
)
def test_what_is_wrong_is_one_line(medseg, model, dataset, words, code: int, said: str) -> None:
    ended = medseg("simulate", model, dataset, *words)
    assert ended.code == code
    assert len(ended.err.splitlines()) == 1
    assert said in ended.err
    assert ended.out == ""


def test_a_model_that_is_none_is_refused_as_one(medseg, dataset) -> None:
    ended = medseg("simulate", dataset / "images" / "case0.nii.gz", dataset)
    assert ended.code == 4


def listen_to_ctrl_c() -> None:
    """A shell's background jobs are born deaf to it, and so are their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_stopping_leaves_nothing_behind(model, dataset, tmp_path: Path) -> None:
    words = ["simulate", model, dataset, *QUICK, "--steps", 100_000, "--csv", tmp_path / "rows.csv"]
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_medseg.cli", *map(str, words)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=listen_to_ctrl_c,
    )
    assert process.stderr is not None
    assert "before" in process.stderr.readline()  # the model as it came is scored
    process.send_signal(signal.SIGINT)
    out_text, _ = process.communicate(timeout=60)
    assert (process.returncode, out_text) == (130, "")
    assert list(tmp_path.iterdir()) == []
