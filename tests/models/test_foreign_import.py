"""A model of another program becomes one of ours: same answers, same preparation, no code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign_models import METADATA, STEPS, UNET, monai_bundle, small_segmenter, tiny_onnx
from safetensors.torch import save_file

from napari_medseg.errors import ModelError, WriteError
from napari_medseg.inference.onnx_engine import OnnxEngine
from napari_medseg.jobs import Progress, finish
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, network_of
from napari_medseg.models.config import Family
from napari_medseg.models.export import export_model
from napari_medseg.models.export_graph import EXTRA_FILE
from napari_medseg.models.foreign import import_job, import_model
from napari_medseg.models.import_options import ImportOptions, UntoldError
from napari_medseg.models.onnx_graph import bytes_of
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Grid, Normalise

TOLD = ImportOptions(labels=("spleen",), normalise=Normalise.Z_SCORE, patch=(8, 8, 8))


def test_a_bundle_says_all_that_a_recipe_needs(tmp_path: Path) -> None:
    segmenter = import_model(monai_bundle(tmp_path / "b"))
    recipe = segmenter.recipe
    assert (segmenter.name, [label.name for label in recipe.labels]) == ("Spleen", ["spleen"])
    assert (recipe.channels, recipe.spacing_mm) == (("CT",), (1.5, 1.5, 2.0))
    assert (recipe.orientation, recipe.grid, recipe.patch) == ("SAR", Grid.CORNER, (8, 16, 16))
    assert (recipe.normalise, recipe.window, recipe.onto) == (Normalise.RANGE, (-57, 164), (0, 1))
    assert recipe.clip


def test_an_imported_bundle_is_kept_in_one_file_of_ours(tmp_path: Path) -> None:
    events: list[object] = []
    card = finish(
        import_job(monai_bundle(tmp_path / "b"), tmp_path / "m.safetensors"), events.append
    )
    back = checkpoint.load(card.path)
    assert isinstance(events[0], Progress)
    assert (back.network.family, back.lineage.how) == (Family.MONAI, "import")
    with torch.inference_mode():
        assert network_of(back)(torch.zeros(1, 1, 8, 8, 8)).shape == (1, 2, 8, 8, 8)


def test_weights_may_come_as_safetensors_and_from_a_parallel_network(tmp_path: Path) -> None:
    pickled = monai_bundle(tmp_path / "b")
    first = import_model(pickled)
    bare = {f"module.{n.removeprefix('encoder.')}": w for n, w in first.weights.items()}
    save_file(bare, pickled / "models" / "model.safetensors")
    (pickled / "models" / "model.pt").unlink()
    second = import_model(pickled)
    assert all(torch.equal(second.weights[name], w) for name, w in first.weights.items())


@pytest.mark.parametrize(
    ("step", "fields"),
    [
        ({"_target_": "ScaleIntensityd"}, {"normalise": "percentiles", "percentiles": (0, 100)}),
        (
            {"_target_": "NormalizeIntensityd", "nonzero": True},
            {"normalise": "mean-std", "nonzero": True},
        ),
        (
            {"_target_": "NormalizeIntensityd", "subtrahend": 100, "divisor": 50},
            {"normalise": "range", "window": (100, 150), "onto": (0, 1), "clip": False},
        ),
        (
            {
                "_target_": "ScaleIntensityRangePercentilesd",
                "lower": 1, "upper": 99, "b_min": -1, "b_max": 1, "clip": True,
            },
            {"normalise": "percentiles", "percentiles": (1, 99), "onto": (-1, 1), "clip": True},
        ),
    ],
)  # fmt: skip
def test_each_scaling_has_its_place_in_the_recipe(
    tmp_path: Path, step: dict[str, Any], fields: dict[str, Any]
) -> None:
    steps = {"transforms": [*STEPS[:3], {"keys": "image", **step}]}
    recipe = import_model(monai_bundle(tmp_path / "b", preprocessing=steps)).recipe
    assert {name: getattr(recipe, name) for name in fields} == fields


def test_a_single_output_with_a_sigmoid_is_a_region(tmp_path: Path) -> None:
    after = {"transforms": [{"_target_": "Activationsd", "sigmoid": True}]}
    network = {**UNET, "out_channels": 1}
    segmenter = import_model(monai_bundle(tmp_path / "b", network, postprocessing=after))
    assert segmenter.recipe.regions == ((1,),)
    assert segmenter.recipe.n_outputs == 1


def test_what_a_bundle_does_otherwise_is_told(tmp_path: Path) -> None:
    steps = {"transforms": [STEPS[4], STEPS[3]]}
    segmenter = import_model(monai_bundle(tmp_path / "b", preprocessing=steps, inferer=None))
    told = " ".join(segmenter.lineage.config["warnings"])
    assert "scaled after resampling" in told
    assert "no tile size" in told


SIGMOID = {"_target_": "Activationsd", "sigmoid": True}
SOFTMAX = {"_target_": "Activationsd", "softmax": True}


def cut(**how: Any) -> dict[str, Any]:
    return {"_target_": "AsDiscreted", **how}


@pytest.mark.parametrize(
    ("outputs", "after", "sentence"),
    [
        (1, [SIGMOID, cut(threshold=0.5)], ""),
        (1, [SIGMOID], ""),
        (1, [SIGMOID, cut(threshold=0.3)], "cut at 0.5, the bundle cuts them at 0.3"),
        (1, [SIGMOID, cut(threshold=[0.3])], "cut at 0.5, the bundle cuts them at 0.3"),
        (1, [SIGMOID, cut(threshold_values=True, logit_thresh=0.7)], "cuts them at 0.7"),
        (2, [SOFTMAX, cut(argmax=True)], ""),
        (2, [cut(argmax=[True, False], threshold=0.3)], ""),
        (2, [SOFTMAX], ""),
        (2, [SOFTMAX, cut(threshold=0.5)], ""),
        (2, [SOFTMAX, cut(threshold=0.4)], "cut at 0.5, the bundle cuts them at 0.4"),
        (3, [SOFTMAX, cut(threshold=0.5)], "the bundle cuts each output at 0.5"),
        (2, [cut(threshold=0.5)], "the bundle cuts each output at 0.5"),
        (2, [], "the bundle does not say what is"),
    ],
)
def test_labels_that_a_bundle_decides_otherwise_are_told_in_one_line(
    tmp_path: Path, outputs: int, after: list[dict[str, Any]], sentence: str
) -> None:
    network = {**UNET, "out_channels": outputs}
    bundle = monai_bundle(tmp_path / "b", network, postprocessing={"transforms": after})
    told = import_model(bundle).lineage.config["warnings"]
    assert len(told) == bool(sentence)
    assert sentence in "".join(told)


def test_yaml_says_the_same_as_json(tmp_path: Path) -> None:
    bundle = monai_bundle(tmp_path / "b")
    source = bundle / "configs" / "inference.json"
    (bundle / "configs" / "inference.yaml").write_text(source.read_text())  # JSON is YAML
    before = import_model(bundle).recipe
    source.unlink()
    assert import_model(bundle).recipe == before


def test_a_bundle_without_metadata_numbers_its_labels(tmp_path: Path) -> None:
    bundle = monai_bundle(tmp_path / "b")
    about = {**METADATA, "network_data_format": {}}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(about))
    assert [label.name for label in import_model(bundle).recipe.labels] == ["label 1"]


@pytest.fixture(params=[2, 3])
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    return small_segmenter(request.param)


def test_onnx_gives_the_same_scores_at_any_size(segmenter: Segmenter, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert export_model(segmenter, tmp_path / "m.onnx") == "ONNX"
    back = import_model(tmp_path / "m.onnx")
    assert back.recipe == segmenter.recipe
    engine = OnnxEngine(bytes_of(back.weights), threads=1)
    for size in ((8, 16, 16), (4, 24, 12)):
        tile = torch.randn(1, *(size if segmenter.network.dims == 3 else (1, *size[1:])))
        batch = tile[None] if segmenter.network.dims == 3 else tile[None, :, 0]
        with torch.inference_mode():
            expected = network_of(segmenter)(batch)[0].reshape(3, *tile.shape[1:])
        np.testing.assert_allclose(engine(tile).numpy(), expected.numpy(), atol=2e-5)


def test_an_onnx_model_is_kept_and_exported_but_not_trained(tmp_path: Path) -> None:
    segmenter = import_model(tiny_onnx(tmp_path / "bare.onnx"), TOLD)
    card = checkpoint.save(segmenter, tmp_path / "m.safetensors")
    back = checkpoint.load(card.path)
    export_model(back, tmp_path / "again.onnx")
    assert import_model(tmp_path / "again.onnx").recipe == segmenter.recipe
    with pytest.raises(ModelError, match="can only be run; import its original weights to train"):
        build(back.network, 1, 2)


def test_an_onnx_file_that_says_nothing_lists_what_it_lacks(tmp_path: Path) -> None:
    path = tiny_onnx(tmp_path / "bare.onnx")
    with pytest.raises(UntoldError, match="also give --labels, --normalise, --patch"):
        import_model(path)
    with pytest.raises(UntoldError, match="also give --window"):
        import_model(path, replace(TOLD, normalise=Normalise.CT_WINDOW))
    with pytest.raises(ModelError, match="names for all"):
        import_model(path, replace(TOLD, labels=("a", "b")))


def test_a_tile_that_a_graph_cannot_take_is_refused(tmp_path: Path) -> None:
    segmenter = import_model(tiny_onnx(tmp_path / "bare.onnx"), TOLD)
    with pytest.raises(ModelError, match="must take a tile"):
        OnnxEngine(bytes_of(segmenter.weights), 1)(torch.zeros(5, 8, 8, 8))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_gives_the_same_logits_and_says_its_recipe(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    assert export_model(segmenter, tmp_path / "m.pt") == "TorchScript"
    extra = {EXTRA_FILE: ""}
    script = torch.jit.load(tmp_path / "m.pt", _extra_files=extra)
    batch = torch.randn(1, 1, *(8, 16, 12)[-segmenter.network.dims :])
    with torch.inference_mode():
        assert torch.allclose(script(batch), network_of(segmenter)(batch), atol=1e-6)
    assert json.loads(extra[EXTRA_FILE])["medseg"]["channels"] == ["CT"]


def test_an_imported_bundle_can_be_exported(tmp_path: Path) -> None:
    segmenter = import_model(monai_bundle(tmp_path / "b"))
    export_model(segmenter, tmp_path / "m.onnx")
    assert import_model(tmp_path / "m.onnx").recipe == segmenter.recipe


def test_a_refused_export_leaves_nothing(tmp_path: Path) -> None:
    segmenter = small_segmenter()
    with pytest.raises(ModelError, match=r"must end in \.onnx"):
        export_model(segmenter, tmp_path / "m.tflite")
    with pytest.raises(WriteError):
        export_model(segmenter, tmp_path / "missing" / "m.onnx")
    several = replace(segmenter, folds=(segmenter.weights,))
    with pytest.raises(ModelError, match="mean of 2"):
        export_model(several, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []
