"""A folder of nnU-Net becomes a segmenter that gives nnU-Net's mask; nothing in it is run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from nnunet_folders import about, network, predicted, stage, write_folder

from napari_medseg.errors import ModelError, WriteError
from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.nnunet import read
from napari_medseg.models.nnunet_write import write
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.volume import Geometry, Volume

CUBE = (16, 16, 16)
EXACT = PredictConfig(device="cpu", engine=EngineName.TORCH, mode=Mode.FULL)
REGIONS = {
    "labels": {"background": 0, "whole": [1, 2], "back": 2},
    "regions_class_order": [1, 2],
}


def scan(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Volume:
    """Smooth blobs of 50 to 150, nowhere 0."""
    rng = np.random.default_rng(3)
    coarse = torch.from_numpy(rng.normal(size=(1, 1, 5, 5, 5)))
    smooth = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")[0, 0]
    image = (100 + 20 * smooth.numpy()).astype(np.float32)
    return Volume(image, Geometry.from_spacing(shape, spacing_mm), name="blobs")


def mask_of(segmenter: Segmenter, volume: Volume) -> npt.NDArray[Any]:
    return finish(predict(volume, segmenter, EXACT)).mask.labels


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "patch", "new_mm"),
    [
        ((20, 34, 19), (1.0, 1.0, 1.0), CUBE, (1.0, 1.0, 1.0)),
        ((20, 24, 19), (1.0, 1.0, 1.0), CUBE, (0.8, 1.3, 1.1)),
        ((9, 30, 22), (4.0, 1.0, 1.0), (4, 16, 16), (3.0, 1.2, 0.9)),
        ((8, 30, 20), (4.0, 1.0, 1.0), (16, 16), (1.2, 0.9)),
        ((10, 12, 11), (1.0, 1.0, 1.0), CUBE, (1.0, 1.0, 1.0)),
    ],
    ids=["as it is", "finer and coarser", "thick slices", "slice by slice", "smaller than a tile"],
)
def test_the_mask_is_that_of_nnunets_steps(
    tmp_path: Path, shape: Any, spacing_mm: Any, patch: Any, new_mm: Any
) -> None:
    configuration, volume = stage(patch, new_mm), scan(shape, spacing_mm)
    segmenter = read(write_folder(tmp_path / "model", configuration))
    logits = predicted(volume.array, spacing_mm, configuration)
    mask = mask_of(segmenter, volume)
    assert len(np.unique(mask)) > 1
    assert (mask == logits.argmax(0)).mean() >= 0.9999


def test_regions_are_painted_one_over_the_other(tmp_path: Path) -> None:
    configuration, volume = stage(CUBE, (1.2, 0.9, 1.0)), scan((20, 20, 20), (1.0, 1.0, 1.0))
    folder = write_folder(tmp_path / "model", configuration, about(**REGIONS), n_outputs=2)
    segmenter = read(folder)
    logits = predicted(volume.array, (1.0, 1.0, 1.0), configuration, 2)
    truth = np.where(logits[1] > 0, 2, np.where(logits[0] > 0, 1, 0))
    assert segmenter.recipe.regions == ((1, 2), (2,))
    assert set(np.unique(truth)) == {0, 1, 2}
    assert (mask_of(segmenter, volume) == truth).mean() >= 0.9999


def test_the_axes_stay_as_the_file_has_them(tmp_path: Path) -> None:
    """A mirrored affine changes what is left, not what nnU-Net sees."""
    configuration, volume = stage(CUBE, (1.0, 1.0, 1.0)), scan((20, 18, 22), (1.0, 1.0, 1.0))
    segmenter = read(write_folder(tmp_path / "model", configuration))
    turned = Geometry(volume.geometry.shape, volume.geometry.affine @ np.diag([-1, 1, -1, 1.0]))
    flipped = replace(volume, geometry=turned)
    assert np.array_equal(mask_of(segmenter, volume), mask_of(segmenter, flipped))


def test_transposed_plans_turn_the_scan_and_the_mask_back(tmp_path: Path) -> None:
    configuration, volume = stage(CUBE, (1.0, 1.0, 1.0)), scan((20, 18, 22), (1.0, 1.0, 1.0))
    order = [2, 0, 1]
    folder = write_folder(tmp_path / "model", configuration, transpose_forward=order)
    logits = predicted(volume.array.transpose(order), (1.0, 1.0, 1.0), configuration)
    truth = logits.argmax(0).transpose([order.index(axis) for axis in range(3)])
    assert (mask_of(read(folder), volume) == truth).mean() >= 0.9999


def test_a_border_of_zeros_is_background_and_counts_for_nothing(tmp_path: Path) -> None:
    configuration, volume = stage(CUBE, (1.3, 1.0, 0.9)), scan((20, 18, 22), (1.0, 1.0, 1.0))
    segmenter = read(write_folder(tmp_path / "model", configuration))
    wide = np.pad(volume.array, ((3, 5), (0, 4), (6, 0)))
    bordered = Volume(wide, Geometry.from_spacing(wide.shape, (1.0, 1.0, 1.0)))
    truth = np.pad(mask_of(segmenter, volume), ((3, 5), (0, 4), (6, 0)))
    assert np.array_equal(mask_of(segmenter, bordered), truth)


def test_probabilities_of_the_border_say_background(tmp_path: Path) -> None:
    segmenter = read(write_folder(tmp_path / "model", stage(CUBE, (1.0, 1.0, 1.0))))
    volume = scan((16, 16, 16), (1.0, 1.0, 1.0))
    wide = np.pad(volume.array, ((4, 0), (0, 0), (0, 0)))
    bordered = Volume(wide, Geometry.from_spacing(wide.shape, (1.0, 1.0, 1.0)))
    softmax = finish(predict(bordered, segmenter, replace(EXACT, keep_softmax=True))).softmax
    assert softmax is not None
    assert np.all(softmax[0, :4] == 1)
    assert np.all(softmax[1:, :4] == 0)
    assert np.allclose(softmax.sum(0), 1, atol=0.01)


def test_a_residual_encoder_is_built_with_its_own_blocks(tmp_path: Path) -> None:
    configuration, volume = (
        stage(CUBE, (1.0, 1.0, 1.0), residual=True),
        scan((20, 18, 22), (1,) * 3),
    )
    segmenter = read(write_folder(tmp_path / "model", configuration))
    logits = predicted(volume.array, (1.0, 1.0, 1.0), configuration)
    assert (mask_of(segmenter, volume) == logits.argmax(0)).mean() >= 0.9999


def test_several_folds_are_averaged(tmp_path: Path) -> None:
    configuration, volume = stage(CUBE, (1.0, 1.0, 1.0)), scan(CUBE, (1.0, 1.0, 1.0))
    segmenter = read(write_folder(tmp_path / "model", configuration, folds=("0", "1", "4")))
    scaled = (volume.array - volume.array.mean()) / volume.array.std()
    batch = torch.from_numpy(scaled)[None, None]
    with torch.inference_mode():
        mean = sum(network(configuration, 3, seed)(batch)[0] for seed in range(3))
    assert isinstance(mean, torch.Tensor)
    assert (mask_of(segmenter, volume) == mean.argmax(0).numpy()).mean() >= 0.9999


def test_folds_come_back_from_a_checkpoint(tmp_path: Path) -> None:
    segmenter = read(write_folder(tmp_path / "a", stage(CUBE, (1.0,) * 3), folds=("0", "1")))
    card = checkpoint.save(segmenter, tmp_path / "model.safetensors")
    back = checkpoint.load(card.path)
    assert (card.members, back.recipe) == (2, segmenter.recipe)
    for one, other in zip(back.members, segmenter.members, strict=True):
        assert all(torch.equal(one[name], tensor) for name, tensor in other.items())


@pytest.mark.parametrize("patch", [CUBE, (16, 16)])
def test_a_model_written_back_is_read_as_it_was(tmp_path: Path, patch: Any) -> None:
    configuration = stage(patch, (1.5, 1.0, 0.7)[-len(patch) :], use_mask_for_norm=[True])
    dataset = about(**REGIONS)
    first = read(write_folder(tmp_path / "a", configuration, dataset, 2, folds=("0", "1")))
    write(first, tmp_path / "b")
    again = read(tmp_path / "b")
    assert (again.recipe, again.network) == (first.recipe, first.network)
    saved = torch.load(tmp_path / "b/fold_1/checkpoint_final.pth", weights_only=True)
    network(configuration, 2, 0).load_state_dict(saved["network_weights"])


def test_only_what_came_from_nnunet_goes_back(tmp_path: Path) -> None:
    segmenter = read(write_folder(tmp_path / "a", stage(CUBE, (1.0,) * 3)))
    ours = replace(segmenter, recipe=replace(segmenter.recipe, nnunet=None))
    with pytest.raises(ModelError, match="imported from it"):
        write(ours, tmp_path / "b")
    with pytest.raises(WriteError, match="new folder"):
        write(segmenter, tmp_path / "a")


def test_a_model_is_found_below_the_folder_of_its_data_set(tmp_path: Path) -> None:
    for name in ("2d", "3d_fullres"):
        write_folder(
            tmp_path / f"Dataset1/nnUNetTrainer__nnUNetPlans__{name}", stage(CUBE, (1,) * 3)
        )
    assert read(tmp_path / "Dataset1", "3d_fullres").name == "Dataset001_Test 3d_fullres"
    with pytest.raises(ModelError, match="one model must be named"):
        read(tmp_path / "Dataset1")


def test_plans_from_before_version_2_4_are_read(tmp_path: Path) -> None:
    new = stage(CUBE, (1.0, 1.0, 1.0))
    old = {key: value for key, value in new.items() if key != "architecture"}
    old |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 320,
        "n_conv_per_stage_encoder": [1, 2],
        "n_conv_per_stage_decoder": [1],
        "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2]],
        "conv_kernel_sizes": [[3, 3, 3]] * 2,
    }
    folder = write_folder(tmp_path / "model", new)
    text = json.loads((folder / "plans.json").read_text())
    shape = read(folder).network
    (folder / "plans.json").write_text(json.dumps({**text, "configurations": {"3d_fullres": old}}))
    assert read(folder).network == shape


def test_a_configuration_inherits(tmp_path: Path) -> None:
    base = stage(CUBE, (1.0, 1.0, 1.0))
    heir = {"inherits_from": "base", "spacing": [2.0, 2.0, 2.0]}
    stages = {"base": base, "3d_fullres": heir}
    recipe = read(write_folder(tmp_path / "model", base, configurations=stages)).recipe
    assert (recipe.spacing_mm, recipe.patch) == ((2.0, 2.0, 2.0), CUBE)


def _changed(found: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = path.split("/")
    inner = found
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("architecture/network_class_name", "os.system", "PlainConvUNet"),
        ("architecture/arch_kwargs/nonlin", "os.system", "nonlin must be"),
        ("architecture/arch_kwargs/n_stages", 10**9, "2 to 20 stages"),
        ("architecture/arch_kwargs/features_per_stage", [4, 10**9], "at most"),
        ("architecture/arch_kwargs/strides", "many", "whole numbers"),
        ("architecture", [], "network"),
        ("patch_size", None, "network"),
        ("normalization_schemes", ["MyNormalization"], "nnU-Net's own"),
        ("preprocessor_name", "MyPreprocessor", "DefaultPreprocessor"),
        ("resampling_fn_data", "my_resampling", "resampling must be"),
        ("spacing", [float("nan"), 1, 1], "must be a number"),
        ("inherits_from", "3d_fullres", "circle"),
        ("previous_stage", "3d_lowres", "first stage"),
    ],
)
def test_plans_that_ask_for_something_else_are_refused(
    tmp_path: Path, path: str, value: Any, reason: str
) -> None:
    folder = write_folder(tmp_path / "model", stage(CUBE, (1.0, 1.0, 1.0)))
    found = json.loads((folder / "plans.json").read_text())
    found["configurations"]["3d_fullres"] = _changed(
        found["configurations"]["3d_fullres"], path, value
    )
    (folder / "plans.json").write_text(json.dumps(found))
    with pytest.raises(ModelError, match=reason) as caught:
        read(folder)
    assert len(str(caught.value)) <= 190


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"background": 0, "a": 1, "b": 3}, "0, 1, 2"),
        ({"a": 1}, "background"),
        ({"background": 0, "a": "x"}, "invalid literal"),
        ({"background": 0, "a": [1, 2], "b": 2}, "missing"),
    ],
)
def test_labels_that_nnunet_would_not_have_are_refused(
    tmp_path: Path, labels: dict[str, Any], reason: str
) -> None:
    configuration = stage(CUBE, (1.0, 1.0, 1.0))
    folder = write_folder(tmp_path / "model", configuration, about(labels=labels))
    with pytest.raises(ModelError, match=reason):
        read(folder)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", stage(CUBE, (1.0, 1.0, 1.0)), n_outputs=5)
    with pytest.raises(ModelError, match="must be"):
        read(folder)


def test_a_folder_without_a_model_says_what_one_is(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"plans\.json"):
        read(tmp_path)
    folder = write_folder(tmp_path / "model", stage(CUBE, (1.0, 1.0, 1.0)))
    with pytest.raises(ModelError, match="fold_3"):
        read(folder, folds=(3,))
    with pytest.raises(ModelError, match="file's name"):
        read(folder, checkpoint="../../secret.pth")


def test_a_cascade_reads_the_mask_of_its_first_stage(tmp_path: Path) -> None:
    """The second stage here can only have seen the first one's labels: the scan weighs nothing."""
    low, high = stage(CUBE, (1.6, 1.6, 1.6)), stage(CUBE, (1.0, 1.0, 1.0))
    high["previous_stage"] = "3d_lowres"
    name = "nnUNetTrainer__nnUNetPlans__"
    write_folder(tmp_path / f"{name}3d_lowres", low, configurations={"3d_lowres": low})
    folder = write_folder(tmp_path / f"{name}3d_fullres", high, n_inputs=3)
    cascade = read(folder)
    assert cascade.previous is not None
    weights = {key: tensor.clone() for key, tensor in cascade.weights.items()}
    weights["encoder.stages.0.0.convs.0.conv.weight"][:, 0] = 0
    blind = replace(cascade, weights=weights)
    volume = scan((18, 20, 22), (1.0, 1.0, 1.0))
    same_first = replace(volume, array=volume.array * 3 + 20)  # a z-score undoes this
    other = replace(volume, array=volume.array[::-1].copy())
    assert np.array_equal(mask_of(blind, volume), mask_of(blind, same_first))
    assert not np.array_equal(mask_of(blind, volume), mask_of(blind, other))


def test_a_cascade_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    low, high = stage(CUBE, (1.6, 1.6, 1.6)), stage(CUBE, (1.0, 1.0, 1.0))
    high["previous_stage"] = "3d_lowres"
    name = "nnUNetTrainer__nnUNetPlans__"
    write_folder(tmp_path / f"{name}3d_lowres", low, configurations={"3d_lowres": low})
    cascade = read(write_folder(tmp_path / f"{name}3d_fullres", high, n_inputs=3, folds=("0",)))
    back = checkpoint.load(checkpoint.save(cascade, tmp_path / "model.safetensors").path)
    volume = scan(CUBE, (1.0, 1.0, 1.0))
    assert back.previous is not None
    assert back.previous.recipe == cascade.previous.recipe  # type: ignore[union-attr]
    assert np.array_equal(mask_of(back, volume), mask_of(cascade, volume))
