"""nnU-Net's plans.json and dataset.json as our network and recipe; they are data, never names of
code: each class and function that they may name is in a list here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_medseg.errors import ModelError
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.preprocess.nnunet_plan import Intensity, NnUNetPlan, Resampling, Resize, Scheme
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Label

MOST_BYTES = 32 << 20  # of a JSON file; plans carry statistics of every channel
DEEPEST = 10  # configurations that inherit from each other
MOST_LABELS = 1000
CASCADE = "previous_stage"  # the key of a second stage's configuration
UNKNOWN = (KeyError, TypeError, ValueError, IndexError, AttributeError)
FAMILIES = {"PlainConvUNet": Family.UNET, "ResidualEncoderUNet": Family.RESIDUAL}
COUNTS = {Family.UNET: "n_conv_per_stage", Family.RESIDUAL: "n_blocks_per_stage"}
READERS = ("SimpleITKIO", "NibabelIO", "NaturalImage2DIO", "Tiff3DIO")  # leave axes as they are
TURNING_READER = "NibabelIOWithReorient"  # turns them to RAS
COLORS = (
    *("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0"),
    *("#f032e6", "#bcf60c", "#fabebe", "#008080", "#e6beff", "#9a6324"),
)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises
    ------
    ModelError
        It is too big, or no JSON object.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"must have at most {MOST_BYTES >> 20} MB", path.name)
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"must be readable, {error.strerror}; copy it again", path.name) from error
    except (ValueError, RecursionError) as error:
        raise ModelError("must be JSON, this is not; copy it again", path.name) from error
    if not isinstance(found, dict):
        raise ModelError("must hold one JSON object; copy it again", path.name)
    return found


def stage_of(plans: Mapping[str, Any], configuration: str) -> dict[str, Any]:
    """One configuration, with what it inherits.

    Raises
    ------
    ModelError
        There is no such configuration, or it inherits in a circle.
    """
    known = plans.get("configurations")
    stages: Mapping[str, Any] = known if isinstance(known, dict) else {}
    chain: list[Mapping[str, Any]] = []
    name: Any = configuration
    while name is not None:
        if not isinstance(name, str) or not isinstance(stages.get(name), dict):
            raise ModelError(
                f"plans must hold the configuration {str(name)[:30]}, got {sorted(stages)[:8]}"
            )
        chain.append(stages[name])
        name = stages[name].get("inherits_from")
        if len(chain) > DEEPEST:
            raise ModelError("a configuration must not inherit in a circle; check the plans")
    return {key: value for stage in reversed(chain) for key, value in stage.items()}


def network_of_stage(stage: Mapping[str, Any]) -> NetworkConfig:
    """The shape of the network that a configuration describes.

    Raises
    ------
    ModelError
        It is none that we can build.
    """
    try:
        architecture = stage.get("architecture") or _older(stage)
        name = str(architecture["network_class_name"]).rsplit(".", 1)[-1]
        if name not in FAMILIES:
            raise ModelError(f"the network must be one of {', '.join(FAMILIES)}, got {name[:40]}")
        return _network(FAMILIES[name], architecture["arch_kwargs"], len(stage["patch_size"]))
    except UNKNOWN as error:
        raise ModelError(f"plans must describe a network, got {_short(error)}") from error


def _network(family: Family, kwargs: Mapping[str, Any], dims: int) -> NetworkConfig:
    stages = int(kwargs["n_stages"])
    if not 2 <= stages <= 20:
        raise ModelError(f"a network must have 2 to 20 stages, got {stages}")
    _check_blocks(kwargs, dims)
    features = kwargs["features_per_stage"]
    counts = _row(kwargs[COUNTS[family]], stages)
    return NetworkConfig(
        family=family,
        dims=dims,
        features=_row(features, stages),
        strides=tuple(_row(row, dims) for row in kwargs["strides"]),
        kernels=tuple(_row(row, dims) for row in kwargs["kernel_sizes"]),
        convs_per_stage=counts[0],
        convs=counts,
        decoder_convs=_row(kwargs["n_conv_per_stage_decoder"], stages - 1),
    )


def _check_blocks(kwargs: Mapping[str, Any], dims: int) -> None:
    """All that nnU-Net's own planners write, and nothing else."""
    wanted: dict[str, tuple[object, ...]] = {
        "conv_op": (f"torch.nn.modules.conv.Conv{dims}d", f"torch.nn.Conv{dims}d"),
        "norm_op": (
            f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
            f"torch.nn.InstanceNorm{dims}d",
        ),
        "norm_op_kwargs": ({"eps": 1e-5, "affine": True},),
        "dropout_op": (None,),
        "nonlin": ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU"),
        "nonlin_kwargs": ({"inplace": True}, {"negative_slope": 0.01, "inplace": True}),
        "conv_bias": (True,),
    }
    for name, accepted in wanted.items():
        if kwargs.get(name) not in accepted:
            raise ModelError(f"{name} must be {accepted[0]}, got {str(kwargs.get(name))[:40]}")
    for name in ("block", "bottleneck_channels", "stem_channels", "nonlin_first"):
        if kwargs.get(name):
            raise ModelError(f"a network must have no {name} of its own, got one")


