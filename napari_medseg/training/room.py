"""What a learning step may take of the memory, and what is given up when that runs out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from napari_medseg.errors import TrainingError
from napari_medseg.inference import device as devices
from napari_medseg.inference.tiles import Extent, smaller

HALVINGS = 2  # of a patch, before another device is tried: a network needs its context


@dataclass(frozen=True)
class Room:
    """How many patches of which size are learned from at a time, and where.

    Attributes
    ----------
    step
        What the sizes of a patch must be multiples of.
    halvings
        How often the patch may still be halved.
    """

    device: torch.device
    batch: int
    patch: Extent
    step: Extent
    halvings: int = HALVINGS

    def less(self, error: Exception) -> tuple[Room, str]:
        """What to go on with after an error, and a sentence on it: batch, then patch, then the CPU.

        Raises the error where it is not about memory.

        Raises
        ------
        TrainingError
            Nothing is left to give up.
        """
        if not devices.is_out_of_memory(error):
            raise error
        z, y, x = (2 * k if n > k else k for n, k in zip(self.patch, self.step, strict=True))
        patch = smaller(self.patch, (z, y, x))  # two voxels where the network is coarsest
        where = self.device.type
        if self.batch > 1:
            return replace(self, batch=1), f"Not enough memory on {where}: one patch at a time"
        if self.halvings and patch != self.patch:
            size = " × ".join(map(str, patch))
            left = replace(self, patch=patch, halvings=self.halvings - 1)
            return left, f"Not enough memory on {where}: patches of {size}"
        if where != "cpu":
            return replace(self, device=torch.device("cpu")), f"Not enough memory on {where}: CPU"
        raise TrainingError(
            "learning must fit in memory, it does not even with small patches; close other "
            "programs or choose a smaller model"
        ) from error
