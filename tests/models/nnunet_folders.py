"""nnU-Net results folders made by hand, and nnU-Net's prediction in its plainest form.

The reference holds all logits at full resolution and asks scikit-image and scipy for each step, as
nnU-Net does; it shares no line with the package.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from scipy.ndimage import gaussian_filter, map_coordinates
from skimage.transform import resize

CLASSES = {"PlainConvUNet": PlainConvUNet, "ResidualEncoderUNet": ResidualEncoderUNet}
Array = npt.NDArray[Any]


def stage(
    patch: tuple[int, ...], spacing: tuple[float, ...], residual: bool = False, **changes: Any
) -> dict[str, Any]:
    """One configuration of plans.json: two stages of 4 and 8 features."""
    dims = len(patch)
    name = "ResidualEncoderUNet" if residual else "PlainConvUNet"
    rule = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    resampler = "resample_data_or_seg_to_shape"
    kwargs = {
        "n_stages": 2,
        "features_per_stage": [4, 8],
        "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
        "kernel_sizes": [[3] * dims] * 2,
        "strides": [[1] * dims, [2] * dims],
        "n_blocks_per_stage" if residual else "n_conv_per_stage": [1, 2],
        "n_conv_per_stage_decoder": [1],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return {
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": list(patch),
        "spacing": list(spacing),
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": resampler,
        "resampling_fn_data_kwargs": {**rule, "order": 3},
        "resampling_fn_probabilities": resampler,
        "resampling_fn_probabilities_kwargs": {**rule, "order": 1},
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{name}",
            "arch_kwargs": kwargs,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        **changes,
    }


def plans(configuration: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """plans.json with one configuration, "3d_fullres"."""
    statistics = {"mean": 80.0, "std": 30.0, "percentile_00_5": 10.0, "percentile_99_5": 180.0}
    return {
        "dataset_name": "Dataset001_Test",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": statistics},
        "configurations": {"3d_fullres": configuration},
        **changes,
    }


def about(**changes: Any) -> dict[str, Any]:
    """dataset.json with two labels."""
    labels = {"background": 0, "front": 1, "back": 2}
    return {"channel_names": {"0": "MRI"}, "labels": labels, "file_ending": ".nii.gz", **changes}


def network(
    configuration: dict[str, Any], n_outputs: int, seed: int, n_inputs: int = 1
) -> torch.nn.Module:
    """A random network of a configuration, whose logits lie around 0 and far apart."""
    architecture = configuration["architecture"]
    kwargs = dict(architecture["arch_kwargs"])
    dims = len(configuration["patch_size"])
    kwargs["conv_op"] = {2: torch.nn.Conv2d, 3: torch.nn.Conv3d}[dims]
    kwargs["norm_op"] = {2: torch.nn.InstanceNorm2d, 3: torch.nn.InstanceNorm3d}[dims]
    kwargs["nonlin"] = torch.nn.LeakyReLU
    torch.manual_seed(seed)
    kind = CLASSES[architecture["network_class_name"].rsplit(".", 1)[-1]]
    built: torch.nn.Module = kind(n_inputs, num_classes=n_outputs, **kwargs).eval()
    for name, parameter in built.named_parameters():
        if "seg_layers" in name and name.endswith("weight"):
            torch.nn.init.normal_(parameter)
            parameter.data -= parameter.data.mean(1, keepdim=True)
    return built


def write_folder(
    folder: Path,
    configuration: dict[str, Any],
    dataset: dict[str, Any] | None = None,
    n_outputs: int = 3,
    folds: tuple[str, ...] = ("0",),
    n_inputs: int = 1,
    **plan_changes: Any,
) -> Path:
    """A results folder as nnU-Net's trainer leaves it; fold n has the network of seed n."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans(configuration, **plan_changes)))
    (folder / "dataset.json").write_text(json.dumps(dataset or about()))
    for seed, fold in enumerate(folds):
        state = {
            "network_weights": network(configuration, n_outputs, seed, n_inputs).state_dict(),
            "optimizer_state": {"state": {0: {"momentum_buffer": torch.zeros(3)}}},
            "logging": {"mean_fg_dice": [np.float64(0.5)], "lrs": [np.float32(0.01)]},
            "_best_ema": np.float64(0.5),
            "current_epoch": 3,
            "init_args": {"configuration": "3d_fullres", "fold": seed},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": tuple(range(len(configuration["patch_size"]))),
        }
        (folder / f"fold_{fold}").mkdir(exist_ok=True)
        torch.save(state, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder


def predicted(
    image: Array, spacing: tuple[float, ...], configuration: dict[str, Any], n_outputs: int = 3
) -> Array:
    """Logits float64 (L, Z, Y, X) on the scan's own grid, by seed 0's network; image has no 0."""
    new = tuple(configuration["spacing"])
    new = (spacing[0], *new) if len(new) == 2 else new
    scaled = (image - image.mean()) / image.std()
    shape = tuple(round(n * a / b) for n, a, b in zip(image.shape, spacing, new, strict=True))
    data = _resized(scaled, shape, 3, spacing, new)
    logits = _blended(data, network(configuration, n_outputs, 0), configuration["patch_size"])
    return np.stack([_resized(one, image.shape, 1, new, spacing) for one in logits])


def _resized(image: Array, shape: tuple[int, ...], order: int, old: Any, new: Any) -> Array:
    if image.shape == shape:
        return image
    thick = [mm for mm in (old, new) if max(mm) / min(mm) > 3]
    if not thick:
        return np.asarray(resize(image, shape, order, mode="edge", anti_aliasing=False))
    assert int(np.argmax(thick[0])) == 0, "this reference knows thick slices along Z alone"
    flat = [resize(one, shape[1:], order, mode="edge", anti_aliasing=False) for one in image]
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    z = (z + 0.5) * image.shape[0] / shape[0] - 0.5
    return np.asarray(map_coordinates(np.stack(flat), [z, y, x], order=0, mode="nearest"))


def _blended(data: Array, net: torch.nn.Module, patch: list[int]) -> Array:
    """Zero-padded, tiled at half overlap, weighted by scipy's Gaussian of a middle voxel."""
    tile = [1, *patch] if len(patch) == 2 else list(patch)
    gaps = [max(0, t - n) for t, n in zip(tile, data.shape, strict=True)]
    padded = np.pad(data, [(gap // 2, gap - gap // 2) for gap in gaps])
    middle = np.zeros(patch)
    middle[tuple(n // 2 for n in patch)] = 1
    weight = gaussian_filter(middle, [n / 8 for n in patch], mode="constant").reshape(tile)
    steps = []
    for n, t in zip(padded.shape, tile, strict=True):
        count = int(np.ceil((n - t) / (t * 0.5))) + 1
        steps.append([round((n - t) / max(count - 1, 1) * i) for i in range(count)])
    total: Array | float = 0.0
    norm = np.zeros(padded.shape)
    for start in itertools.product(*steps):
        box = tuple(slice(s, s + t) for s, t in zip(start, tile, strict=True))
        batch = torch.from_numpy(padded[box].astype(np.float32))[None, None]
        with torch.inference_mode():
            out = net(batch[:, :, 0])[:, :, None] if len(patch) == 2 else net(batch)
        if isinstance(total, float):
            total = np.zeros((out.shape[1], *padded.shape))
        total[(slice(None), *box)] += out[0].numpy() * weight
        norm[box] += weight
    inside = tuple(slice(gap // 2, gap // 2 + n) for gap, n in zip(gaps, data.shape, strict=True))
    return np.asarray((total / norm)[(slice(None), *inside)])
