"""A file with several volumes in the window: a model of one channel sees the one on the screen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Labels

from napari_medseg import io
from napari_medseg.jobs import Progress
from napari_medseg.volume import Mask
from napari_medseg.volume.volume import COLOURS
from napari_medseg.widgets import files, layers
from napari_medseg.widgets.segment_dock import SegmentDock

TIMEOUT_MS = 90_000  # a child starts and imports torch, on a busy machine


@pytest.fixture
def cine(scan):
    """Three frames of noise."""
    frames = np.stack([scan.array + 10 * k for k in range(3)])
    return replace(scan, array=frames, channels=tuple(f"frame {k}" for k in range(3)), name="cine")


@pytest.fixture
def desk(empty, cine, organ_model):
    """The desk with a model of one channel and the series in the window."""
    bench = empty.workbench
    bench.adopt(bench.add_model(organ_model))
    layers.show(empty.viewer, cine)
    return empty


def look_at(viewer, number: int) -> None:
    """Show one frame and no other, as a user does by the eyes of the layer list."""
    for k in range(3):
        viewer.layers[k].visible = k == number


def test_the_frame_on_the_screen_is_opened_alone(viewer, desk, cine):
    look_at(viewer, 2)
    case = desk.open_scan(viewer.layers[0])
    assert case.volume.n_channels == 1
    np.testing.assert_array_equal(case.scan.array, cine.array[2])
    assert case.volume.name == "cine · frame 2"
    assert desk.scans() == [viewer.layers[2]], "the list names the frame that is open"


def test_the_selected_frame_wins_over_the_topmost(viewer, desk, cine):
    viewer.layers[1].visible = True
    viewer.layers.selection.active = viewer.layers[0]
    np.testing.assert_array_equal(desk.open_scan(viewer.layers[0]).scan.array, cine.array[0])


def test_segment_predicts_the_frame_on_the_screen(viewer, desk, qtbot):
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    look_at(viewer, 1)
    dock.run.click()
    qtbot.waitUntil(lambda: desk.prediction.result is not None, timeout=TIMEOUT_MS)
    assert desk.image is viewer.layers[1]
    assert (desk.labels.data == 1).all()


def test_each_frame_keeps_its_own_mask(viewer, desk):
    look_at(viewer, 0)
    desk.open_scan(viewer.layers[0])
    desk.labels.data[:3] = 1
    look_at(viewer, 2)
    desk.open_scan(desk.image)
    assert not desk.labels.data.any()
    look_at(viewer, 0)
    desk.open_scan(desk.image)
    assert desk.labels.data[:3].all()


def test_an_empty_mask_of_another_frame_does_not_stay(viewer, desk):
    for number in (0, 1, 2):
        look_at(viewer, number)
        desk.open_scan(viewer.layers[0])
    assert sum(isinstance(one, Labels) for one in viewer.layers) == 1


def test_the_masks_of_a_series_open_as_a_layer_a_frame(tmp_path, scan):
    labels = [np.full(scan.array.shape, k + 1, np.uint8) for k in range(3)]
    io.write_masks([Mask(one, scan.geometry) for one in labels], tmp_path / "cine_mask.nii.gz")
    made = files.layers_of(tmp_path / "cine_mask.nii.gz")
    assert [kind for _, _, kind in made] == ["labels"] * 3
    assert [data.max() for data, _, _ in made] == [1, 2, 3]
    assert [look["visible"] for _, look, _ in made] == [True, False, False]


def test_a_series_is_one_scan_for_a_model_that_reads_all_of_it(viewer, desk, cine):
    card = desk.workbench.segmenter
    channels = tuple(map(str, range(3)))
    desk.workbench.segmenter = replace(card, recipe=replace(card.recipe, channels=channels))
    assert desk.open_scan(viewer.layers[0]).volume.n_channels == 3


def test_a_colour_picture_is_no_series(viewer, empty, cine, organ_model):
    empty.workbench.adopt(empty.workbench.add_model(organ_model))
    layers.show(viewer, replace(cine, channels=COLOURS))
    assert empty.open_scan(viewer.layers[0]).volume.n_channels == 3


@pytest.fixture
def dock(viewer, desk):
    made = SegmentDock(viewer)
    viewer.window.add_dock_widget(made, name="Segment")
    desk.open_scan(viewer.layers[0])
    return made


def slide(dock, desk, qtbot, number: int) -> None:
    """Move the slider, and wait until the frame is open."""
    dock.frames.slider.setValue(number)
    qtbot.waitUntil(lambda: desk.image is desk.frames()[number])


def test_the_slider_moves_the_image_and_its_mask_together(viewer, desk, dock, qtbot, cine):
    assert dock.frames.number.text() == "Frame 1 of 3"
    desk.labels.data[:3] = 1
    desk.workbench.commit()
    first = desk.labels
    dock.frames.slider.setValue(2)
    assert [one.visible for one in desk.frames()] == [False, False, True]
    assert not first.visible, "at once, before the frame is open"
    slide(dock, desk, qtbot, 2)
    np.testing.assert_array_equal(desk.case.scan.array, cine.array[2])
    assert not desk.labels.data.any()
    desk.labels.data[5:] = 1
    desk.workbench.commit()
    slide(dock, desk, qtbot, 0)
    assert (desk.labels.data[:3] == 1).all()
    assert not desk.labels.data[3:].any()
    assert [one.visible for one in viewer.layers if isinstance(one, Labels)].count(True) == 1


def test_corrections_of_a_frame_teach_with_that_frame(desk, dock, qtbot, cine, taught):
    for number in (0, 2):
        slide(dock, desk, qtbot, number)
        desk.labels.data[number] = 1
        desk.workbench.commit()
    teachers = taught(desk.workbench)
    assert len(teachers) == 2
    for number, one in zip((2, 0), teachers, strict=True):
        np.testing.assert_array_equal(one.volume.array, desk.case.turn.apply(cine.array[number]))
        np.testing.assert_array_equal(np.flatnonzero(one.mask.labels.any(axis=(1, 2))), [number])
        np.testing.assert_array_equal(one.confirmed, one.mask.labels == 1)


def test_all_frames_of_a_series_are_of_one_subject(desk, dock, qtbot, cine):
    subjects = []
    for number in (1, 0, 2):
        slide(dock, desk, qtbot, number)
        subjects.append(desk.case.subject)
    assert len(set(subjects)) == 1
    assert subjects[0] != desk.case.key


def test_all_frames_are_segmented_by_choice_and_the_first_one_is_shown_again(desk, dock, qtbot):
    slide(dock, desk, qtbot, 1)
    dock.frames.every.setChecked(True)
    dock.run.click()
    assert not dock.frames.slider.isEnabled()
    qtbot.waitUntil(lambda: not dock.frames.runs.running, timeout=TIMEOUT_MS)
    assert desk.image is desk.frames()[1]
    assert dock.state.text().startswith("Done in")
    for number in (1, 2, 0):
        slide(dock, desk, qtbot, number)
        assert (desk.labels.data == 1).all()


def test_a_stop_ends_the_run_over_all_frames(desk, dock, qtbot, monkeypatch):
    begun = []

    def job(config):
        begun.append(desk.image)
        while True:
            yield Progress(1, 2, "Segmenting")

    monkeypatch.setattr(desk.workbench, "predict", job)
    dock.frames.every.setChecked(True)
    dock.run.click()
    qtbot.waitUntil(lambda: dock.state.text() == "Frame 1 of 3: Segmenting")
    dock.run.click()
    qtbot.waitUntil(lambda: not desk.prediction.running)
    qtbot.wait(100)
    assert len(begun) == 1
    assert dock.run.text() == "Segment"
    assert dock.frames.slider.isEnabled()


def test_what_is_no_series_has_no_slider(viewer, empty, scan, organ_model):
    empty.workbench.adopt(empty.workbench.add_model(organ_model))
    dock = SegmentDock(viewer)
    layers.show(viewer, scan)
    empty.open_scan(viewer.layers[0])
    assert dock.frames.isHidden()
