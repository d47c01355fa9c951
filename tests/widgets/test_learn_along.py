"""Learn as I paint: real strokes, a real learner beside, and what happens when it is killed."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from napari_medseg.jobs import Progress
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.live import LiveConfig
from napari_medseg.volume import Label
from napari_medseg.widgets.finetune_dock import FineTuneDock
from napari_medseg.widgets.learn_along import learn_along_of

TIMEOUT_MS = 120_000  # a child of low priority starts and imports torch on a busy machine
STROKE = [(6, 10, 8), (6, 10, 12)]


@pytest.fixture(scope="module")
def doubtful_model(tmp_path_factory):
    """Calls everything background, by so little that one stroke changes its mind."""
    config = NetworkConfig(features=(4, 8), strides=((1, 1, 1), (2, 2, 2)), convs_per_stage=1)
    weights = weights_of(build(config, in_channels=1, n_outputs=2))
    for name, value in weights.items():
        if "seg_layers" in name:
            value[:] = torch.tensor([5e-4, 0.0]) if name.endswith("bias") else 0.0
    recipe = Recipe((Label(1, "organ", "#3cb44b"),), patch=(8, 16, 16))
    path = tmp_path_factory.mktemp("doubtful") / "doubtful.safetensors"
    checkpoint.save(Segmenter("doubtful", config, weights, recipe), path)
    return path


@pytest.fixture
def dock(viewer, desk, doubtful_model):
    bench = desk.workbench
    bench.adopt(bench.add_model(doubtful_model))
    bench.companion.config = LiveConfig(steps=20, learn_s=20.0)  # what it learns hangs on no clock
    shown = FineTuneDock(viewer)
    viewer.window.add_dock_widget(shown, name="Fine-tune")
    desk.select_labels()
    desk.labels.mode, desk.labels.brush_size = "paint", 3
    viewer.dims.set_current_step(0, STROKE[0][0])
    return shown


def learner():
    mine = psutil.Process().children(recursive=True)
    (found,) = [one for one in mine if "napari_medseg.jobs" in " ".join(one.cmdline())]
    return found


def looks(desk) -> int:
    """Voxels that the mask shows and nobody painted."""
    return int(np.count_nonzero((desk.case.labels == 1) & (desk.case.source == 0)))


@pytest.fixture
def until_it_looks(viewer, desk, drag, qtbot):
    """Paint a stroke in a row, and wait for its quick look."""

    def paint(row=10):
        drag(viewer, desk.labels, [(6, row, 8), (6, row, 12)])
        qtbot.waitUntil(lambda: looks(desk) > 0, timeout=TIMEOUT_MS)

    return paint


def test_a_stroke_shows_what_it_teaches_and_switching_off_takes_it_back(
    viewer, desk, dock, qtbot, until_it_looks
):
    dock.along.click()
    focus = viewer.window._qt_window.focusWidget()
    until_it_looks()
    painted = np.where(desk.case.source > 0, desk.case.labels, 0)
    assert painted.any()
    along = learn_along_of(desk)
    assert along.flash.shown >= 1
    assert viewer.window._qt_window.focusWidget() is focus
    assert viewer.layers.selection.active is desk.labels
    assert desk.case.mask().labels.sum() == painted.sum()
    qtbot.waitUntil(lambda: along.flash.shown == 0, timeout=5000)
    dock.along.click()
    np.testing.assert_array_equal(desk.case.labels, painted)
    qtbot.waitUntil(lambda: not along.run.running, timeout=TIMEOUT_MS)


def test_a_killed_learner_is_told_once_and_can_be_switched_on_again(
    viewer, desk, dock, drag, qtbot, said, until_it_looks
):
    dock.along.click()
    until_it_looks()
    learner().kill()
    drag(viewer, desk.labels, [(6, 18, 8), (6, 18, 12)])
    painted = int(np.count_nonzero(desk.case.source))
    qtbot.waitUntil(lambda: not dock.along.isChecked(), timeout=TIMEOUT_MS)
    assert len([one for one in said() if "background process" in one]) == 1
    assert int(desk.case.labels.sum()) == painted, "all strokes are there, and no quick look"
    dock.along.click()
    until_it_looks(row=4)


def test_what_is_confirmed_with_a_quick_look_in_it_is_the_persons(desk, dock, until_it_looks):
    dock.along.click()
    until_it_looks()
    seen = desk.case.labels[6].copy()
    desk.workbench.confirm_slice(0, 6)
    dock.along.click()
    np.testing.assert_array_equal(desk.case.labels[6], seen)
    np.testing.assert_array_equal(desk.case.example().mask.labels[6], seen)


def test_it_rests_while_a_fine_tune_runs_and_no_stroke_is_lost(
    viewer, desk, dock, drag, qtbot, until_it_looks
):
    def lesson():
        for _ in range(1000):
            time.sleep(0.01)
            yield Progress(0, 0)

    along = learn_along_of(desk)
    desk.learning.start(lesson())
    dock.along.click()
    drag(viewer, desk.labels, STROKE)
    drag(viewer, desk.labels, [(6, 18, 8), (6, 18, 12)])
    assert along.resting
    assert len(along._waiting) == 2
    assert looks(desk) == 0
    desk.learning.stop()
    until_it_looks(row=4)
    assert along._waiting == []


def test_a_label_that_the_model_lacks_is_told_at_its_first_stroke_and_once_for_each_model(
    viewer, desk, dock, drag, qtbot, said, until_it_looks
):
    desk.add_label("tumour")  # 2, and selected
    dock.along.click()
    assert dock.along_notices.isHidden()
    for row in (14, 18):
        drag(viewer, desk.labels, [(6, row, 8), (6, row, 12)])
        assert dock.along_notices.text() == (
            "The model has no label 2 (tumour): learning as you paint leaves it out. "
            "“Start fine-tuning” can add it."
        )
    along = learn_along_of(desk)
    qtbot.waitUntil(lambda: along._waiting == [], timeout=TIMEOUT_MS)
    assert looks(desk) == 0
    desk.add_label("cyst")  # 3
    drag(viewer, desk.labels, [(6, 20, 8), (6, 20, 12)])
    first, second = dock.along_notices.text().split("\n")
    assert "label 2 (tumour)" in first
    assert "label 3 (cyst)" in second
    desk.labels.selected_label = 1
    until_it_looks(row=4)
    assert dock.along_notices.text() == f"{first}\n{second}"
    assert said() == []
    dock.along.click()
    assert dock.along_notices.isHidden()


def test_nothing_is_promised_of_a_model_that_can_get_no_label_more(
    viewer, desk, dock, drag, monkeypatch
):
    card, bench = desk.workbench.segmenter, desk.workbench
    regions = replace(card.recipe, regions=((1,),))
    monkeypatch.setattr(bench, "segmenter", replace(card, recipe=regions))
    desk.labels.selected_label = 5
    dock.along.click()
    drag(viewer, desk.labels, STROKE)
    told = dock.along_notices.text()
    assert told.startswith("The model has no label 5, and cannot get it: its outputs are regions")
    assert "fine-tuning" not in told


def test_strokes_of_labels_that_the_model_knows_and_erasing_are_told_of_as_nothing(
    viewer, desk, dock, drag
):
    dock.along.click()
    drag(viewer, desk.labels, STROKE)
    desk.labels.mode = "erase"
    drag(viewer, desk.labels, STROKE)
    assert dock.along_notices.isHidden()
