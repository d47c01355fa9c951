"""An ONNX file as a segmenter that can be run and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_medseg.errors import ModelError
from napari_medseg.models.card import KEY, Lineage, recipe_of_text
from napari_medseg.models.import_options import ImportOptions, UntoldError
from napari_medseg.models.onnx_graph import (
    MOST_BYTES,
    TENSOR,
    Graph,
    looked_through,
    network_config,
)
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Normalise, Recipe
from napari_medseg.volume import Label

COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#ffe119", "#f032e6")
WINDOWED = (Normalise.CT_WINDOW, Normalise.RANGE)


def read(path: Path, options: ImportOptions) -> Segmenter:
    """The segmenter of an ONNX file.

    The recipe is the one that our own export wrote into the file, else `options`.

    Raises
    ------
    ModelError
        The file may not be run, or does not say enough of itself.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ModelError("an ONNX file must have at most 2 GB, this one has more", path.name)
    data = path.read_bytes()
    try:
        graph = looked_through(data)
        recipe = _recipe(graph, options)
    except ModelError as error:
        error.name = path.name
        raise
    tensor = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    lineage = Lineage(how="import", config={"from": "ONNX"})
    return Segmenter(path.stem[:80], network_config(graph.dims), {TENSOR: tensor}, recipe, lineage)


def _recipe(graph: Graph, options: ImportOptions) -> Recipe:
    text = graph.metadata.get(KEY)
    recipe = recipe_of_text(text) if text else _told(graph, options)
    if recipe.n_outputs != graph.outputs or recipe.n_inputs != graph.channels:
        raise ModelError(
            f"a graph of {graph.channels} channel(s) and {graph.outputs - 1} label(s) must have "
            f"names for all, got {recipe.n_inputs} and {len(recipe.labels)}"
        )
    flat = recipe.patch[0] == 1 and graph.dims == 2
    if graph.dims == 2 and not flat:
        raise ModelError(f"a 2-D graph's patch must be (1, Y, X), got {recipe.patch}")
    wanted = recipe.patch[3 - graph.dims :]
    if any(n not in (0, m) for n, m in zip(graph.size, wanted, strict=True)):
        raise ModelError(f"this graph takes tiles of {graph.size}, got {wanted}; leave out --patch")
    return recipe


def _told(graph: Graph, options: ImportOptions) -> Recipe:
    patch = options.patch or (graph.size if all(graph.size) else ())
    missing = {
        "--labels": not options.labels,
        "--normalise": options.normalise is None,
        "--window": options.normalise in WINDOWED and options.window is None,
        "--patch": not patch,
    }
    if any(missing.values()):
        names = ", ".join(name for name, lacks in missing.items() if lacks)
        raise UntoldError(f"this ONNX file does not say how it was trained; also give {names}")
    z, y, x = (1,) * (3 - len(patch)) + tuple(patch)
    more: dict[str, Any] = {"window": options.window} if options.window else {}
    if options.spacing_mm:
        more["spacing_mm"] = tuple(options.spacing_mm)
    if options.normalise is not None:
        more["normalise"] = options.normalise
    channels = options.channels or _channels(graph.channels)
    labels = tuple(
        Label(n, name, COLORS[(n - 1) % len(COLORS)]) for n, name in enumerate(options.labels, 1)
    )
    return Recipe(labels, channels, patch=(z, y, x), orientation=options.orientation, **more)


def _channels(number: int) -> tuple[str, ...]:
    return ("image",) if number == 1 else tuple(f"channel {n}" for n in range(number))
