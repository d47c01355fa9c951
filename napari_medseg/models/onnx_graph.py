"""An ONNX graph as bytes that somebody sent: looked through before anything runs it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_medseg.errors import ModelError
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.preprocess.recipe import Recipe

if TYPE_CHECKING:
    import onnx

TENSOR = "onnx"  # the one tensor of a checkpoint that holds a graph
MOST_BYTES = 2**31 - 1  # protobuf's own limit
MOST_NODES, DEEPEST = 20_000, 4
MOST_ELEMENTS = 2**31  # of one tensor inside, 8 GB
OPSETS = range(9, 27)
DOMAINS = {"", "ai.onnx"}
LOOPS = {"Loop", "Scan", "SequenceMap"}
INSTALL = "pip install 'napari-medseg[onnx]'"


@dataclass(frozen=True)
class Graph:
    """What a graph reads and gives.

    Attributes
    ----------
    channels, outputs
        Of the input and the output.
    size
        Spatial size (Z, Y, X) or (Y, X) that it is made for; 0 where any will do.
    metadata
        What its maker wrote into it.
    """

    channels: int
    outputs: int
    size: tuple[int, ...]
    metadata: Mapping[str, str]

    @property
    def dims(self) -> int:
        return len(self.size)


def network_config(dims: int) -> NetworkConfig:
    """Stands for a graph in a checkpoint; any multiple of 1 is a tile."""
    ones = ((1,) * dims, (1,) * dims)
    return NetworkConfig(Family.ONNX, dims, (1, 1), ones, 1, False, ones)


def check_graph(
    weights: Mapping[str, torch.Tensor], network: NetworkConfig, recipe: Recipe
) -> None:
    """Refuse a checkpoint that should hold a graph and does not; looks not inside."""
    tensor = weights.get(TENSOR)
    if len(weights) != 1 or tensor is None or tensor.dtype is not torch.uint8 or tensor.ndim != 1:
        raise ModelError("an ONNX model must be one graph in bytes; import it again")
    if network.dims == 2 and recipe.patch[0] != 1:
        raise ModelError(f"a 2-D model's patch must be (1, Y, X), got {recipe.patch}")


def bytes_of(weights: Mapping[str, torch.Tensor]) -> bytes:
    """The graph that a checkpoint holds."""
    return weights[TENSOR].numpy().tobytes()


def looked_through(data: bytes) -> Graph:
    """What a graph reads and gives, if it may be run.

    Raises
    ------
    ModelError
        It is no graph, reads other files, needs code of its own, loops, is too large inside, or
        has not one image as input and one score per label as output.
    """
    onnx = _package()
    if not 16 <= len(data) <= MOST_BYTES:
        raise ModelError(f"an ONNX file must have 16 bytes to 2 GB, got {len(data)} bytes")
    try:
        model = onnx.load_model_from_string(data)
        _check_safe(model)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        _check_sizes(inferred.graph)
        return _interface(inferred)
    except ModelError:
        raise
    except Exception as error:  # protobuf's, onnx's and those of their C++
        raise ModelError(f"an ONNX file must be whole and valid, {_short(error)}") from error


def _package() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.shape_inference
    except ImportError as error:
        raise ModelError(f"an ONNX model needs two more packages; {INSTALL}") from error
    return onnx


def _check_safe(model: onnx.ModelProto) -> None:
    versions = {one.domain: one.version for one in model.opset_import}
    if strange := sorted(set(versions) - DOMAINS):
        raise ModelError(
            f"a graph must use ONNX's own operators, got {strange[0][:40]}; export without it"
        )
    version = max(versions.values(), default=0)
    if version not in OPSETS:
        raise ModelError(f"a graph's opset must be {OPSETS[0]} to {OPSETS[-1]}, got {version}")
    if model.functions or model.training_info:
        raise ModelError("a graph must be flat, this one brings functions; inline them")
    for number, node in enumerate(_nodes(model.graph)):
        if number >= MOST_NODES:
            raise ModelError(f"a graph must have at most {MOST_NODES} nodes, it has more")
        if node.domain not in DOMAINS:
            raise ModelError(
                f"a graph must use ONNX's own operators, got {node.domain[:40]}; export without it"
            )
        if node.op_type in LOOPS:
            raise ModelError(f"a graph must run straight through, got {node.op_type}")
    for tensor in _tensors(model.graph):
        _check_tensor(tensor)


def _nodes(graph: onnx.GraphProto, depth: int = 0) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches too."""
    if depth > DEEPEST:
        raise ModelError(f"a graph must nest at most {DEEPEST} deep, it nests deeper")
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _nodes(inner, depth + 1)


def _tensors(graph: onnx.GraphProto, depth: int = 0) -> Iterator[onnx.TensorProto]:
    """All constants, those of branches too."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            yield from (attribute.sparse_tensor.values, attribute.sparse_tensor.indices)
            if depth < DEEPEST:
                for inner in (attribute.g, *attribute.graphs):
                    yield from _tensors(inner, depth + 1)


def _check_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_location != 0 or tensor.external_data:
        raise ModelError("a graph must hold its weights itself, these lie in another file; join it")
    elements = math.prod(tensor.dims)
    if any(n < 0 for n in tensor.dims) or elements > 8 * max(tensor.ByteSize(), 1):
        raise ModelError(f"a constant must have its values, {tensor.name[:40]} lacks some")
    if tensor.data_type == tensor.FLOAT and elements > 1:  # a lone infinity bounds a range
        values = np.frombuffer(tensor.raw_data, "<f4") if tensor.raw_data else tensor.float_data
        if not np.isfinite(values).all():
            raise ModelError(f"weights must be finite, {tensor.name[:40]} holds NaN or infinity")


def _check_sizes(graph: onnx.GraphProto) -> None:
    """No tensor of a known shape is absurdly large."""
    for value in (*graph.value_info, *graph.input, *graph.output):
        sizes = [one.dim_value for one in value.type.tensor_type.shape.dim if one.dim_value > 0]
        if math.prod(sizes) > MOST_ELEMENTS:
            raise ModelError(
                f"a graph's tensors must have at most 2^31 numbers, {value.name[:30]} has more"
            )


def _interface(model: onnx.ModelProto) -> Graph:
    graph = model.graph
    constants = {one.name for one in graph.initializer}
    inputs = [one for one in graph.input if one.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise ModelError(
            f"a graph must have one input and one output, got {len(inputs)} and {len(graph.output)}"
        )
    read, given = _shape(inputs[0]), _shape(graph.output[0])
    if len(read) not in (4, 5) or len(given) != len(read) or read[0] > 1:
        raise ModelError(
            f"a graph must read (1, channels, [Z,] Y, X) and give as many axes, got {read}, {given}"
        )
    if read[1] < 1 or given[1] < 2:
        raise ModelError(
            "a graph must say its channels, and give a score for background and each label, "
            f"got {read[1]} and {given[1]}"
        )
    metadata = {one.key: one.value for one in model.metadata_props}
    return Graph(read[1], given[1], tuple(read[2:]), metadata)


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    """The sizes of the axes, 0 where any will do."""
    kind = value.type.tensor_type
    if kind.elem_type != 1:
        raise ModelError("a graph must read and give float32 scores; export it without argmax")
    return [max(0, one.dim_value) for one in kind.shape.dim]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
