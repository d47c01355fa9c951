"""The dock of the virtual person: settings, a run in the background, a curve, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_medseg import io
from napari_medseg.jobs import Job
from napari_medseg.training.simulate import compare_with
from napari_medseg.training.simulation import Strategy
from napari_medseg.volume import Geometry, Mask, Volume
from napari_medseg.widgets import simulate_dock
from napari_medseg.widgets.attach import SIMULATE as TITLE
from napari_medseg.widgets.attach import open_all_docks, show_dock
from napari_medseg.widgets.simulate_dock import SIMULATE, SimulateDock

TIMEOUT_MS = 90_000  # a child starts and imports torch on a busy machine
SHAPE = (12, 24, 24)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three scans of noise with a box in each."""
    grid = Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0))
    for number in range(3):
        labels = np.zeros(SHAPE, np.uint8)
        labels[3:9, 4:16, 4:16] = 1
        image = np.random.default_rng(number).normal(0, 5, SHAPE) + 50 * labels
        for part in ("images", "labels"):
            (tmp_path / "cases" / part).mkdir(parents=True, exist_ok=True)
        name = f"case{number}.nii.gz"
        volume = Volume(image.astype(np.float32), grid)
        io.write_volume(volume, tmp_path / "cases" / "images" / name)
        io.write_mask(Mask(labels, grid), tmp_path / "cases" / "labels" / name)
    return tmp_path / "cases"


def shown(viewer) -> SimulateDock:
    dock = SimulateDock(viewer)
    viewer.window.add_dock_widget(dock, name="Simulate")
    return dock


def choose(dock: SimulateDock, folder: Path) -> None:
    """One case, corrected by four strokes, and nothing learned."""
    dock.folder.setText(str(folder))
    dock.work.fields["cases"].value = 1
    dock.hand.fields["budget"].value = 4
    dock.work.fields["goal"].value = 0.0  # no strokes beyond the budget are counted
    for strategy, box in dock.ways.items():
        box.setChecked(strategy is Strategy.NONE)


def here(name: str, *words: object) -> Job[object]:
    """The job in this process: the next test starts a child."""
    assert name == SIMULATE
    return compare_with(*words)


def test_run_see_the_curve_and_save(
    viewer, desk, qtbot, folder, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(simulate_dock, "apart", here)
    dock = shown(viewer)
    assert not dock.as_csv.isEnabled()
    choose(dock, folder)
    dock.run.click()
    assert dock.run.text() == "Stop"
    qtbot.waitUntil(lambda: not dock.simulation.running, timeout=TIMEOUT_MS)
    assert [row.cases for row in dock.simulation.rows] == [0, 1]
    assert dock.simulation.rows[1].strokes == 4
    assert dock.run.text() == "Start"
    assert not dock.curve.isHidden()
    for name in ("rows.csv", "rows.png"):
        dock.save_as(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0


def test_a_stopped_run_keeps_its_rows_and_a_new_dock_shows_them(
    viewer, desk, qtbot, folder
) -> None:
    dock = shown(viewer)
    choose(dock, folder)
    dock.work.fields["cases"].value = 2
    dock.ways[Strategy.OURS].setChecked(True)
    dock.learning.fields["steps"].value = 100_000
    dock.run.click()
    qtbot.waitUntil(lambda: bool(dock.simulation.rows), timeout=TIMEOUT_MS)
    dock.run.click()
    qtbot.waitUntil(lambda: not dock.simulation.running, timeout=TIMEOUT_MS)
    assert SimulateDock(viewer).as_csv.isEnabled()


@pytest.mark.parametrize(
    ("text", "strategy", "reason"),
    [("", Strategy.OURS, "a folder of labelled cases"), ("cases", None, "a way of learning")],
)
def test_what_is_missing_is_said(viewer, desk, said, text: str, strategy, reason: str) -> None:
    dock = shown(viewer)
    dock.folder.setText(text)
    for one, box in dock.ways.items():
        box.setChecked(one is strategy)
    dock.run.click()
    assert not dock.simulation.running
    assert any(reason in message for message in said())


def test_a_folder_that_is_none_is_said(viewer, desk, qtbot, said) -> None:
    dock = shown(viewer)
    choose(dock, Path("nowhere"))
    dock.run.click()
    qtbot.waitUntil(lambda: not dock.simulation.running, timeout=TIMEOUT_MS)
    assert any("there is no such folder" in message for message in said())


def test_a_press_in_the_third_dock_opens_it_once_and_without_a_number(viewer, desk, qtbot) -> None:
    docks = open_all_docks(viewer)
    assert TITLE not in viewer.window.dock_widgets
    show_dock(viewer, "Fine-tune")
    for _ in range(2):
        qtbot.mouseClick(docks["Fine-tune"].rehearse, Qt.MouseButton.LeftButton)
    opened = viewer.window.dock_widgets[TITLE]
    assert isinstance(opened, SimulateDock)
    assert opened.parent().windowTitle() == TITLE
    assert len(viewer.window.dock_widgets) == 4
