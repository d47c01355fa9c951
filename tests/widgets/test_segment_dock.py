"""The first dock: a mask appears, never over what a person painted, and the window stays free."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_medseg.errors import ModelError
from napari_medseg.inference.events import BoxDone, LookAt
from napari_medseg.jobs import Notice, Progress
from napari_medseg.widgets import layers, style
from napari_medseg.widgets.segment_dock import SegmentDock, facts

TIMEOUT_MS = 40_000  # a child starts and imports torch


def shown(viewer) -> SegmentDock:
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    return dock


def test_run_fills_the_mask_but_not_the_voxels_that_a_person_painted(viewer, desk, qtbot):
    dock = shown(viewer)
    desk.labels.data[3, :5, :5] = 7
    desk.workbench.commit()
    dock.run.click()
    assert dock.run.text() == "Stop"
    qtbot.waitUntil(lambda: desk.prediction.result is not None, timeout=TIMEOUT_MS)
    assert (desk.labels.data[3, :5, :5] == 7).all()
    assert np.count_nonzero(desk.labels.data == 1) == desk.labels.data.size - 25
    assert dock.state.text().startswith("Done in")


def test_a_new_window_says_what_to_do_first(viewer, empty):
    dock = shown(viewer)
    assert not dock.run.isEnabled()
    assert not dock.no_scan.isHidden()
    assert not dock.sample.isHidden()
    assert dock.state.text() == "Open a scan first."


def test_a_scan_that_comes_is_listed_and_opened(viewer, empty, scan, qtbot):
    dock = shown(viewer)
    layers.show(viewer, scan)
    qtbot.waitUntil(lambda: empty.labels is not None)
    assert dock.scans.currentText() == "scan"
    assert dock.sample.isHidden()


def test_a_scan_without_a_model_says_so(viewer, empty, scan, monkeypatch):
    dock = shown(viewer)
    monkeypatch.setattr(empty.workbench, "segmenter", None)
    layers.show(viewer, scan)
    assert dock.state.text() == "Load a model first."


def test_an_unreadable_model_is_refused_in_a_notification(viewer, desk, tmp_path, said):
    dock = shown(viewer)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    dock.load_model(broken)
    assert "broken.safetensors" in said()[-1]
    assert dock.models.currentText() == "organ"


def test_a_model_that_vanished_is_refused_when_it_runs(viewer, desk, qtbot, said, monkeypatch):
    def gone(config):
        yield Progress(0, 1, "Loading the model")
        raise ModelError("a model must be a file, this one is gone; load it again", "organ")

    dock = shown(viewer)
    monkeypatch.setattr(desk.workbench, "predict", gone)
    with qtbot.waitSignal(desk.prediction.changed):
        dock.run.click()
    qtbot.waitUntil(lambda: not desk.prediction.running)
    assert said()[-1].startswith("organ: a model must be a file")
    assert dock.state.text() == "Failed: at most a part is segmented."


@pytest.mark.parametrize("fails", [False, True])
def test_a_quick_look_is_taken_back_when_the_run_ends_early(
    viewer, desk, qtbot, said, monkeypatch, fails
):
    go_on = threading.Event()

    def job(config):
        size = desk.case.scan.array.shape
        yield BoxDone((0, 0, 0), np.ones((1, *size[1:]), np.uint8))
        yield BoxDone((1, 0, 0), np.ones((1, *size[1:]), np.uint8), preview=True)
        while not go_on.wait(0.005):
            yield Progress(1, 2)
        raise ModelError("a model must fit, this one does not", "organ")

    dock = shown(viewer)
    monkeypatch.setattr(desk.workbench, "predict", job)
    dock.toggle()
    slice_size = desk.labels.data[0].size
    qtbot.waitUntil(lambda: np.count_nonzero(desk.labels.data) == 2 * slice_size)
    if fails:
        go_on.set()
    else:
        dock.toggle()
    qtbot.waitUntil(lambda: not desk.prediction.running)
    assert np.count_nonzero(desk.labels.data) == slice_size, "the final slice"
    word = "Failed: at most" if fails else "Stopped: only"
    assert dock.state.text() == f"{word} a part is segmented."


def test_notices_stand_below_the_button(viewer, desk, qtbot, monkeypatch):
    def job(config):
        yield Notice("not enough GPU memory: using the CPU")
        yield Progress(1, 2, "Segmenting")
        while True:
            yield Progress(1, 2, "Segmenting")

    dock = shown(viewer)
    monkeypatch.setattr(desk.workbench, "predict", job)
    dock.toggle()
    qtbot.waitUntil(lambda: "using the CPU" in dock.notices.text())
    assert (dock.bar.value(), dock.bar.maximum()) == (1, 2)
    dock.toggle()
    qtbot.waitUntil(lambda: not desk.prediction.running)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_viewed_slice_is_asked_for_on_the_scans_own_grid(viewer, desk, axis):
    viewer.dims.order = [axis, *(other for other in range(3) if other != axis)]
    viewer.dims.set_current_step(axis, 2)
    own = desk.case.own_slice(axis, 2)
    assert desk.viewed_slice() == (axis, 2)
    assert desk._own_slice() == own


def test_scrolling_tells_a_running_prediction_where_the_user_looks(
    viewer, desk, qtbot, monkeypatch
):
    heard: list[object] = []

    def job(config):
        while True:
            told = yield Progress(1, 2)
            heard.extend([] if told is None else [told])
            threading.Event().wait(0.005)

    monkeypatch.setattr(desk.workbench, "predict", job)
    desk.predict("cpu")
    viewer.dims.set_current_step(0, 3)
    qtbot.waitUntil(lambda: heard[-1:] == [LookAt(*desk.case.own_slice(0, 3))])
    viewer.dims.order = (2, 0, 1)
    viewer.dims.set_current_step(2, 5)
    qtbot.waitUntil(lambda: heard[-1] == LookAt(*desk.case.own_slice(2, 5)))
    viewer.dims.ndisplay = 3
    seen = len(heard)
    viewer.dims.set_current_step(2, 7)
    qtbot.wait(100)
    assert len(heard) == seen, "in 3-D no slice is looked at"
    desk.prediction.stop()
    qtbot.waitUntil(lambda: not desk.prediction.running)


def test_a_model_is_described_by_its_labels(desk):
    assert facts(desk.workbench.segmenter).startswith("Finds: organ")


def test_the_run_key_starts_and_the_button_stops(viewer, desk, qtbot):
    dock = shown(viewer)
    desk.run_asked.emit()
    assert desk.prediction.running
    dock.run.click()
    assert dock.run.text() == "Stopping…"
    qtbot.waitUntil(lambda: not desk.prediction.running, timeout=TIMEOUT_MS)
    assert dock.run.text() == "Segment"
    assert desk.prediction.result is None


def test_the_options_make_the_dock_no_wider_than_it_is(viewer, desk):
    dock = shown(viewer)
    dock.options.box.expand(animate=False)
    assert dock.widget().minimumSizeHint().width() <= style.WIDTH[1]
