"""One tile through the network."""

from __future__ import annotations

import torch
from torch import nn

from napari_medseg.errors import ModelError
from napari_medseg.inference.device import half_type
from napari_medseg.inference.tiles import Extent


class Forward:
    """A network on a device: a tile in, float32 logits out.

    Computes in 16 bits where that is faster; a tile whose logits are not finite is computed again
    in float32, and so are all after it.
    """

    def __init__(self, network: nn.Module, device: torch.device, flat: bool, half: bool) -> None:
        self._network = network
        self._device = device
        self._flat = flat
        self._half = half_type(device) if half else None

    def __call__(self, tile: torch.Tensor) -> torch.Tensor:
        """Logits (L, Z, Y, X) of a tile (C, Z, Y, X); for a 2-D network Z is 1.

        Raises
        ------
        ModelError
            The network gives NaN or infinity.
        """
        logits = self._run(tile)
        if self._half is not None and not bool(torch.isfinite(logits).all()):
            self._half = None
            logits = self._run(tile)
        if not bool(torch.isfinite(logits).all()):
            raise ModelError("a network must give finite numbers, got NaN; use another model")
        return logits

    def _run(self, tile: torch.Tensor) -> torch.Tensor:
        kind = self._device.type
        with torch.inference_mode(), torch.autocast(kind, self._half, self._half is not None):
            batch = tile[None].to(self._device)
            if not self._flat:
                logits: torch.Tensor = self._network(batch)[0]
            else:
                logits = self._network(batch[:, :, 0])[0][:, None]
            return logits.float()


def cut(tensor: torch.Tensor, origin: Extent, tile: Extent) -> torch.Tensor:
    """The tile (C, *tile) of a tensor (C, Z, Y, X), contiguous."""
    z, y, x = (slice(o, o + t) for o, t in zip(origin, tile, strict=True))
    return tensor[:, z, y, x].contiguous()
