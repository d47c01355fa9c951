"""Segmenters whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from echo import CONFIG, FLAT, RECIPE, Echo, MakeSegmenter
from torch import nn

from napari_medseg.models import build
from napari_medseg.models.segmenter import Segmenter


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def segmenter_of(monkeypatch: pytest.MonkeyPatch) -> MakeSegmenter:
    """A segmenter with any module for its network and a recipe changed as asked."""

    def make(network: nn.Module, dims: int = 3, **changes: object) -> Segmenter:
        monkeypatch.setattr(build, "network_of", lambda *_: network)
        recipe = replace(RECIPE, **changes)  # type: ignore[arg-type]
        return Segmenter("echo", CONFIG if dims == 3 else FLAT, {}, recipe)

    return make
