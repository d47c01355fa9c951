"""A model of another program comes in while the window goes on, and is used at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from foreign_models import monai_bundle, tiny_onnx
from qtpy.QtWidgets import QDialog, QFileDialog

from napari_medseg.inference.config import EngineName, Mode
from napari_medseg.models import checkpoint
from napari_medseg.models.import_options import UntoldError
from napari_medseg.preprocess.recipe import Normalise
from napari_medseg.widgets import model_import
from napari_medseg.widgets.onnx_dialog import OnnxDialog
from napari_medseg.widgets.segment_dock import SegmentDock

TIMEOUT_MS = 120_000  # a child starts and imports torch


@pytest.fixture
def dock(viewer, desk) -> SegmentDock:
    made = SegmentDock(viewer)
    viewer.window.add_dock_widget(made, name="Segment")
    return made


def test_a_bundle_is_imported_kept_and_used(dock, desk, tmp_path, qtbot, own_data, said) -> None:
    dock.load_model(monai_bundle(tmp_path / "spleen"))
    assert not dock.load.isEnabled()
    assert not dock.arrival.isHidden()
    qtbot.waitUntil(lambda: not desk.importing.running, timeout=TIMEOUT_MS)
    assert said() == []
    assert dock.models.currentText() == "Spleen"
    assert dock.arrival.isHidden()
    assert desk.workbench.segmenter.path.parts[-2:] == ("Spleen", "v1.safetensors")
    assert desk.workbench.segmenter.path.is_relative_to(own_data)
    assert list(own_data.rglob(".import*")) == []


def test_several_files_are_loaded_as_one_model_that_runs(
    dock, desk, organ_model, tmp_path, qtbot, monkeypatch
) -> None:
    other = replace(checkpoint.load(organ_model), name="other")
    weights = {name: value + 0.01 for name, value in other.weights.items()}
    checkpoint.save(replace(other, weights=weights), tmp_path / "other.safetensors")
    chosen = [str(organ_model), str(tmp_path / "other.safetensors")]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (chosen, ""))
    dock.load.menu().actions()[0].trigger()
    qtbot.waitUntil(lambda: not desk.importing.running, timeout=TIMEOUT_MS)
    assert dock.models.currentText() == "organ and 1 more"
    assert "The mean of 2 networks" in dock.facts.text()
    dock.options.form.fields["engine"].value = EngineName.TORCH
    dock.options.form.fields["mode"].value = Mode.FULL
    dock.run.click()
    qtbot.waitUntil(lambda: desk.prediction.result is not None, timeout=TIMEOUT_MS)
    assert (desk.labels.data == 1).all()
    assert dock.how.text().startswith("Computed by PyTorch, 32 bits: the whole scan, ")


def test_what_is_no_model_is_refused_in_a_notification(dock, desk, tmp_path, qtbot, said) -> None:
    (tmp_path / "holiday").mkdir()
    dock.load_model(tmp_path / "holiday")
    qtbot.waitUntil(lambda: not desk.importing.running, timeout=TIMEOUT_MS)
    assert "holiday: a folder must hold plans.json" in said()[-1]
    assert dock.models.currentText() == "organ"


def test_an_onnx_file_that_says_nothing_is_asked_about(
    dock, desk, tmp_path, qtbot, monkeypatch
) -> None:
    asked = []

    def answer(dialog: OnnxDialog) -> int:
        asked.append(dialog.windowTitle())
        dialog.labels.setText("spleen")
        choose(dialog, Normalise.Z_SCORE)
        dialog.orientation.setCurrentIndex(1)
        dialog.patch.setText("8, 8, 8")
        return int(QDialog.DialogCode.Accepted)

    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(model_import.OnnxDialog, "exec", answer)
    dock.load_model(tiny_onnx(tmp_path / "bare.onnx"))
    qtbot.waitUntil(lambda: dock.models.currentText() == "bare", timeout=TIMEOUT_MS)
    assert asked == ["Import bare.onnx"]
    recipe = desk.workbench.segmenter.recipe
    assert [label.name for label in recipe.labels] == ["spleen"]
    assert (recipe.orientation, recipe.normalise) == ("SAR", Normalise.Z_SCORE)


def test_the_dialog_says_what_it_cannot_read(qtbot) -> None:
    dialog = OnnxDialog("a.onnx")
    qtbot.addWidget(dialog)
    choose(dialog, Normalise.CT_WINDOW)
    dialog.patch.setText("8, 8")
    dialog.accept()
    assert "3 numbers" in dialog.trouble.text()
    dialog.patch.setText("8, 8, 8")
    dialog.accept()
    assert dialog.result() == QDialog.DialogCode.Accepted
    assert dialog.options().normalise is Normalise.CT_WINDOW


def test_no_scaling_of_intensities_is_taken_for_granted(qtbot) -> None:
    dialog = OnnxDialog("a.onnx")
    qtbot.addWidget(dialog)
    assert not dialog.ok.isEnabled()
    dialog.accept()
    assert "how intensities are scaled" in dialog.trouble.text()
    choose(dialog, Normalise.RANGE)
    assert dialog.ok.isEnabled()


@pytest.mark.parametrize(
    ("typed", "sides"),
    [("LPS: as files of this plugin", "LPS"), ("SAR: exported from MONAI (RAS)", "SAR"),
     (" lip ", "LIP")],
)  # fmt: skip
def test_the_axes_are_chosen_or_typed(qtbot, typed: str, sides: str) -> None:
    dialog = OnnxDialog("a.onnx")
    qtbot.addWidget(dialog)
    choose(dialog, Normalise.RANGE)
    assert dialog.options().orientation == "LPS"
    dialog.orientation.setEditText(typed)
    assert dialog.options().orientation == sides


@pytest.mark.parametrize("typed", ["", "LRS", "XYZ", "LPSS"])
def test_axes_that_are_no_three_sides_are_refused(qtbot, typed: str) -> None:
    dialog = OnnxDialog("a.onnx")
    qtbot.addWidget(dialog)
    choose(dialog, Normalise.RANGE)
    dialog.orientation.setEditText(typed)
    dialog.accept()
    assert "three sides such as LPS" in dialog.trouble.text()
    assert dialog.result() != QDialog.DialogCode.Accepted


def test_a_closed_dialog_leaves_the_models_as_they_were(dock, monkeypatch) -> None:
    monkeypatch.setattr(model_import.OnnxDialog, "exec", lambda self: 0)
    dock._ask_more(UntoldError("say more", "a.onnx"))
    assert dock.models.currentText() == "organ"


def choose(dialog: OnnxDialog, kind: Normalise) -> None:
    dialog.normalise.setCurrentIndex(dialog.normalise.findData(kind))
