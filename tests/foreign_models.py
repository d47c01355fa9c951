"""Small models of other programs, made without those programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from napari_medseg.models.build import build, weights_of
from napari_medseg.models.export_graph import onnx_bytes
from napari_medseg.models.monai_network import network_of_bundle
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Label

UNET: dict[str, Any] = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 1,
    "norm": "batch",
}
STEPS: list[dict[str, Any]] = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim", "mode": "bilinear"},
    {
        "_target_": "monai.transforms.ScaleIntensityRanged",
        "keys": "image",
        "a_min": -57,
        "a_max": 164,
        "b_min": 0,
        "b_max": 1,
        "clip": True,
    },
]
METADATA = {
    "name": "Spleen",
    "network_data_format": {
        "inputs": {"image": {"modality": "CT", "num_channels": 1}},
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "spleen"}}},
    },
}


def monai_bundle(folder: Path, network: Mapping[str, Any] = UNET, **config: Any) -> Path:
    """A bundle as MONAI's zoo has them; `config` replaces parts of inference.json."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    whole = {
        "imports": ["$import glob"],
        "device": "$torch.device('cpu')",
        "pixdim": [1.5, 1.5, 2.0],
        "network_def": dict(network),
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": STEPS},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [8, 16, 16], "overlap": 0.5},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "Activationsd", "keys": "pred", "softmax": True}],
        },
        **config,
    }
    (folder / "configs" / "inference.json").write_text(json.dumps(whole))
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    torch.save(monai_state(network), folder / "models" / "model.pt")
    return folder


def monai_state(network: Mapping[str, Any] = UNET) -> dict[str, torch.Tensor]:
    """Weights of such a network under MONAI's names."""
    arguments = {key: value for key, value in network.items() if key != "_target_"}
    described = network_of_bundle(network["_target_"], arguments)
    torch.manual_seed(0)
    made = build(described.config, described.in_channels, described.out_channels)
    return {name.removeprefix("encoder."): value for name, value in weights_of(made).items()}


def small_segmenter(dims: int = 3) -> Segmenter:
    """A network of ours with two labels."""
    from napari_medseg.models.config import NetworkConfig

    config = NetworkConfig(dims=dims, features=(4, 8), strides=((1,) * dims, (2,) * dims))
    torch.manual_seed(0)
    weights = weights_of(build(config, 1, 3))
    recipe = Recipe((Label(1, "a"), Label(5, "b")), ("CT",), patch=(1 if dims == 2 else 8, 16, 16))
    return Segmenter("small", config, weights, recipe)


def tiny_onnx(path: Path) -> Path:
    """A graph of two outputs that says nothing of itself."""
    import onnx

    segmenter = small_segmenter()
    one = replace(segmenter, recipe=replace(segmenter.recipe, labels=(Label(1, "a"),)))
    weights = weights_of(build(one.network, 1, 2))
    model = onnx.load_model_from_string(onnx_bytes(replace(one, weights=weights)))
    onnx.helper.set_model_props(model, {})
    path.write_bytes(model.SerializeToString())
    return path
