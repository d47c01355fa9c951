"""The third dock: learn, compare, use it or not, go back; and a window that closes meanwhile."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from napari.layers import Labels
from qtpy.QtCore import Qt

from napari_medseg.errors import TrainingError
from napari_medseg.models.card import read_card
from napari_medseg.training.events import OutcomeCard, StepDone, Validated
from napari_medseg.widgets.attach import desk_of, open_all_docks, show_dock
from napari_medseg.widgets.finetune_dock import FineTuneDock
from napari_medseg.widgets.tally import time_left
from napari_medseg.workbench import rehearsal

STANDINS = Path(__file__).parents[1] / "workbench"  # children that need no torch
TIMEOUT_MS = 90_000  # a child starts, imports torch and learns on a busy machine


def children() -> list[psutil.Process]:
    """Our background processes that live."""
    mine = psutil.Process().children(recursive=True)
    return [one for one in mine if "napari_medseg.jobs" in " ".join(one.cmdline())]


def shown(viewer) -> FineTuneDock:
    dock = FineTuneDock(viewer)
    viewer.window.add_dock_widget(dock, name="Fine-tune")
    return dock


def correct(desk) -> None:
    """A person corrects and confirms three slices."""
    desk.labels.data[2:5, 4:12, 4:12] = 1
    for index in (2, 3, 4):
        desk.workbench.confirm_slice(0, index)


def start_quick(dock: FineTuneDock, steps: int) -> None:
    dock.form.fields["steps"].value = steps
    dock.run.click()


def test_learn_use_it_and_go_back(viewer, desk, qtbot, organ_model):
    dock = shown(viewer)
    correct(desk)
    start_quick(dock, steps=6)
    assert dock.run.text() == "Stop"
    qtbot.waitUntil(lambda: desk.learning.result is not None, timeout=TIMEOUT_MS)
    assert len(desk.learning.steps) == 6
    assert desk.learning.checks
    new = desk.learning.result.candidate.version
    dock.use.click()
    assert desk.workbench.segmenter.version == new
    assert dock.versions.rowCount() == 2
    dock.versions.selectRow(1)
    dock.back.click()
    assert desk.workbench.segmenter.version == read_card(organ_model).version
    assert dock.versions.item(1, 0).text() == "● original"


def test_the_new_model_is_seen_beside_the_mask_before_anybody_decides(viewer, desk, drag, qtbot):
    dock = shown(viewer)
    correct(desk)
    start_quick(dock, steps=2)
    qtbot.waitUntil(lambda: desk.learning.result is not None, timeout=TIMEOUT_MS)
    before = desk.labels.data.copy()
    dock.beside.see.click()
    qtbot.waitUntil(lambda: dock.beside.layer is not None, timeout=TIMEOUT_MS)
    layer = dock.beside.layer
    assert (desk.labels.data == before).all()
    assert layer.data.shape == before.shape
    assert not layer.editable
    assert viewer.layers.selection.active is desk.labels
    row = desk.views.bar.compare
    assert row.other is layer
    assert row.comparison.counts[1:].sum() == ((before != 0) | (layer.data != 0)).sum()
    dock.keep.click()
    assert layer not in viewer.layers
    assert row.comparison is None
    assert not desk.views.bar.comparing.isChecked()


def test_what_the_model_knew_of_earlier_cases_is_shown_while_it_learns(viewer, desk):
    dock = shown(viewer)
    assert dock.meter.isHidden()
    for step, dice in ((0, 0.9), (10, 0.8)):
        desk.learning.take(Validated(step, {"organ": 0.5}, {}, {"organ": dice}))
    desk.learning.changed.emit()
    assert not dock.meter.isHidden()
    assert [dock.anchors.item(0, n).text() for n in range(4)] == [
        "organ", "0.900", "0.800", "▼ -0.100",
    ]  # fmt: skip


def test_a_model_without_earlier_cases_shows_no_table_of_them(viewer, desk):
    dock = shown(viewer)
    desk.learning.take(Validated(0, {"organ": 0.5}, {}, {"organ": float("nan")}))
    desk.learning.changed.emit()
    assert dock.meter.isHidden()


def test_closing_the_window_while_it_learns_takes_less_than_five_seconds(
    make_napari_viewer, own_data, organ_model, scan, qtbot
):
    viewer = make_napari_viewer(show=True)
    desk = desk_of(viewer)
    bench = desk.workbench
    bench.adopt(bench.add_model(organ_model))
    desk.open_volume(scan)
    dock = shown(viewer)
    correct(desk)
    start_quick(dock, steps=100_000)
    qtbot.waitUntil(lambda: len(desk.learning.steps) > 1, timeout=TIMEOUT_MS)
    started = time.monotonic()
    viewer.close()
    qtbot.waitUntil(lambda: desk.closed, timeout=5000)
    assert time.monotonic() - started < 5
    assert children() == []


def test_a_dock_that_is_closed_and_opened_again_shows_the_running_lesson(
    viewer, desk, qtbot, monkeypatch
):
    correct(desk)
    monkeypatch.setattr(desk.workbench, "fine_tune", lambda config: lesson(step_s=0.05))
    first = shown(viewer)
    first.run.click()
    qtbot.waitUntil(lambda: len(desk.learning.steps) > 3)
    viewer.window.remove_dock_widget(first)
    qtbot.wait(50)
    again = shown(viewer)
    assert again.run.text() == "Stop"
    told = len(desk.learning.steps)
    assert again.state.text().startswith(f"Step {desk.learning.steps[-1]}")
    qtbot.waitUntil(lambda: len(desk.learning.steps) > told)
    again.run.click()
    qtbot.waitUntil(lambda: not desk.learning.running)


def lesson(step_s: float = 0.0, outcome: OutcomeCard | None = None, steps: int = 200):
    for step in range(1, steps + 1):
        time.sleep(step_s)
        yield StepDone(step, steps, 1 / step, seconds_left=90.0)
    yield Validated(steps, {"organ": 0.8}, {"organ": 0.7})
    return outcome


def result(organ_model, adopted: bool) -> OutcomeCard:
    card = read_card(organ_model)
    after = {"organ": 0.9 if adopted else 0.7}
    return OutcomeCard(card, {"organ": 0.8}, after, adopted, "because", 1.0, 1)


@pytest.mark.parametrize("adopted", [True, False])
def test_the_better_model_is_the_one_that_the_eye_finds(
    viewer, desk, qtbot, monkeypatch, organ_model, adopted
):
    correct(desk)
    dock = shown(viewer)
    job = lesson(outcome=result(organ_model, adopted))
    monkeypatch.setattr(desk.workbench, "fine_tune", lambda config: job)
    dock.run.click()
    qtbot.waitUntil(lambda: not dock.outcome.isHidden())
    assert dock.scores.item(0, 3).text() == ("▲ +0.100" if adopted else "▼ -0.100")
    assert (dock.use.styleSheet() != "", dock.keep.styleSheet() != "") == (adopted, not adopted)
    dock.keep.click()
    assert dock.outcome.isHidden()


def test_it_cannot_start_before_something_is_corrected_and_says_why(viewer, desk):
    dock = shown(viewer)
    assert not dock.run.isEnabled()
    assert "Nothing to learn from yet" in dock.reason.text()
    correct(desk)
    assert dock.run.isEnabled()
    assert dock.reason.isHidden()


def test_one_slice_alone_is_not_enough_and_it_says_so(viewer, desk):
    dock = shown(viewer)
    desk.workbench.confirm_slice(0, 2)
    assert "one more slice" in dock.reason.text()


def test_a_refusal_of_the_training_is_a_notification(viewer, desk, qtbot, said, monkeypatch):
    def refused(config):
        raise TrainingError("the loss must stay finite, it did not; lower the learning rate")
        yield

    correct(desk)
    dock = shown(viewer)
    monkeypatch.setattr(desk.workbench, "fine_tune", refused)
    dock.run.click()
    qtbot.waitUntil(lambda: not desk.learning.running)
    assert "the loss must stay finite" in said()[-1]
    assert dock.run.text() == "Start fine-tuning"


def test_the_docks_open_as_tabs_in_the_order_of_the_work_and_only_once(viewer):
    made = open_all_docks(viewer)
    assert list(made) == ["Segment", "Correct", "Fine-tune"]
    assert show_dock(viewer, "Correct") is made["Correct"]
    assert len(viewer.window.dock_widgets) == 3


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, ""), (42.4, " · about 42 s left"), (240.0, " · about 4 min left")]
)
def test_the_time_left_is_told_as_people_say_it(seconds, words):
    assert time_left(seconds) == words


@pytest.fixture
def tried(viewer, desk, drag, qtbot, monkeypatch, organ_model):
    """The dock in a shown window, where a candidate awaits its verdict and its mask is compared."""
    monkeypatch.setenv("PYTHONPATH", str(STANDINS), prepend=os.pathsep)
    monkeypatch.setattr(rehearsal, "PREDICT", "standin:predict_with")
    monkeypatch.setattr(
        desk.workbench, "fine_tune", lambda config: lesson(outcome=result(organ_model, True))
    )
    correct(desk)
    dock = shown(viewer)
    press(qtbot, dock.run)
    qtbot.waitUntil(lambda: desk.learning.result is not None)
    press(qtbot, dock.beside.see)
    qtbot.waitUntil(lambda: desk.views.bar.compare.comparison is not None, timeout=TIMEOUT_MS)
    assert masks(viewer) == {desk.labels.name, "new model", "difference"}
    return dock


def press(qtbot, button) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def masks(viewer) -> set[str]:
    """Names of the mask layers in the list."""
    return {one.name for one in viewer.layers if isinstance(one, Labels)}


def compares_nothing(viewer, desk) -> bool:
    """Whether the open mask stands alone, and the row above the views says so."""
    bar, mine = desk.views.bar, desk.labels
    rest = masks(viewer) - ({mine.name} if mine is not None else set())
    seen = mine is None or mine.visible
    return seen and not rest and bar.compare.comparison is None and not bar.comparing.isChecked()


def start_another(viewer, desk, dock, qtbot) -> None:
    endless = lesson(step_s=0.05)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk.workbench, "fine_tune", lambda config: endless)
        press(qtbot, dock.run)
    assert desk.learning.running


def begin_a_model(viewer, desk, dock, qtbot) -> None:
    dock.fresh.beginner.begin()
    dock.fresh.beginner.run.stop()
    qtbot.waitUntil(lambda: not dock.fresh.beginner.run.running, timeout=TIMEOUT_MS)


def open_it_anew(viewer, desk, dock, qtbot) -> None:
    before = desk.labels
    desk.open_volume(replace(desk.case.scan, array=desk.case.scan.array + 1))
    viewer.layers.remove(before)  # it waits for its scan, and is no trace of the candidate


def take_the_mask_away(viewer, desk, dock, qtbot) -> None:
    viewer.layers.remove(desk.labels)


def use(viewer, desk, dock, qtbot) -> None:
    press(qtbot, dock.use)


def keep_in_a_dock_that_was_opened_again(viewer, desk, dock, qtbot) -> None:
    viewer.window.remove_dock_widget(dock)
    qtbot.wait(50)
    press(qtbot, shown(viewer).keep)


ENDS = (
    start_another, begin_a_model, open_it_anew, take_the_mask_away, use,
    keep_in_a_dock_that_was_opened_again,
)  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_the_candidates_mask_goes_with_what_it_was_tried_for(viewer, desk, tried, qtbot, end):
    end(viewer, desk, tried, qtbot)
    assert compares_nothing(viewer, desk)
    desk.learning.stop()
    qtbot.waitUntil(lambda: not desk.learning.running)
    assert compares_nothing(viewer, desk)


def test_a_mask_that_was_on_its_way_when_the_next_fine_tune_starts_is_not_shown(
    viewer, desk, tried, qtbot
):
    press(qtbot, tried.beside.see)
    assert tried.beside.run.running
    start_another(viewer, desk, tried, qtbot)
    qtbot.waitUntil(lambda: not tried.beside.run.running, timeout=TIMEOUT_MS)
    desk.learning.stop()
    qtbot.waitUntil(lambda: not desk.learning.running)
    assert compares_nothing(viewer, desk)


def test_another_mask_that_is_compared_stays_when_the_candidates_goes(viewer, desk, tried, qtbot):
    look = {"scale": desk.labels.scale, "translate": desk.labels.translate}
    other = viewer.add_labels(
        np.ones_like(desk.labels.data), name="other", units=desk.labels.units, **look
    )
    bar = desk.views.bar
    bar.compare_with(other)
    press(qtbot, tried.keep)
    assert masks(viewer) == {desk.labels.name, "other", "difference"}
    assert bar.compare.other is other
    listed = [bar.compare.choice.itemText(n) for n in range(bar.compare.choice.count())]
    assert "new model" not in listed
    viewer.layers.remove(desk.labels)
    assert masks(viewer) == {"other"}
    assert bar.compare.comparison is None


def settled(count, qtbot):
    """A number once it has stayed the same for half a second: steps on their way still arrive."""
    number = -1
    while (now := count()) != number:
        number = now
        qtbot.wait(500)
    return number


def test_a_fine_tune_that_is_paused_rests_and_goes_on_where_it_was(viewer, desk, qtbot):
    dock = shown(viewer)
    correct(desk)
    start_quick(dock, steps=400)
    qtbot.waitUntil(lambda: len(desk.learning.steps) > 3, timeout=TIMEOUT_MS)
    dock.pause.click()
    assert dock.pause.text() == "Resume"
    child = children()[0]
    qtbot.waitUntil(lambda: dock.state.text().startswith("Paused after"), timeout=TIMEOUT_MS)
    done = settled(lambda: len(desk.learning.steps), qtbot)
    busy = child.cpu_times().user
    qtbot.wait(500)
    assert len(desk.learning.steps) == done
    assert child.cpu_times().user - busy < 0.1
    qtbot.waitUntil(lambda: dock.state.text() == f"Paused after {done} steps", timeout=TIMEOUT_MS)
    dock.pause.click()
    qtbot.waitUntil(lambda: len(desk.learning.steps) > done + 3, timeout=TIMEOUT_MS)
    dock.run.click()
    qtbot.waitUntil(lambda: not desk.learning.running, timeout=TIMEOUT_MS)
