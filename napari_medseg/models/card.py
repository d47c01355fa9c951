"""What a checkpoint says of itself; read without torch, so that a window stays light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_medseg.models.config import NetworkConfig
from napari_medseg.preprocess.recipe import Recipe


@dataclass(frozen=True)
class Lineage:
    """Where a segmenter comes from.

    Attributes
    ----------
    parent
        `Segmenter.version` of the model it was fine-tuned from; "" for one trained from scratch.
    created
        ISO 8601, UTC.
    how
        "train", "finetune" …
    cases
        How many labelled cases taught it.
    scores
        Dice per label name on the held-back cases.
    config
        The settings of the run, as plain JSON values.
    note
        A sentence for the user.
    """

    parent: str = ""
    created: str = ""
    how: str = ""
    cases: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class ModelCard:
    """A checkpoint on disk, without its weights.

    Attributes
    ----------
    path
        The .safetensors file.
    name
        What the user sees.
    version
        First 12 hex digits of the weights' SHA-256.
    """

    path: Path
    name: str
    version: str
    network: NetworkConfig
    recipe: Recipe
    lineage: Lineage


def read_card(path: Path) -> ModelCard:
    """The card of a checkpoint; checks the header, not the weights.

    Raises
    ------
    ModelError
        The file is no checkpoint of ours, is truncated, or is from a newer schema.
    """
    raise NotImplementedError
