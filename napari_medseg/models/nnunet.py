"""An nnU-Net v2 results folder as a segmenter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from napari_medseg.errors import ModelError
from napari_medseg.models.build import build
from napari_medseg.models.card import MOST_MEMBERS, Lineage
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.foreign_weights import checked_weights, read_state
from napari_medseg.models.nnunet_plans import (
    CASCADE,
    network_of_stage,
    read_json,
    recipe_of_stage,
    stage_of,
)
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe

FINAL = "checkpoint_final.pth"
WRAPPERS = ("module.", "_orig_mod.")  # of parallel and of compiled networks


def read(
    folder: Path,
    configuration: str = "",
    folds: tuple[int, ...] = (),
    checkpoint: str = FINAL,
) -> Segmenter:
    """The model in a folder `TRAINER__PLANS__CONFIGURATION`, or in the data set's folder above it.

    Parameters
    ----------
    configuration
        As "3d_fullres"; needed where a data set's folder holds several.
    folds
        Their numbers; none takes all that there are.
    checkpoint
        The file in each fold.

    Raises
    ------
    ModelError
        Something is missing, is no nnU-Net model, or is one that we cannot repeat.
    """
    folder = model_folder(Path(folder), configuration)
    plans, about = read_json(folder / "plans.json"), read_json(folder / "dataset.json")
    files = _checkpoints(folder, folds, checkpoint)
    states = [read_state(path) for path in files]
    said = states[0].get("init_args")
    said = said.get("configuration") if isinstance(said, dict) else None
    configuration = configuration or str(said or folder.name.rsplit("__", 1)[-1])
    stage = stage_of(plans, configuration)
    former = stage.get(CASCADE)
    previous = None if former is None else _former(folder, str(former), folds, checkpoint)
    network = network_of_stage(stage)
    axes = states[0].get("inference_allowed_mirroring_axes") or ()
    recipe = recipe_of_stage(plans, stage, about, axes if isinstance(axes, list) else ())
    weights = [
        own_weights(state.get("network_weights"), network, recipe, path.parent.name)
        for path, state in zip(files, states, strict=True)
    ]
    name = f"{plans.get('dataset_name', folder.parent.name)} {configuration}"
    lineage = Lineage(how="import", note=f"imported from nnU-Net, {len(files)} fold(s)")
    return Segmenter(name[:100], network, weights[0], recipe, lineage, tuple(weights[1:]), previous)


def _former(folder: Path, stage: str, folds: tuple[int, ...], checkpoint: str) -> Segmenter:
    """A cascade's first stage, from the folder beside the second one's."""
    beside = folder.resolve().with_name(f"{folder.resolve().name.rsplit('__', 1)[0]}__{stage}")
    if Path(stage).name != stage or not beside.is_dir():
        raise ModelError(
            f"a cascade must lie beside its first stage, {beside.name[:80]} is not there; copy it",
            folder.name,
        )
    found = read(beside, stage, folds, checkpoint)
    if found.previous is not None:
        raise ModelError("a cascade must have two stages, this one has more", folder.name)
    return found


def model_folder(folder: Path, configuration: str = "") -> Path:
    """The folder with plans.json and the folds.

    Raises
    ------
    ModelError
        There is none, or several are.
    """
    if (folder / "plans.json").is_file():
        return folder
    inner = sorted(
        path.parent
        for path in folder.glob(f"*__{configuration or '*'}/plans.json")
        if any(path.parent.glob("fold_*"))
    )
    if len(inner) == 1:
        return inner[0]
    if not inner:
        raise ModelError(
            "an nnU-Net folder must hold plans.json, dataset.json and fold_…; name the folder "
            f"TRAINER__PLANS__{configuration or 'CONFIGURATION'}",
            folder.name,
        )
    found = ", ".join(path.name for path in inner[:4])
    raise ModelError(f"one model must be named, got {found}; choose its folder", folder.name)


def own_weights(
    state: object, network: NetworkConfig, recipe: Recipe, name: str
) -> dict[str, torch.Tensor]:
    """The parameters under our names, each once; nnU-Net saves some under four.

    Raises
    ------
    ModelError
        They are not those of this network, or not finite.
    """
    found = checked_weights(_unwrapped(state), name)
    with torch.device("meta"):
        built = build(network, recipe.n_inputs, recipe.n_outputs)
    own = dict(built.named_parameters())
    strange = sorted(set(found) ^ set(built.state_dict()))
    if strange:
        raise ModelError(f"weights must be those of the plans' network, {strange[0][:60]}", name)
    for key, parameter in own.items():
        if found[key].shape != parameter.shape:
            raise ModelError(
                f"{key[:50]} must be {tuple(parameter.shape)}, got {tuple(found[key].shape)}",
                name,
            )
    return {key: found[key].clone() for key in own}


def _unwrapped(state: object) -> Mapping[str, Any]:
    if not isinstance(state, Mapping):
        return {}
    names = {key: str(key) for key in state}
    for wrapper in WRAPPERS:
        names = {key: name.removeprefix(wrapper) for key, name in names.items()}
    return {name: state[key] for key, name in names.items()}


def _checkpoints(folder: Path, folds: tuple[int, ...], checkpoint: str) -> list[Path]:
    """The file of each fold."""
    if Path(checkpoint).name != checkpoint:
        raise ModelError(f"a checkpoint must be a file's name, got {checkpoint[:60]}")
    numbered = {
        int(found[1]): path
        for path in folder.glob("fold_*")
        if (found := re.fullmatch(r"fold_(\d{1,3})", path.name))
    }
    files = [numbered.get(n, folder / f"fold_{n}") / checkpoint for n in folds or sorted(numbered)]
    if not folds:
        files = [path for path in files if path.is_file()] or [folder / "fold_all" / checkpoint]
    missing = [path for path in files if not path.is_file()]
    if missing:
        raise ModelError(
            f"a model must hold {missing[0].parent.name}/{checkpoint}; name folds that are there",
            folder.name,
        )
    if len(files) > MOST_MEMBERS:
        raise ModelError(f"a model must have at most {MOST_MEMBERS} folds, got {len(files)}")
    return files
