"""A network, its weights and its recipe as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from napari_medseg.models.card import Lineage
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.exemplar import Exemplar
from napari_medseg.preprocess.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A network that can segment. Frozen: training makes a new one.

    Attributes
    ----------
    name
        What the user sees.
    network
        The shape of the network.
    weights
        Its parameters by name, float32 on the CPU; never changed in place.
    recipe
        How a scan becomes its input.
    lineage
        Where it comes from.
    folds
        Further weights of the same network, each trained on another part of the cases: a prediction
        is the mean of all, fine-tuning goes on from `weights` alone.
    previous
        The first stage of a cascade, whose mask this one reads beside the scan.
    memory
        Labelled pieces of scans that it learned from or was examined on; empty where none are kept.
    """

    name: str
    network: NetworkConfig
    weights: Mapping[str, torch.Tensor] = field(repr=False)
    recipe: Recipe
    lineage: Lineage = field(default_factory=Lineage)
    folds: tuple[Mapping[str, torch.Tensor], ...] = field(default=(), repr=False)
    previous: Segmenter | None = field(default=None, repr=False)
    memory: tuple[Exemplar, ...] = field(default=(), repr=False)

    @property
    def members(self) -> tuple[Mapping[str, torch.Tensor], ...]:
        """The weights of each network that a prediction is the mean of."""
        return (self.weights, *self.folds)
