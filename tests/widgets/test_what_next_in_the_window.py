"""The predicted Dice after a prediction, and the walk over the slices that are worth most."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_medseg.active.predicted import Guess, Judge
from napari_medseg.active.signs import Signs
from napari_medseg.inference.events import Prediction
from napari_medseg.jobs import Progress
from napari_medseg.widgets import outlook
from napari_medseg.widgets.correct_dock import CorrectDock
from napari_medseg.widgets.next_slice import NONE_LEFT
from napari_medseg.widgets.outlook_panel import SlicePanel
from napari_medseg.widgets.segment_dock import SegmentDock
from napari_medseg.workbench.critic import Basis, Verdict

TIMEOUT_MS = 120_000  # a child runs at low priority


@pytest.fixture
def walk(desk, qtbot):
    """The panel over a mask of label 1 that is probably wrong on three slices."""
    case = desk.case
    labels = np.zeros(case.labels.shape, np.uint8)
    labels[2:10, 6:18, 6:18] = 1
    whole = tuple(slice(0, size) for size in labels.shape)
    case.tracker.receive(whole, labels)
    wrong = np.zeros(labels.shape, np.float16)
    for z, doubt in ((3, 0.9), (6, 0.6), (9, 0.3)):
        wrong[z, 8:16, 8:16] = doubt
    panel = SlicePanel(desk)
    qtbot.addWidget(panel)
    panel.walk.outlook.verdict = Verdict(
        case, "", whole, labels, wrong, {}, Judge(), Basis.NOTHING, False
    )
    return panel


@pytest.fixture
def predicted(desk, qtbot, monkeypatch):
    """Runs a prediction that is there at once."""

    def job(config):
        yield Progress(1, 1)
        return Prediction(desk.case.mask(), "cpu", 0.1)

    def go():
        desk.predict("cpu")
        qtbot.waitUntil(lambda: desk.prediction.result is not None, timeout=TIMEOUT_MS)
        qtbot.waitUntil(lambda: not desk.prediction.running, timeout=TIMEOUT_MS)

    monkeypatch.setattr(desk.workbench, "predict", job)
    return go


def at(desk) -> int:
    return desk.viewed_slice()[1]


def settled(qtbot, panel) -> str:
    qtbot.waitUntil(lambda: not panel.walk.busy, timeout=10_000)
    return panel.said.text()


def test_a_button_goes_to_the_slice_worth_most_and_confirming_it_to_the_next(walk, desk, qtbot):
    QTest.mouseClick(walk.next, Qt.MouseButton.LeftButton)
    assert settled(qtbot, walk).startswith("Axial slice 4 of 12: 14 mm² probably wrong")
    assert at(desk) == 3
    assert desk.labels.selected_label == 1
    desk.toggle_mark()
    assert "slice 7 of 12" in settled(qtbot, walk)
    assert at(desk) == 6


def test_a_confirmed_slice_never_comes_again_and_one_that_was_left_not_in_this_walk(
    walk, desk, qtbot
):
    desk.workbench.confirm_slice(0, 3)
    seen = []
    for _ in range(4):
        walk.walk.go_on()
        settled(qtbot, walk)
        seen.append(None if walk.walk.offer is None else walk.walk.offer.slice.index)
    assert seen == [6, 9, None, 6]


def test_it_says_when_no_slice_is_left(walk, desk, qtbot):
    for z in (3, 6, 9):
        desk.workbench.confirm_slice(0, z)
    walk.walk.go_on()
    assert settled(qtbot, walk) == NONE_LEFT


def test_a_key_does_the_same(walk, desk, viewer, qtbot):
    assert desk.toolbox.keys.keys_of("next_slice") == ("Shift-N",)
    assert desk.toolbox.keys.taken("Shift-N", "next_slice") == ""
    viewer.layers.selection.active = desk.labels
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.keyClick(canvas, Qt.Key.Key_N, Qt.KeyboardModifier.ShiftModifier)
    assert "slice 4 of 12" in settled(qtbot, walk)


def test_after_a_prediction_the_dice_is_predicted_and_said_to_be_uncalibrated(
    desk, viewer, qtbot, monkeypatch, said
):
    monkeypatch.setattr(outlook, "UNASKED_S", 120.0)
    dock = SegmentDock(viewer)
    qtbot.addWidget(dock)
    QTest.mouseClick(dock.run, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: desk.prediction.result is not None, timeout=TIMEOUT_MS)
    asked = outlook.outlook_of(desk)
    assert (np.asarray(desk.labels.data) == 1).all()  # the mask does not wait for it
    qtbot.waitUntil(lambda: asked.verdict is not None, timeout=TIMEOUT_MS)
    qtbot.waitUntil(lambda: not asked.run.running, timeout=TIMEOUT_MS)
    line = dock.outlook.text.text()
    assert line == "Predicted Dice, not calibrated and often too high: organ 1.00"
    assert said() == []
    for z in range(12):
        desk.workbench.confirm_slice(0, z)
    folder = desk.workbench.critic._folder
    desk.workbench.close_case()
    assert any("corrected-" in file.name for file in folder.iterdir())
    assert dock.outlook.text.text() == ""


def test_a_judgement_that_takes_long_is_asked_for(desk, viewer, qtbot, predicted):
    dock = SegmentDock(viewer)
    qtbot.addWidget(dock)
    predicted()
    assert "takes about 1 min" in dock.outlook.text.text()
    assert not dock.outlook.ask.isHidden()
    assert not outlook.outlook_of(desk).run.running


def test_why_there_is_no_answer_is_said_in_the_line_and_nowhere_else(
    desk, qtbot, viewer, monkeypatch, said, predicted
):
    dock = CorrectDock(viewer)
    qtbot.addWidget(dock)
    predicted()
    monkeypatch.setattr("napari_medseg.workbench.critic.OPINION", "gone:nothing")
    asked = outlook.outlook_of(desk)
    asked.ask()
    qtbot.waitUntil(lambda: bool(asked.why_not), timeout=TIMEOUT_MS)
    assert asked.said.startswith("No predicted Dice: ModuleNotFoundError")
    assert said() == []


def test_the_line_tells_each_structure_with_its_range_and_of_many_the_worst(desk):
    def line(*dice: float) -> str:
        seen = {value: Signs(one, (), (), 0.5, 1.0) for value, one in enumerate(dice, 1)}
        nothing = np.zeros((0, 0, 0), np.uint8), np.zeros((0, 0, 0), np.float16)
        box, judge = (slice(0, 0),) * 3, Judge(20, 0.03)
        made = Verdict(desk.case, "", box, *nothing, seen, judge, Basis.CORRECTED, True)
        for value, one in enumerate(dice, 1):
            made.guesses[value] = Guess(one, one - 0.1, one + 0.05)
        return outlook.in_words(made)

    assert line(0.87, 0.8) == "Predicted Dice: organ 0.87 (0.77–0.92), label 2 0.80 (0.70–0.85)"
    many = line(0.9, 0.1, 0.8, 0.7, 0.6, 0.5, 0.4)
    assert many.startswith("Predicted Dice: label 2 0.10")
    assert many.endswith("2 more are better")