def _older(stage: Mapping[str, Any]) -> dict[str, Any]:
    """The architecture of plans from before nnU-Net 2.4."""
    dims = len(stage["patch_size"])
    name = str(stage["UNet_class_name"])
    counts = [int(n) for n in stage["n_conv_per_stage_encoder"]]
    first, most = int(stage["UNet_base_num_features"]), int(stage["unet_max_num_features"])
    kwargs = {
        "n_stages": len(counts),
        "features_per_stage": [min(first * 2 ** min(n, 30), most) for n in range(len(counts))],
        "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
        "kernel_sizes": stage["conv_kernel_sizes"],
        "strides": stage["pool_op_kernel_sizes"],
        COUNTS.get(FAMILIES.get(name, Family.UNET), ""): counts,
        "n_conv_per_stage_decoder": stage["n_conv_per_stage_decoder"],
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return {"network_class_name": name, "arch_kwargs": kwargs}


def recipe_of_stage(
    plans: Mapping[str, Any],
    stage: Mapping[str, Any],
    about: Mapping[str, Any],
    mirror_axes: Sequence[Any],
) -> Recipe:
    """What nnU-Net does between scan and mask in a configuration.

    Parameters
    ----------
    about
        dataset.json.
    mirror_axes
        `inference_allowed_mirroring_axes` of the checkpoint, counted in the network's dimensions.

    Raises
    ------
    ModelError
        It names something that is not nnU-Net's own, or that we cannot repeat.
    """
    try:
        _check_names(plans, stage)
        labels, regions = labels_of(about)
        names = about.get("channel_names") or about["modality"]
        channels = tuple(str(names[key])[:60] for key in sorted(names, key=int))
        patch = [int(n) for n in stage["patch_size"]]
        spacing = [_number(mm) for mm in stage["spacing"]]
        flat = 3 - len(patch)
        return Recipe(
            labels=labels,
            channels=channels,
            spacing_mm=_triple([spacing[0]] * flat + spacing),
            patch=_triple([1] * flat + patch),
            mirror_axes=tuple(sorted({int(axis) + flat for axis in mirror_axes} & {0, 1, 2})),
            orientation="RAS" if plans["image_reader_writer"] == TURNING_READER else "LPS",
            regions=regions,
            nnunet=_plan(plans, stage, len(channels), max(label.value for label in labels)),
        )
    except UNKNOWN as error:
        raise ModelError(f"plans must be nnU-Net's, these are not ({_short(error)})") from error


def labels_of(about: Mapping[str, Any]) -> tuple[tuple[Label, ...], tuple[tuple[int, ...], ...]]:
    """The labels of the outputs, and the mask values of each region; none where they exclude."""
    said = {str(name)[:60]: value for name, value in about["labels"].items() if name != "ignore"}
    if not 2 <= len(said) <= MOST_LABELS or said.get("background") != 0:
        raise ModelError("dataset.json must name background 0 and at least one more label")
    values = {
        name: tuple(int(v) for v in value) if isinstance(value, list) else (int(value),)
        for name, value in said.items()
    }
    if any(len(one) > 1 for one in values.values()):
        return _regions(values, [int(v) for v in about["regions_class_order"]])
    order = sorted((one[0], name) for name, one in values.items())
    if [value for value, _ in order] != list(range(len(order))):
        raise ModelError(f"labels must be 0, 1, 2 …, got {[value for value, _ in order][:10]}")
    return tuple(_label(value, name) for value, name in order[1:]), ()


def _regions(
    values: Mapping[str, tuple[int, ...]], paint: list[int]
) -> tuple[tuple[Label, ...], tuple[tuple[int, ...], ...]]:
    regions = {name: one for name, one in values.items() if set(one) != {0}}
    if len(paint) != len(regions) or len(set(paint)) != len(paint) or min(paint) < 1:
        raise ModelError(f"regions_class_order must paint each region once, got {paint[:10]}")
    labels = tuple(_label(value, name) for value, name in zip(paint, regions, strict=True))
    return labels, tuple(regions.values())


def _label(value: int, name: str) -> Label:
    if not 0 < value <= 65535:
        raise ModelError(f"a label must be 1 to 65535, got {value}")
    return Label(value, name, COLORS[(value - 1) % len(COLORS)])


def _check_names(plans: Mapping[str, Any], stage: Mapping[str, Any]) -> None:
    """Classes of nnU-Net whose work we repeat; another one does another work."""
    reader = plans["image_reader_writer"]
    accepted = {
        "image_reader_writer": (reader, (*READERS, TURNING_READER)),
        "label_manager": (plans.get("label_manager", "LabelManager"), ("LabelManager",)),
        "preprocessor_name": (
            stage.get("preprocessor_name", "DefaultPreprocessor"),
            ("DefaultPreprocessor",),
        ),
    }
    for name, (got, known) in accepted.items():
        if got not in known:
            raise ModelError(f"{name} must be {known[0]}, got {str(got)[:40]}")


def _plan(
    plans: Mapping[str, Any], stage: Mapping[str, Any], n_channels: int, n_labels: int
) -> NnUNetPlan:
    statistics = plans.get("foreground_intensity_properties_per_channel")
    if statistics is None:
        statistics = plans["foreground_intensity_properties_by_modality"]
    schemes, masks = stage["normalization_schemes"], stage["use_mask_for_norm"]
    if not len(schemes) == len(masks) == n_channels:
        raise ModelError(f"{n_channels} channels must each be normalised, got {len(schemes)} ways")
    return NnUNetPlan(
        channels=tuple(
            _intensity(str(scheme), bool(masked), statistics.get(str(n), {}))
            for n, (scheme, masked) in enumerate(zip(schemes, masks, strict=True))
        ),
        data=_resampling(stage, "data"),
        logits=_resampling(stage, "probabilities"),
        transpose=_triple([int(n) for n in plans.get("transpose_forward", (0, 1, 2))]),
        reorient=plans["image_reader_writer"] == TURNING_READER,
        previous=n_labels if stage.get(CASCADE) else 0,
    )


def _intensity(scheme: str, masked: bool, found: Mapping[str, Any]) -> Intensity:
    if scheme not in list(Scheme):
        raise ModelError(f"a normalisation must be nnU-Net's own, got {scheme[:40]}")
    if Scheme(scheme) is not Scheme.CT:
        return Intensity(Scheme(scheme), masked)
    mean, std = _number(found["mean"]), _number(found["std"])
    low, high = _number(found["percentile_00_5"]), _number(found["percentile_99_5"])
    return Intensity(Scheme.CT, False, mean, std, low, high)


def _resampling(stage: Mapping[str, Any], what: str) -> Resampling:
    name = str(stage[f"resampling_fn_{what}"])
    if name not in list(Resize):
        raise ModelError(f"resampling must be nnU-Net's default or torch's, got {name[:40]}")
    kwargs = stage[f"resampling_fn_{what}_kwargs"]
    separate = kwargs.get("force_separate_z")
    if kwargs.get("is_seg") or kwargs.get("order_z", 0) != 0 or separate not in (None, True, False):
        raise ModelError(f"the coarse axis must take the nearest plane, got {str(kwargs)[:60]}")
    if Resize(name) is Resize.TORCH:
        if kwargs.get("mode", "linear") != "linear":
            raise ModelError(f"torch must resample linearly, got {str(kwargs['mode'])[:20]}")
        return Resampling(Resize.TORCH, 1, separate)
    return Resampling(Resize.SPLINE, int(kwargs.get("order", 3)), separate)


def _row(value: Any, length: int) -> tuple[int, ...]:
    """Whole numbers, one for each stage or axis; a lone one stands for all."""
    row = [value] * length if isinstance(value, int) else list(value)
    if any(isinstance(n, bool) or not isinstance(n, int) for n in row) or len(row) > 1000:
        raise ValueError(f"{str(row)[:40]} must be whole numbers")
    return tuple(row)


def _triple(row: Sequence[Any]) -> tuple[Any, Any, Any]:
    z, y, x = row
    return z, y, x


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:20]} must be a number")
    return float(value)


def _short(error: Exception) -> str:
    kind = "missing " if isinstance(error, KeyError) else ""
    return f"{kind}{' '.join(str(error).split())[:60]}"
