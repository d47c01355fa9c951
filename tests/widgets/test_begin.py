"""From painted slices to a model and the rest of the scan, by a press on a button."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_medseg.errors import TrainingError
from napari_medseg.jobs import Progress
from napari_medseg.models.card import read_card
from napari_medseg.training.begun import ScratchConfig
from napari_medseg.volume import Geometry, Volume
from napari_medseg.widgets import layers
from napari_medseg.widgets.begin import LEARN
from napari_medseg.widgets.finetune_dock import FineTuneDock
from napari_medseg.widgets.segment_dock import SegmentDock
from napari_medseg.workbench import beginning

TIMEOUT_MS = 90_000  # a child starts, imports torch and learns on a busy machine
SHAPE = (14, 30, 28)
PAINTED = (4, 7, 10)


def ball():
    z, y, x = np.indices(SHAPE)
    return ((z - 7) / 5.5) ** 2 + ((y - 15) / 8) ** 2 + ((x - 14) / 7) ** 2 <= 1


@pytest.fixture
def desk(empty, monkeypatch):
    """A window without a model; its scan shows a bright ball, on axes that are not the shown."""
    monkeypatch.setattr(empty.workbench, "segmenter", None)
    noise = np.random.default_rng().normal(0, 10, SHAPE)
    geometry = Geometry(SHAPE, np.diag([1.0, -1.0, -2.0, 1.0]))
    image = (100 + 100.0 * ball()).astype(np.float32) + noise.astype(np.float32)
    layers.show(empty.viewer, Volume(image, geometry, name="scan"))
    empty.open_scan(empty.viewer.layers[0])
    return empty


@pytest.fixture
def truth(desk):
    """The ball as the mask's layer shows it."""
    return np.ascontiguousarray(desk.case.turn.apply(ball()))


@pytest.fixture
def dock(viewer, desk):
    made = FineTuneDock(viewer)
    made.fresh.beginner.config = ScratchConfig(steps=3, features=(4, 8), threads=1)
    viewer.window.add_dock_widget(made, name="Fine-tune")
    return made


def paint(desk, truth, slices=PAINTED):
    for z in slices:
        desk.labels.data[z][truth[z]] = 1
    desk.workbench.commit()


def press(qtbot, button):
    qtbot.waitUntil(button.isEnabled)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_a_press_makes_a_model_and_fills_the_rest_of_the_scan(desk, dock, qtbot, truth, taught):
    paint(desk, truth)
    before, mask = desk.labels.data.copy(), desk.labels.data
    beginner = dock.fresh.beginner
    press(qtbot, dock.fresh.run)
    assert dock.fresh.run.text() == "Stop"
    assert "being learned" in dock.reason.text()
    qtbot.waitUntil(lambda: not beginner.run.running, timeout=TIMEOUT_MS)
    assert dock.fresh.state.text().startswith("“label 1” is in use")
    card = desk.workbench.segmenter
    assert card.version in [one.version for one in desk.workbench.models]
    assert read_card(card.path).lineage.how == "scratch"
    assert (mask[list(PAINTED)] == before[list(PAINTED)]).all()
    assert 2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum()) > 0.85
    assert dock.run.isEnabled()  # it teaches the new model
    assert [one.confirmed.sum() for one in taught(desk.workbench)] == [before.sum()]
    filled = mask.copy()
    desk.workbench.editor.undo()
    assert (mask == before).all()
    assert dock.fresh.state.isHidden()
    desk.workbench.editor.redo()
    assert (mask == filled).all()


def test_what_is_stopped_in_the_middle_leaves_nothing(
    desk, dock, qtbot, truth, own_data, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(beginning, "BEGIN", "endless_drafts:draft_for_ever")
    paint(desk, truth)
    before, beginner = desk.labels.data.copy(), dock.fresh.beginner
    models = len(desk.workbench.models)
    press(qtbot, dock.fresh.run)
    qtbot.waitUntil(lambda: (desk.labels.data != before).any(), timeout=TIMEOUT_MS)
    press(qtbot, dock.fresh.run)
    qtbot.waitUntil(lambda: not beginner.run.running, timeout=TIMEOUT_MS)
    assert (desk.labels.data == before).all()
    assert dock.fresh.state.text().startswith("Stopped: the mask is as it was")
    assert len(desk.workbench.models) == models
    assert not list((own_data / "napari-medseg" / "models").glob("*"))
    assert desk.workbench.editor.history.steps[-1].name == "stroke"


def test_it_says_what_is_missing_until_two_slices_are_painted(desk, dock, qtbot, truth):
    button, missing = dock.fresh.run, dock.fresh.missing
    assert not button.isEnabled()
    assert "paint it whole in three slices or more" in missing.text()
    assert button.toolTip().startswith(missing.text())
    paint(desk, truth, PAINTED[:1])
    qtbot.waitUntil(lambda: "one more slice" in missing.text())
    assert not button.isEnabled()
    paint(desk, truth, PAINTED[1:2])
    qtbot.waitUntil(button.isEnabled)
    assert missing.isHidden()


def test_a_scan_that_closes_meanwhile_ends_it(desk, dock, qtbot, truth, scan, monkeypatch):
    def endless(*_):
        while True:
            yield Progress(0, 0, "Following the shapes")

    monkeypatch.setattr(beginning.Beginning, "job", endless)
    paint(desk, truth)
    press(qtbot, dock.fresh.run)
    desk.open_volume(scan)
    qtbot.waitUntil(lambda: not dock.fresh.beginner.run.running)
    assert not desk.labels.data.any()
    assert dock.fresh.run.text() == LEARN


def test_a_refusal_is_one_sentence_and_leaves_the_mask(desk, dock, qtbot, truth, said, monkeypatch):
    def refused(*_):
        yield Progress(0, 0, "Reading the painted slices")
        raise TrainingError("the loss must stay finite, it did not; paint the structure whole")

    monkeypatch.setattr(beginning.Beginning, "job", refused)
    paint(desk, truth)
    before = desk.labels.data.copy()
    press(qtbot, dock.fresh.run)
    qtbot.waitUntil(lambda: not dock.fresh.beginner.run.running)
    assert said()[-1].startswith("the loss must stay finite")
    assert dock.fresh.state.text().startswith("Failed: the mask is as it was")
    assert (desk.labels.data == before).all()


def test_without_a_model_the_docks_point_to_it(viewer, desk, dock):
    segment = SegmentDock(viewer)
    assert "paint a structure in a few slices" in segment.facts.text()
    assert not segment.begin.isHidden()
    assert "let one learn from your slices" in dock.reason.text()
