"""`medseg models import` and `export`, as a script calls them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from foreign_models import monai_bundle, small_segmenter, tiny_onnx

from napari_medseg.models import checkpoint
from napari_medseg.preprocess.nnunet_plan import Intensity, NnUNetPlan, Scheme


def test_a_bundle_is_imported_and_says_so_in_json(medseg, tmp_path: Path) -> None:
    out = tmp_path / "spleen.safetensors"
    ended = medseg("models", "import", monai_bundle(tmp_path / "b"), out, "--json")
    document = json.loads(ended.out)
    assert ended.code == 0
    assert document["labels"] == {"spleen": 1}
    assert (document["from"], document["network"]) == ("MONAI bundle", "monai")
    assert medseg("models", "verify", out).code == 0
    assert "MONAI's UNet" in medseg("models", "show", out).out


def test_a_model_of_nnunet_shows_how_each_channel_is_normalised(medseg, tmp_path: Path) -> None:
    one, out = small_segmenter(), tmp_path / "m.safetensors"
    plan = NnUNetPlan((Intensity(Scheme.CT, mean=1.0, std=2.0, low=-9.0, high=9.0),))
    checkpoint.save(replace(one, recipe=replace(one.recipe, nnunet=plan)), out)
    (row,) = [line for line in medseg("models", "show", out).out.splitlines() if "normal" in line]
    assert row.split() == ["normalisation", "CTNormalization"]


def test_what_is_no_model_is_refused_with_exit_code_4(medseg, tmp_path: Path) -> None:
    (tmp_path / "holiday.txt").write_text("sun")
    ended = medseg("models", "import", tmp_path / "holiday.txt", tmp_path / "m.safetensors")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith("error: holiday.txt: a model must be")
    assert not (tmp_path / "m.safetensors").exists()


def test_an_onnx_file_is_completed_by_options(medseg, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    source, out = tiny_onnx(tmp_path / "m.onnx"), tmp_path / "m.safetensors"
    refused = medseg("models", "import", source, out)
    assert (refused.code, refused.err.count("\n")) == (4, 1)
    assert "also give --labels, --normalise, --patch" in refused.err
    words = ["--labels", "liver", "--normalise", "ct-window", "--window", "-100,250"]
    ended = medseg(
        "models", "import", source, out, *words, "--patch", "8,8,8", "--spacing", "2,1,1"
    )
    assert ended.code == 0
    recipe = checkpoint.load(out).recipe
    assert (recipe.window, recipe.patch, recipe.spacing_mm) == ((-100, 250), (8, 8, 8), (2, 1, 1))
    assert "it can be run, not trained" in medseg("models", "show", out).out
    assert "a graph of" in medseg("models", "verify", out).out


@pytest.mark.parametrize("wrong", [["--patch", "8,8"], ["--window", "a,b"], ["--folds", "x"]])
def test_numbers_that_are_none_are_wrong_usage(medseg, tmp_path: Path, wrong: list[str]) -> None:
    out = tmp_path / "m.safetensors"
    assert medseg("models", "import", tmp_path, out, *wrong).code == 2


@pytest.mark.parametrize(("ending", "kind"), [(".onnx", "ONNX"), (".pt", "TorchScript")])
def test_the_ending_picks_the_format_of_an_export(
    medseg, tmp_path: Path, ending: str, kind: str
) -> None:
    model, out = tmp_path / "m.safetensors", tmp_path / f"m{ending}"
    checkpoint.save(small_segmenter(), model)
    ended = medseg("models", "export", model, out, "--json")
    assert json.loads(ended.out)["format"] == kind
    assert out.stat().st_size > 0


def test_an_export_of_another_ending_is_wrong_usage(medseg, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    checkpoint.save(small_segmenter(), model)
    assert medseg("models", "export", model, tmp_path / "m.tflite").code == 2


def test_a_model_that_nnunet_would_not_repeat_is_not_exported(medseg, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    checkpoint.save(small_segmenter(), model)
    assert medseg("models", "export", model, tmp_path / "folder").code == 4
    assert not (tmp_path / "folder").exists()
