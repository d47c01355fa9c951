"""The rows of a simulation as curves and as files."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_medseg.errors import TrainingError, WriteError
from napari_medseg.evaluation.chart import COLOURS, LEGEND, PANEL
from napari_medseg.training.simulation import (
    Row,
    SimulateConfig,
    curves,
    write_csv,
    write_png,
)


def rows_of(strategy: str, seed: int, dice: tuple[float, ...], strokes: int) -> list[Row]:
    """Cases 0, 1, 2 …, each scored and with so many strokes."""
    return [
        Row(
            strategy,
            seed,
            number,
            f"case {number}" if number else "",
            strokes=strokes if number else 0,
            strokes_total=number * strokes,
            dice={"organ": one},
        )
        for number, one in enumerate(dice)
    ]


ROWS = [
    *rows_of("ours", 0, (0.5, 0.8), 10),
    *rows_of("ours", 1, (0.5, 0.6), 20),
    *rows_of("none", 0, (0.5, 0.5), 10),
]


def test_a_curve_is_the_mean_over_the_seeds_with_its_deviation() -> None:
    ours, none = curves(ROWS, lambda row: row.strokes_total)
    assert (ours.name, none.name) == ("ours", "none")
    assert list(ours.x) == [0, 15]
    assert ours.y == pytest.approx([0.5, 0.7])
    assert ours.high[1] - ours.y[1] == pytest.approx(0.1 * 2**0.5)  # of 0.6 and 0.8
    assert list(none.low) == []  # one seed has no spread


def test_cases_that_were_not_scored_are_left_out() -> None:
    rows = [*ROWS, Row("ours", 0, 2, "case 2")]
    assert list(curves(rows, lambda row: row.cases)[0].x) == [0, 1]


def test_the_table_has_a_line_for_each_row(tmp_path: Path) -> None:
    write_csv([*ROWS, Row("ours", 0, 2, "case 2")], tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 7
    assert lines[1]["dice_organ"] == "0.8"
    assert lines[1]["strokes_total"] == "10"
    assert lines[-1]["dice_mean"] == ""  # it was not scored


def test_each_panel_of_dice_holds_a_curve_of_each_strategy(tmp_path: Path) -> None:
    write_png(ROWS, tmp_path / "rows.png", 0.9)
    with Image.open(tmp_path / "rows.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), int)[LEGEND:]
    for row, column in ((0, 0), (0, 1), (1, 0)):  # cases, strokes, seconds
        panel = pixels[row * PANEL[1] :, column * PANEL[0] :][: PANEL[1], : PANEL[0]]
        for colour in COLOURS[:2]:
            wanted = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
            assert (abs(panel - wanted).sum(-1) < 30).sum() > 20


@pytest.mark.parametrize("write", [write_csv, lambda rows, path: write_png(rows, path, 0.9)])
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, write) -> None:
    with pytest.raises(WriteError, match="must be saved"):
        write(ROWS, tmp_path / "none" / "file")


def test_a_goal_above_one_is_refused() -> None:
    with pytest.raises(TrainingError, match="goal"):
        SimulateConfig(goal=2.0)


def test_rows_are_read_without_torch() -> None:
    code = "import sys, napari_medseg.training.simulation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
