"""A segmenter as an nnU-Net v2 results folder that nnU-Net's own predictor loads."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from napari_medseg.errors import ModelError, WriteError
from napari_medseg.models.build import network_of
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.models.nnunet import FINAL
from napari_medseg.models.nnunet_plans import COUNTS, FAMILIES, TURNING_READER
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.models.whole_file import write_whole
from napari_medseg.preprocess.nnunet_plan import NnUNetPlan, Resampling, Resize
from napari_medseg.preprocess.recipe import Recipe

TRAINER = "nnUNetTrainer"
CLASSES = {family: f"dynamic_network_architectures.architectures.unet.{name}"
           for name, family in FAMILIES.items()}  # fmt: skip


def write(segmenter: Segmenter, folder: Path) -> None:
    """Write plans.json, dataset.json and a fold for each member into a new folder.

    Rules that clean a finished mask stay behind: nnU-Net's own are no part of the model either.

    Raises
    ------
    ModelError
        nnU-Net would not make the same mask of it: it prepares scans in another way.
    WriteError
        The folder is not empty, or does not take it.
    """
    recipe, plan = segmenter.recipe, segmenter.recipe.nnunet
    if plan is None or segmenter.network.family not in CLASSES:
        raise ModelError(
            "nnU-Net can only have a model that was imported from it or fine-tuned from such a "
            "one: others see scans prepared in another way; export it as ONNX",
            segmenter.name,
        )
    if plan.previous:
        raise ModelError("a cascade's second stage cannot be exported alone", segmenter.name)
    if len({label.name for label in recipe.labels} | {"background"}) != len(recipe.labels) + 1:
        raise ModelError("labels must have different names, not background", segmenter.name)
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise WriteError("an nnU-Net export must be a new folder; choose another", folder.name)
    flat = segmenter.network.dims == 2
    configuration = "2d" if flat else "3d_fullres"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        plans = _plans(recipe, plan, segmenter.network, configuration)
        write_whole(folder / "plans.json", json.dumps(plans, indent=1).encode())
        write_whole(folder / "dataset.json", json.dumps(_about(recipe), indent=1).encode())
        for number in range(len(segmenter.members)):
            (folder / f"fold_{number}").mkdir(exist_ok=True)
            data = _checkpoint(segmenter, number, configuration)
            write_whole(folder / f"fold_{number}" / FINAL, data)
    except WriteError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise WriteError(
            f"a model must be saved, {error.strerror}; choose another folder", folder.name
        ) from error


def _checkpoint(segmenter: Segmenter, number: int, configuration: str) -> bytes:
    """One member as nnU-Net's trainer saves it, without what only training needs."""
    flat = 3 - segmenter.network.dims
    axes = tuple(axis - flat for axis in segmenter.recipe.mirror_axes if axis >= flat)
    state = {
        "network_weights": dict(network_of(segmenter, member=number).state_dict()),
        "trainer_name": TRAINER,
        "init_args": {"configuration": configuration, "fold": number},
        "inference_allowed_mirroring_axes": axes or None,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _about(recipe: Recipe) -> dict[str, Any]:
    """dataset.json."""
    names = [label.name for label in recipe.labels]
    values: Sequence[Any] = [list(region) for region in recipe.regions]
    about: dict[str, Any] = {
        "channel_names": {str(n): name for n, name in enumerate(recipe.channels)},
        "labels": {"background": 0, **dict(zip(names, values or recipe.values[1:], strict=True))},
        "numTraining": 0,
        "file_ending": ".nii.gz",
    }
    if recipe.regions:
        about["regions_class_order"] = list(recipe.values[1:])
    return about


def _plans(
    recipe: Recipe, plan: NnUNetPlan, network: NetworkConfig, configuration: str
) -> dict[str, Any]:
    """plans.json."""
    flat = 3 - network.dims
    spacing, patch = list(recipe.spacing_mm or ())[flat:], list(recipe.patch)[flat:]
    stage = {
        "data_identifier": f"nnUNetPlans_{configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": patch,
        "spacing": spacing,
        "normalization_schemes": [str(one.scheme) for one in plan.channels],
        "use_mask_for_norm": [one.masked for one in plan.channels],
        **_resampling(plan),
        "architecture": _architecture(network),
        "batch_dice": network.dims == 2,
    }
    return {
        "dataset_name": "Dataset001_medseg",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(recipe.spacing_mm or ()),
        "original_median_shape_after_transp": list(recipe.patch),
        "image_reader_writer": TURNING_READER if plan.reorient else "SimpleITKIO",
        "transpose_forward": list(plan.transpose),
        "transpose_backward": [plan.transpose.index(axis) for axis in range(3)],
        "configurations": {configuration: stage},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            str(n): {
                "mean": one.mean,
                "std": one.std,
                "percentile_00_5": one.low,
                "percentile_99_5": one.high,
            }
            for n, one in enumerate(plan.channels)
        },
    }


def _resampling(plan: NnUNetPlan) -> dict[str, Any]:
    labels = Resampling(plan.data.by, 1, plan.data.separate)
    found: dict[str, Any] = {}
    for what, how in (("data", plan.data), ("seg", labels), ("probabilities", plan.logits)):
        found[f"resampling_fn_{what}"] = str(how.by)
        kwargs: dict[str, Any] = {"is_seg": what == "seg", "force_separate_z": how.separate}
        if how.by is Resize.SPLINE:
            kwargs.update(order=how.order, order_z=0)
        found[f"resampling_fn_{what}_kwargs"] = kwargs
    return found


def _architecture(network: NetworkConfig) -> dict[str, Any]:
    dims, family = network.dims, Family(network.family)
    kwargs = {
        "n_stages": len(network.features),
        "features_per_stage": list(network.features),
        "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
        "kernel_sizes": [list(row) for row in network.kernel_sizes],
        "strides": [list(row) for row in network.strides],
        COUNTS[family]: list(network.encoder_counts),
        "n_conv_per_stage_decoder": list(network.decoder_counts),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return {
        "network_class_name": CLASSES[family],
        "arch_kwargs": kwargs,
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
