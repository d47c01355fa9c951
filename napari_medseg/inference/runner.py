"""A segmenter's networks on one device, and the engines that were built for them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache

import torch
from torch import nn

from napari_medseg.errors import InputError
from napari_medseg.inference import engine as engines
from napari_medseg.inference.config import EngineName, PredictConfig
from napari_medseg.inference.engine import Engine
from napari_medseg.inference.forward import Forward
from napari_medseg.inference.head import Head, split
from napari_medseg.inference.measure import pick
from napari_medseg.inference.onnx_engine import OnnxEngine
from napari_medseg.inference.regrid import painted, winners
from napari_medseg.inference.tiles import Extent
from napari_medseg.models import build
from napari_medseg.models.checkpoint import weights_hash
from napari_medseg.models.config import Family
from napari_medseg.models.onnx_graph import bytes_of
from napari_medseg.models.segmenter import Segmenter

MEASURING_PAYS = 1 << 20  # voxels to compute; for fewer the reference is done as soon
KEPT = 8  # engines; one for each size of tile


class Runner:
    """Builds engines when they are needed and keeps them for the next scan."""

    def __init__(self, segmenter: Segmenter, device: torch.device) -> None:
        self._segmenter, self._device = segmenter, device
        self._built: dict[tuple[EngineName, Extent], list[Engine]] = {}

    def choose(self, config: PredictConfig, sample: torch.Tensor, voxels: int) -> EngineName:
        """Which engine: the one that was asked for, or the fastest that gives the same labels.

        `sample` is a tile (C, Z, Y, X) of this scan, `voxels` what there is to compute.
        """
        if self._segmenter.network.family is Family.ONNX:
            return EngineName.ONNX
        if config.engine is not EngineName.AUTO:
            return self._asked(config.engine)
        network = self._networks[0]

        def make(name: EngineName, shape: Sequence[int]) -> Engine:
            return engines.build_engine(name, network, self._device, tuple(shape), self._flat)

        decide = painted if self._segmenter.recipe.regions else winners
        names = engines.candidates(self._device)
        pays = voxels >= MEASURING_PAYS
        return pick(names, make, decide, sample, self.step, self._fingerprint, pays)

    def _asked(self, name: EngineName) -> EngineName:
        here = engines.candidates(self._device)
        if name not in here:
            raise InputError(
                f"an engine must be one of {', '.join(reversed(here))} or auto on this "
                f"{self._device.type} for this model, got {name}"
            )
        return name

    def forward(self, name: EngineName, tile: Extent, mirror: bool = False) -> Forward:
        """What computes tiles of that size."""
        axes = self._segmenter.recipe.mirror_axes if mirror else ()
        built, head = self._engines(name, tile), self._split[1]
        if name in (EngineName.ONNX, EngineName.TORCH):
            return Forward(built, None, axes, head)
        return Forward(built, lambda: self._engines(EngineName.TORCH, tile), axes, head)

    @cached_property
    def step(self) -> Extent:
        """What a tile's sizes must be multiples of."""
        strides = self._segmenter.network.total_stride
        z, y, x = (1,) * (3 - len(strides)) + tuple(strides)
        return z, y, x

    @property
    def tile(self) -> Extent:
        """The patch that the network learned on, since instance normalisation depends on it."""
        z, y, x = (
            math.ceil(size / one) * one
            for size, one in zip(self._segmenter.recipe.patch, self.step, strict=True)
        )
        return z, y, x

    @property
    def n_maps(self) -> int:
        """Maps that are blended: one for each output, or fewer where these are made of them."""
        head = self._split[1]
        return self._segmenter.recipe.n_outputs if head is None else head.n_maps

    @property
    def _flat(self) -> bool:
        return self._segmenter.network.dims == 2

    @cached_property
    def _networks(self) -> list[nn.Module]:
        members = range(len(self._segmenter.members))
        return [build.network_of(self._segmenter, self._device, member) for member in members]

    @cached_property
    def _split(self) -> tuple[list[nn.Module], Head | None]:
        """What the engines compute, and the last layer where that is left for later."""
        if self._segmenter.network.family is Family.ONNX:
            return [], None
        parts = split(self._networks[0]) if len(self._networks) == 1 else None
        return (self._networks, None) if parts is None else ([parts[0]], parts[1])

    @cached_property
    def _fingerprint(self) -> str:
        shape = json.dumps(asdict(self._segmenter.network), sort_keys=True)
        weights = weights_hash(self._segmenter.weights)
        return hashlib.sha256(f"{shape} {weights}".encode()).hexdigest()

    def _engines(self, name: EngineName, tile: Extent) -> list[Engine]:
        if (name, tile) not in self._built:
            while len(self._built) >= KEPT:
                self._built.pop(next(iter(self._built)))
            self._built[name, tile] = self._make(name, tile)
        return self._built[name, tile]

    def _make(self, name: EngineName, tile: Extent) -> list[Engine]:
        if name is EngineName.ONNX:
            return [OnnxEngine(bytes_of(self._segmenter.weights), torch.get_num_threads())]
        shape = (self._segmenter.recipe.n_inputs, *tile)
        return [
            engines.build_engine(name, network, self._device, shape, self._flat)
            for network in self._split[0]
        ]


@lru_cache(maxsize=2)
def runner_of(segmenter: Segmenter, device: torch.device) -> Runner:
    """The same runner for the same segmenter, warm."""
    return Runner(segmenter, device)
