"""Probabilities as layers: where they lie, how they look, and that they are no scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.models import checkpoint
from napari_medseg.preprocess.recipe import CleanRule
from napari_medseg.volume import Label
from napari_medseg.widgets import probability
from napari_medseg.widgets.files import write_image
from napari_medseg.widgets.segment_dock import SegmentDock, facts

TIMEOUT_MS = 40_000
LABELS = (Label(1, "lung", "#42d4f4"), Label(2, "tumour", "#f58231"))


def softmax_of(desk) -> np.ndarray:
    """Background, lung and tumour on the scan's own grid; lung is surest in its first voxel."""
    softmax = np.zeros((3, *desk.case.turn.source.shape), np.float16)
    softmax[0], softmax[1, 0, 0, 0] = 0.25, 0.75
    return softmax


@pytest.fixture
def shown(viewer, desk):
    return probability.show(viewer, desk.case, LABELS, softmax_of(desk), desk.image)


def test_each_structure_has_a_layer_between_scan_and_mask(viewer, desk, shown):
    names = [layer.name for layer in viewer.layers]
    assert names == ["scan", "probability: tumour", "probability: lung", "scan · mask"]
    assert [layer.visible for layer in shown] == [True, False]
    assert shown[0].contrast_limits == [0, 1]
    assert shown[0].blending == "additive"
    np.testing.assert_allclose(
        shown[0].colormap.colors[-1][:3], [0x42 / 255, 0xD4 / 255, 0xF4 / 255]
    )


def test_it_lies_on_the_scan_voxel_by_voxel(desk, shown):
    own = desk.case.turn.apply(softmax_of(desk)[1])
    np.testing.assert_array_equal(shown[0].data, own)
    np.testing.assert_allclose(shown[0].extent.world, desk.image.extent.world)


def test_it_is_saved_on_the_scans_own_grid(desk, shown, tmp_path):
    path = tmp_path / "lung.nii.gz"
    data, look, _ = shown[0].as_layer_data_tuple()
    write_image(str(path), data, look)
    back = io.read(path)
    assert back.geometry.same_grid(desk.case.turn.source)
    np.testing.assert_array_equal(back.array, softmax_of(desk)[1])


def test_it_is_no_scan_to_segment(desk, shown):
    assert desk.scans() == [desk.image]


def test_the_next_ones_take_the_place_of_the_old(viewer, desk, shown):
    probability.remove(viewer, desk.case)
    assert not any(layer in viewer.layers for layer in shown)
    assert desk.labels in viewer.layers


def test_the_option_keeps_probabilities_and_leaves_the_mask_active(viewer, desk, qtbot):
    dock = SegmentDock(viewer)
    viewer.window.add_dock_widget(dock, name="Segment")
    dock.options.form.fields["keep_softmax"].value = True
    dock.run.click()
    qtbot.waitUntil(lambda: desk.prediction.result is not None, timeout=TIMEOUT_MS)
    layer = viewer.layers["probability: organ"]
    assert layer.data.min() > 0.9
    assert viewer.layers.selection.active is desk.labels
    assert desk.prediction.result.softmax is None


def test_cleaning_is_offered_where_the_model_learned_some(viewer, desk, organ_model, tmp_path):
    dock = SegmentDock(viewer)
    assert not dock.options.form.fields["clean"].enabled
    segmenter = checkpoint.load(organ_model)
    rules = (CleanRule(1, keep_largest=True),)
    path = tmp_path / "clean.safetensors"
    checkpoint.save(replace(segmenter, recipe=replace(segmenter.recipe, clean=rules)), path)
    dock.load_model(path)
    assert dock.options.form.fields["clean"].enabled
    assert dock.options.value().clean
    assert "Cleans: organ: largest piece only" in facts(desk.workbench.segmenter)
