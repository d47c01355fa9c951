"""Ways to compute one tile: PyTorch everywhere, OpenVINO on processors of x86 and ARM.

An engine takes a tile (C, Z, Y, X) and gives float32 logits (L, Z, Y, X). What it gives stays valid
until the call after the next one, so that one tile can be blended while another is computed.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any, Protocol

import torch
from torch import nn

from napari_medseg.inference.config import EngineName
from napari_medseg.inference.device import half_type


class Engine(Protocol):
    """Computes tiles of one size, or of any."""

    def __call__(self, tile: torch.Tensor) -> torch.Tensor: ...


def candidates(device: torch.device) -> tuple[EngineName, ...]:
    """The engines that this device can run, the likely fastest first; the reference is the last."""
    names = [EngineName.TORCH]
    half = half_type(device) is not None
    if half:
        names.append(EngineName.TORCH_HALF)
    if device.type == "cpu" and importlib.util.find_spec("openvino") is not None:
        names.append(EngineName.OPENVINO)
        if half:
            names.append(EngineName.OPENVINO_HALF)
    return tuple(reversed(names))


def build_engine(
    name: EngineName, network: nn.Module, device: torch.device, shape: tuple[int, ...], flat: bool
) -> Engine:
    """An engine of that name for tiles of `shape` (C, Z, Y, X).

    `flat` is for 2-D networks: a tile is one slice, Z = 1.
    """
    half = name in (EngineName.TORCH_HALF, EngineName.OPENVINO_HALF)
    if name in (EngineName.OPENVINO, EngineName.OPENVINO_HALF):
        return OpenVinoEngine(network, shape, flat, half)
    return TorchEngine(network, device, flat, half)


class TorchEngine:
    """The network as it is; 16 bits by autocast, sums in float32."""

    def __init__(self, network: nn.Module, device: torch.device, flat: bool, half: bool) -> None:
        self._network, self._device, self._flat = network, device, flat
        self._half = half_type(device) if half else None

    def __call__(self, tile: torch.Tensor) -> torch.Tensor:
        kind = self._device.type
        with torch.inference_mode(), torch.autocast(kind, self._half, self._half is not None):
            batch = tile[None].to(self._device)
            if not self._flat:
                logits: torch.Tensor = self._network(batch)[0]
            else:
                logits = self._network(batch[:, :, 0])[0][:, None]
            return logits.float()


class OpenVinoEngine:
    """The network compiled for tiles of one shape; about twice (float32) to ten times as fast.

    Read straight from the traced network: OpenVINO's own converter is not used, for it reports its
    use over the internet.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...], flat: bool, half: bool) -> None:
        import openvino

        self._flat = flat
        batch: list[int] = [1, shape[0], *(shape[2:] if flat else shape[1:])]
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        model = openvino.Core().compile_model(_converted(network, batch), "CPU", options)
        self._requests = [model.create_infer_request() for _ in range(2)]
        self._turn = 0

    def __call__(self, tile: torch.Tensor) -> torch.Tensor:
        self._turn = 1 - self._turn  # the other answer may still be read
        request = self._requests[self._turn]
        batch = tile[:, 0] if self._flat else tile
        request.infer({0: batch[None].contiguous().numpy()}, share_inputs=True, share_outputs=True)
        logits = torch.from_numpy(request.get_output_tensor(0).data)[0]
        return logits[:, None] if self._flat else logits


def _converted(network: nn.Module, batch: list[int]) -> Any:
    """The network as OpenVINO's, for a batch of this shape."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    example = torch.zeros(batch)
    with torch.no_grad():
        traced = _traced(network.eval(), example)
    decoder = TorchScriptPythonDecoder(traced, example_input=(example,))
    front = FrontEndManager().load_by_framework("pytorch")
    model = front.convert(front.load(decoder))
    model.reshape(batch)
    return model


def _traced(network: nn.Module, example: torch.Tensor) -> torch.jit.ScriptModule:
    trace: Any = torch.jit.trace
    with warnings.catch_warnings():  # deprecated, but what OpenVINO reads without its converter;
        warnings.simplefilter("ignore")  # and the shapes that it warns of are fixed here
        traced: torch.jit.ScriptModule = trace(network, example, check_trace=False)
        frozen: torch.jit.ScriptModule = torch.jit.freeze(traced)
        return frozen
