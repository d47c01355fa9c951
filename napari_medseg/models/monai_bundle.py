"""A MONAI bundle as a segmenter: numbers from its files, no code of it and none of MONAI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from napari_medseg.errors import ModelError
from napari_medseg.models.build import build, load_weights
from napari_medseg.models.card import Lineage
from napari_medseg.models.foreign_safetensors import read_safetensors
from napari_medseg.models.foreign_weights import checked_weights, read_state
from napari_medseg.models.monai_config import arguments, read_config
from napari_medseg.models.monai_network import Described, network_of_bundle
from napari_medseg.models.monai_transforms import patch_of, read_postprocessing, recipe_fields
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Normalise, Recipe
from napari_medseg.volume import Label

COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#ffe119", "#f032e6")
WRAPPERS = ("model", "state_dict", "network", "model_state_dict")
PREFIXES = ("module.", "_orig_mod.", "network.")
UNUSED = ("skip_layers.", "deep_supervision_heads.")  # of DynUNet: the same weights, and training's
COUNTER = "num_batches_tracked"
USUAL_PATCH = {2: (256, 256), 3: (96, 96, 96)}
MOST_LABELS = 1000


def is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a bundle."""
    return (folder / "configs").is_dir()


def read(folder: Path) -> Segmenter:
    """The segmenter of a bundle; `lineage.config["warnings"]` says what is not as in MONAI.

    Raises
    ------
    ModelError
        A file is missing or damaged, the network or a transform is unknown, or the weights do not
        fit.
    """
    metadata, config = read_config(folder, "metadata"), read_config(folder, "inference")
    if not config:
        raise ModelError("a bundle must have configs/inference.json", folder.name)
    try:
        return _read(folder, metadata, config)
    except ModelError as error:
        raise ModelError(error.message, error.name or folder.name) from error
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"a bundle's configuration must be plain, {str(error)[:60]}", folder.name
        ) from error


def _read(folder: Path, metadata: Mapping[str, Any], config: Mapping[str, Any]) -> Segmenter:
    entry = config.get("network_def", config.get("network"))
    described = network_of_bundle(*arguments(config, entry))
    recipe, warnings = _recipe(metadata, config, described)
    weights = _fitted(_weights(folder), described)
    lineage = Lineage(how="import", config={"from": "MONAI bundle", "warnings": warnings})
    name = str(metadata.get("name") or folder.name)[:80]
    return Segmenter(name, described.config, weights, recipe, lineage)


def _recipe(
    metadata: Mapping[str, Any], config: Mapping[str, Any], described: Described
) -> tuple[Recipe, list[str]]:
    dims = described.config.dims
    found = recipe_fields(config, dims)
    alone, undone = read_postprocessing(config, described.out_channels)
    warnings = [*found.warnings, *undone]
    patch = patch_of(config, dims)
    if not patch:
        warnings.append(f"the bundle names no tile size, {USUAL_PATCH[dims]} is taken")
    size = (1,) * (3 - dims) + (patch or USUAL_PATCH[dims])
    channels = _channels(metadata, described.in_channels)
    wise = found.fields.pop("channel_wise", True)
    if not wise and len(channels) > 1 and found.fields["normalise"] is Normalise.MEAN_STD:
        warnings.append("each channel has its own mean, the bundle took that of all")
    labels = _labels(metadata, described.out_channels, alone)
    regions = ((1,),) if described.out_channels == 1 else ()
    z, y, x = size
    recipe = Recipe(labels, channels, patch=(z, y, x), regions=regions, **found.fields)
    return recipe, warnings


def _labels(metadata: Mapping[str, Any], outputs: int, alone: bool) -> tuple[Label, ...]:
    """Names of outputs 1, 2, … as ``channel_def`` gives them; of the only one, if there is one."""
    names = _ends(metadata, "outputs", "pred").get("channel_def")
    names = names if isinstance(names, Mapping) else {}
    if outputs == 1 and alone:
        return (Label(1, str(names.get("0", names.get("1", "label 1")))[:60], COLORS[0]),)
    if alone:
        raise ModelError("a bundle's labels must exclude each other, these may overlap")
    if not 2 <= outputs <= MOST_LABELS:
        raise ModelError(f"a bundle must give background and up to 1000 labels, got {outputs}")
    return tuple(
        Label(n, str(names.get(str(n), f"label {n}"))[:60], COLORS[(n - 1) % len(COLORS)])
        for n in range(1, outputs)
    )


def _channels(metadata: Mapping[str, Any], number: int) -> tuple[str, ...]:
    image = _ends(metadata, "inputs", "image")
    names = image.get("channel_def")
    if isinstance(names, Mapping) and len(names) == number:
        return tuple(str(names.get(str(n), f"channel {n}"))[:60] for n in range(number))
    if number > 1:
        return tuple(f"channel {n}" for n in range(number))
    modality = str(image.get("modality") or image.get("format") or "image").upper()
    return (modality if modality in ("CT", "MR", "MRI", "PET", "US") else "image",)


def _ends(metadata: Mapping[str, Any], side: str, name: str) -> Mapping[str, Any]:
    value: Any = metadata.get("network_data_format")
    for word in (side, name):
        value = value.get(word) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """From models/model.safetensors or models/model.pt, and from nowhere else."""
    safe, pickled = folder / "models" / "model.safetensors", folder / "models" / "model.pt"
    if safe.is_file():
        return checked_weights(read_safetensors(safe), safe.name)
    if not pickled.is_file():
        if (folder / "models" / "model.ts").is_file():
            raise ModelError("a bundle's weights must be model.pt or .safetensors, got TorchScript")
        raise ModelError("a bundle must have models/model.safetensors or models/model.pt")
    found: Any = read_state(pickled)
    inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping)), found)
    return checked_weights(inner, pickled.name)


def _fitted(weights: Mapping[str, torch.Tensor], described: Described) -> dict[str, torch.Tensor]:
    """The weights under our names, each of the right shape."""
    bare = {_unwrapped(name): value for name, value in weights.items()}
    named = {
        f"encoder.{name}": value
        for name, value in bare.items()
        if not name.startswith(UNUSED) and not name.endswith(COUNTER)
    }
    with torch.device("meta"):
        network = build(described.config, described.in_channels, described.out_channels)
    load_weights(network, named)
    return named


def _unwrapped(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name
