"""What it takes to begin a model from painted slices, and what it gives; readable without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from napari_medseg.models.card import ModelCard
from napari_medseg.training.config import Precision, check_bounds
from napari_medseg.volume import Mask


@dataclass(frozen=True)
class ScratchConfig:
    """How a model is begun from painted slices.

    Attributes
    ----------
    seconds
        Wall time of all; the mask is there long before, the rest goes to the network.
    steps
        Optimiser steps of the network; 0 leaves it to `seconds`.
    features
        Feature maps of each stage of the network.
    """

    name: str = "model"
    seconds: Annotated[float, {"min": 1.0, "max": 36_000.0}] = 60.0
    steps: Annotated[int, {"min": 0, "max": 1_000_000}] = 0
    features: tuple[int, ...] = (16, 32, 64)
    augmentation: Annotated[float, {"min": 0.0, "max": 3.0}] = 1.0
    precision: Precision = Precision.AUTO
    device: str = "auto"
    threads: Annotated[int, {"min": 0, "max": 1024}] = 0
    seed: Annotated[int, {"min": 0, "max": 2**31 - 1}] = 0

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, eq=False)
class Draft:
    """The mask as far as it is known, on the scan's grid; painted slices are as they were."""

    mask: Mask
    how: str
    seconds: float


@dataclass(frozen=True, eq=False)
class ScratchCard:
    """A `Scratch` whose model is a file; what a window can hold."""

    mask: Mask
    model: ModelCard
    seconds: float
