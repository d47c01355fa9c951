"""A file with several volumes in the window: a model of one channel sees the one on the screen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Labels

from napari_medseg import io
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
