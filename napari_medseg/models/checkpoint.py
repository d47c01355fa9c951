"""Segmenters as files; loading never runs code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load as parse
from safetensors.torch import save as serialise

from napari_medseg.errors import ModelError
from napari_medseg.models.build import build, load_weights
from napari_medseg.models.card import KEY, ModelCard, description, read_card
from napari_medseg.models.config import Family
from napari_medseg.models.exemplar import PREFIX, plain, read, tensors_of
from napari_medseg.models.onnx_graph import check_graph
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.models.whole_file import write_whole

PREVIOUS = "previous."  # how the names of a cascade's first stage begin
MOST_PARAMETERS = 2_000_000_000


def save(segmenter: Segmenter, path: Path | str) -> ModelCard:
    """Write a checkpoint; the old file stays whole until the new one is.

    Raises
    ------
    WriteError
        The folder does not take it.
    """
    path = Path(path)
    tensors = {**joined(segmenter), **tensors_of(segmenter.memory)}
    text = _described(segmenter)
    write_whole(path, serialise(tensors, metadata={KEY: text}), make_folder=True)
    return read_card(path)


def load(path: Path | str) -> Segmenter:
    """The segmenter of a checkpoint.

    Raises
    ------
    ModelError
        The file is not a checkpoint, its weights changed since they were saved, do not fit the
        network or are not finite.
    """
    path = Path(path)
    card = read_card(path)
    try:
        tensors = parse(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"a model must be a whole safetensors file ({error})", path.name
        ) from error
    kept = {name: one for name, one in tensors.items() if name.startswith(PREFIX)}
    weights = {name: one for name, one in tensors.items() if name not in kept}
    if (
        weights_hash(weights) != card.weights_sha256
        or (weights_hash(kept) if kept else "") != card.memory_sha256
    ):
        raise ModelError(
            "the weights changed since they were saved; copy the file again", path.name
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise ModelError("weights must be finite, some are NaN or infinite", path.name)
    segmenter = _segmenter(card, weights)
    try:
        return replace(segmenter, memory=read(kept, card.memory, card.recipe.n_inputs))
    except ModelError as error:
        raise ModelError(error.message, path.name) from error


def _described(segmenter: Segmenter) -> str:
    """The JSON of a checkpoint; a cascade's first stage lies in it as a whole."""
    previous = "" if segmenter.previous is None else _described(segmenter.previous)
    return description(
        segmenter.name,
        segmenter.network,
        segmenter.recipe,
        segmenter.lineage,
        weights_hash(joined(segmenter)),
        len(segmenter.members),
        previous,
        plain(segmenter.memory),
        weights_hash(tensors_of(segmenter.memory)) if segmenter.memory else "",
    )


def _segmenter(card: ModelCard, weights: Mapping[str, torch.Tensor]) -> Segmenter:
    """The segmenter, once its weights are known to fit."""
    previous = None
    if card.previous is not None:
        own = {name: one for name, one in weights.items() if not name.startswith(PREVIOUS)}
        theirs = {name.removeprefix(PREVIOUS): weights[name] for name in weights.keys() - own}
        previous, weights = _segmenter(card.previous, theirs), own
    first, *folds = _split(weights, card.members)
    for one in (first, *folds):
        _check_fit(card, one)
    return Segmenter(
        card.name, card.network, first, card.recipe, card.lineage, tuple(folds), previous
    )


def joined(segmenter: Segmenter) -> dict[str, torch.Tensor]:
    """The weights of all members under one name each."""
    first, *folds = segmenter.members
    further = {
        f"fold{n}.{name}": tensor
        for n, weights in enumerate(folds, start=1)
        for name, tensor in weights.items()
    }
    stage = {} if segmenter.previous is None else joined(segmenter.previous)
    return {**first, **further, **{f"{PREVIOUS}{name}": one for name, one in stage.items()}}


def _split(weights: Mapping[str, torch.Tensor], members: int) -> list[dict[str, torch.Tensor]]:
    """Each member's own weights; the network refuses what is missing or too much."""
    prefixes = [f"fold{n}." for n in range(1, members)]
    parts: list[dict[str, torch.Tensor]] = [{} for _ in range(members)]
    for name, tensor in weights.items():
        number = next((n for n, start in enumerate(prefixes, 1) if name.startswith(start)), 0)
        parts[number][name.removeprefix(prefixes[number - 1]) if number else name] = tensor
    return parts


def weights_hash(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_fit(card: ModelCard, weights: Mapping[str, torch.Tensor]) -> None:
    """Build the network without memory and compare, before anything of its size is allocated."""
    try:
        if card.network.family is Family.ONNX:
            check_graph(weights, card.network, card.recipe)
            return
        with torch.device("meta"):
            network = build(card.network, card.recipe.n_inputs, card.recipe.n_outputs)
        if sum(p.numel() for p in network.parameters()) > MOST_PARAMETERS:
            raise ModelError(f"a network must have at most {MOST_PARAMETERS:.0e} parameters")
        load_weights(network, weights)
    except ModelError as error:
        raise ModelError(error.message, card.path.name) from error
