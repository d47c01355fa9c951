"""A segmenter's network as a graph for other programs: ONNX or TorchScript, its recipe inside."""

from __future__ import annotations

import io
import json
import warnings
from typing import Any

import torch
from torch import nn

from napari_medseg.errors import ModelError
from napari_medseg.models.build import network_of
from napari_medseg.models.card import KEY, recipe_text
from napari_medseg.models.config import Family
from napari_medseg.models.onnx_graph import INSTALL, bytes_of
from napari_medseg.models.segmenter import Segmenter

OPSET = 17  # the newest that onnxruntime 1.20, our oldest, and OpenVINO 2024 run whole
INPUT, OUTPUT = "image", "scores"
EXTRA_FILE = "medseg.json"
EXAMPLE = 32  # voxels an axis of the tile that is followed through the network
AXES = {2: ("y", "x"), 3: ("z", "y", "x")}


def onnx_bytes(segmenter: Segmenter) -> bytes:
    """The network as ONNX: `image` (1, C, [Z,] Y, X) to `scores` (1, L, [Z,] Y, X), any size that
    the network's strides divide.

    Raises
    ------
    ModelError
        The package onnx is not installed, or the model has several members.
    """
    _check_single(segmenter)
    if segmenter.network.family is Family.ONNX:
        return _with_recipe(bytes_of(segmenter.weights), segmenter)
    sizes = dict(enumerate(AXES[segmenter.network.dims], start=2))
    stream = io.BytesIO()
    export: Any = torch.onnx.export  # its types do not tell that it takes a stream
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing is what torch would rather see gone
        export(
            network_of(segmenter),
            (_example(segmenter),),
            stream,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: sizes, OUTPUT: sizes},
        )
    return _with_recipe(stream.getvalue(), segmenter)


def torchscript_bytes(segmenter: Segmenter) -> bytes:
    """The network as traced TorchScript; its recipe is the extra file ``medseg.json``.

    Raises
    ------
    ModelError
        It is an imported graph, or the model has several members.
    """
    _check_single(segmenter)
    network: nn.Module = network_of(segmenter).requires_grad_(False)
    stream = io.BytesIO()
    trace: Any = torch.jit.trace
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # likewise
        traced = trace(network, _example(segmenter), check_trace=False)
        torch.jit.save(traced, stream, _extra_files={EXTRA_FILE: _about(segmenter)})
    return stream.getvalue()


def _check_single(segmenter: Segmenter) -> None:
    if len(segmenter.members) > 1:
        raise ModelError(
            f"a graph must be one network, this model is the mean of {len(segmenter.members)}; "
            "import it with one fold",
            segmenter.name,
        )


def _example(segmenter: Segmenter) -> torch.Tensor:
    """A tile of noise whose sizes the network's strides divide."""
    sizes = [
        2 * n if n > EXAMPLE // 2 else EXAMPLE // n * n for n in segmenter.network.total_stride
    ]
    return torch.randn(1, segmenter.recipe.n_inputs, *sizes)


def _about(segmenter: Segmenter) -> str:
    about = {"name": segmenter.name, KEY: json.loads(recipe_text(segmenter.recipe))}
    return json.dumps(about, sort_keys=True)


def _with_recipe(data: bytes, segmenter: Segmenter) -> bytes:
    """The graph, its recipe among what it says of itself."""
    try:
        import onnx
    except ImportError as error:
        raise ModelError(f"an ONNX model needs two more packages; {INSTALL}") from error
    model = onnx.load_model_from_string(data)
    own = {one.key: one.value for one in model.metadata_props}
    own |= {KEY: recipe_text(segmenter.recipe), "name": segmenter.name}
    onnx.helper.set_model_props(model, own)
    return bytes(model.SerializeToString())
