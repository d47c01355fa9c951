"""A chart of curves: they are drawn where they belong, whatever the numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_medseg.errors import WriteError
from napari_medseg.evaluation.chart import COLOURS, Line, Panel, drawn, ticks, write_chart


def places_of(picture: Image.Image, colour: str) -> np.ndarray:
    """(N, 2) pixels (y, x) of about this colour."""
    wanted = [int(colour[n : n + 2], 16) for n in (1, 3, 5)]
    return np.argwhere(np.abs(np.asarray(picture).astype(int) - wanted).max(-1) < 24)


def test_a_rising_line_rises() -> None:
    picture = drawn([Panel("t", "x", (Line("a", [0, 1, 2], [0.1, 0.5, 0.9]),))], columns=1)
    found = places_of(picture, COLOURS[0])
    found = found[found[:, 0] > 60]  # below the legend
    left, right = found[found[:, 1] < 150], found[found[:, 1] > 450]
    assert left[:, 0].mean() > right[:, 0].mean() + 100


def test_a_name_has_one_colour_in_all_panels() -> None:
    one, two = (Line(name, [0, 1], [0, 1]) for name in "ab")
    picture = drawn([Panel("", "", (one, two)), Panel("", "", (two,))])
    right = np.array([x for _, x in places_of(picture, COLOURS[1])])
    assert (right > 560).any()
    assert not (places_of(picture, COLOURS[0])[:, 1] > 560).any()


@pytest.mark.parametrize(
    "line",
    [
        Line("empty", [], []),
        Line("one", [3], [0.5]),
        Line("flat", [0, 1], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]),
        Line("unknown", [0, 1, 2], [math.nan, 0.5, math.nan]),
    ],
)
def test_any_numbers_give_a_picture(line: Line, tmp_path: Path) -> None:
    write_chart([Panel("t", "x", (line,), (0.7,))], tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.size == (1120, 430)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.61, 0.87), (0, 20), (-3, 1400), (5, 5.001)])
def test_ticks_are_few_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    assert low - 1e-6 <= found[0] < found[-1] <= high + 1e-6


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="must be saved"):
        write_chart([Panel("", "", ())], tmp_path / "none" / "chart.png")
