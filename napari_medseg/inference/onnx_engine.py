"""An ONNX graph as the network: looked through, then run by onnxruntime on the CPU."""

from __future__ import annotations

from typing import Any

import torch

from napari_medseg.errors import ModelError
from napari_medseg.models.onnx_graph import INSTALL, looked_through

FATAL = 4  # onnxruntime's level: its warnings are not the user's


class OnnxEngine:
    """A tile in, scores out.

    Parameters
    ----------
    onnx_bytes
        The graph; it holds its own weights.
    threads
        Processor threads; 0 takes all.

    Raises
    ------
    ModelError
        onnxruntime is not installed, or the graph is not one that may be run.
    """

    def __init__(self, onnx_bytes: bytes, threads: int) -> None:
        self.graph = looked_through(onnx_bytes)
        self._session = _session(onnx_bytes, threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, tile: torch.Tensor) -> torch.Tensor:
        """Scores (L, Z, Y, X) float32 of a tile (C, Z, Y, X); for a 2-D graph Z is 1.

        Raises
        ------
        ModelError
            The graph does not take a tile of this size, or gives scores of another one.
        """
        flat = self.graph.dims == 2
        batch = (tile[:, 0] if flat else tile)[None].float().contiguous().cpu().numpy()
        try:
            (scores,) = self._session.run(None, {self._input: batch})
        except Exception as error:  # onnxruntime's errors have no common parent
            raise ModelError(
                f"an ONNX model must take a tile of {tuple(tile.shape)}, {_short(error)}; "
                "import it again with its own --patch"
            ) from error
        logits = torch.from_numpy(scores)[0]
        logits = logits[:, None] if flat else logits
        if logits.shape[1:] != tile.shape[1:]:
            raise ModelError(
                f"an ONNX model must give scores of the tile's size {tuple(tile.shape[1:])}, "
                f"got {tuple(logits.shape[1:])}; it cannot be used"
            )
        return logits


def _session(data: bytes, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"an ONNX model needs two more packages; {INSTALL}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = FATAL
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # likewise
        raise ModelError(f"onnxruntime must be able to run the graph, {_short(error)}") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80]
