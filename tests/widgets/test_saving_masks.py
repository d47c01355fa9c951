"""What is saved while a prediction runs: what is final and what a person painted, no quick look."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.inference.events import BoxDone
from napari_medseg.jobs import Progress
from napari_medseg.widgets.correct_dock import CorrectDock
from napari_medseg.widgets.saving import PARTLY, save_mask_as
from napari_medseg.widgets.segment_dock import SegmentDock

FINAL, LOOK, MINE = 1, 2, 3


@pytest.fixture
def running(desk, qtbot, monkeypatch):
    """A prediction that gave one final slice, a quick look at the next, and goes on."""

    def job(config):
        size = desk.case.scan.array.shape[1:]
        yield BoxDone((0, 0, 0), np.full((1, *size), FINAL, np.uint8))
        yield BoxDone((1, 0, 0), np.full((1, *size), LOOK, np.uint8), preview=True)
        while True:
            time.sleep(0.02)
            yield Progress(1, 2)

    monkeypatch.setattr(desk.workbench, "predict", job)
    desk.predict("cpu")
    qtbot.waitUntil(lambda: (desk.labels.data == LOOK).any())
    own = desk.case.turn.undo(desk.labels.data)  # a view
    own[1, :3, :3] = MINE  # on the quick look, and not committed yet
    yield desk
    desk.prediction.stop()
    qtbot.waitUntil(lambda: not desk.prediction.running)


def expected(desk) -> np.ndarray:
    """On the scan's own grid."""
    labels = np.zeros(desk.case.scan.array.shape, np.uint8)
    labels[0], labels[1, :3, :3] = FINAL, MINE
    return labels


def test_the_docks_save_no_quick_look_and_say_so(viewer, running, tmp_path, said):
    docks = SegmentDock(viewer), CorrectDock(viewer)
    for dock in docks:
        assert dock.save.isEnabled()
        assert PARTLY in dock.save.toolTip()
    save_mask_as(running, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(io.read_mask(tmp_path / "mask.nii.gz").labels, expected(running))
    assert said()[-1].endswith(PARTLY)
    assert (running.labels.data == LOOK).any(), "the window still shows it"


def test_naparis_own_save_writes_no_quick_look(viewer, running, tmp_path):
    written = running.labels.save(str(tmp_path / "mask.nrrd"), plugin="napari-medseg")
    np.testing.assert_array_equal(io.read_mask(written[0]).labels, expected(running))


def test_when_nothing_runs_the_button_says_only_what_it_does(viewer, desk):
    dock = SegmentDock(viewer)
    assert PARTLY not in dock.save.toolTip()
