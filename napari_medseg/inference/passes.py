"""One prepared scan in one way: what is computed, what of it first, and by which engine."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_medseg.inference import device as devices
from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.device import Attempt
from napari_medseg.inference.events import BoxDone, LookAt
from napari_medseg.inference.forward import cut
from napari_medseg.inference.glance import Glance
from napari_medseg.inference.regions import Bools, tiling_of, within
from napari_medseg.inference.result import Result, View
from napari_medseg.inference.runner import Runner, runner_of
from napari_medseg.inference.scout import Scouted, body, scout, scout_tiles, worth_looking
from napari_medseg.inference.sweep import Part, Sweep
from napari_medseg.inference.tiles import Box, Extent, with_span
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import Prepared

SHARE_OF_FREE = 0.5  # of a device's free memory, for the blended tiles
GB = 1e9
SCOUT_PAYS = 6  # times as many tiles as a coarse look takes, for it to be worth taking
GLANCE_PAYS = 4  # tiles; fewer are done as soon


@dataclass(frozen=True)
class How:
    """What a prediction did: the engine, "full", "regions" or "body", and the tiles it took."""

    engine: EngineName
    mode: str
    tiles: int

    def __str__(self) -> str:
        return f"{self.engine}, {self.mode}, {self.tiles} tiles"


class Passes:
    """The passes over a scan; nothing is computed before `run`."""

    def __init__(
        self,
        way: Attempt,
        prepared: Prepared,
        segmenter: Segmenter,
        result: Result,
        config: PredictConfig,
    ) -> None:
        self._way, self._prepared, self._result, self._config = way, prepared, result, config
        self._recipe = segmenter.recipe
        self._runner: Runner = runner_of(segmenter, way.device)
        self._view = View.of(prepared.turn, config.slice_zyx)
        self._look: View | None = None
        self._shape: Extent = prepared.geometry.shape
        n_outputs, n_maps = segmenter.recipe.n_outputs, self._runner.n_maps
        self._full = Sweep.plan(
            prepared, way.tile, config.overlap, self._view, n_outputs, n_maps, budget_bytes(config)
        )

    def run(self) -> Generator[object, object, How]:
        """A Progress after each tile, a BoxDone for each part; may be sent where the user looks."""
        tile, config = self._way.tile, self._config
        full = self._full
        voxels = config.scans * full.n_tiles() * math.prod(tile)
        engine = self._runner.choose(config, self._sample(), voxels)
        try:
            forward = self._runner.forward(engine, tile, config.mirror)
        except Exception as error:
            if config.engine is not EngineName.AUTO or engine is EngineName.TORCH:
                raise
            why = f"{engine} cannot run this model ({str(error)[:60]})"
            self._hear((yield Notice(f"{why}: using PyTorch")))
            engine = EngineName.TORCH
            forward = self._runner.forward(engine, tile, config.mirror)
        sweep, mode, scouted = full, "full", 0
        if config.mode is Mode.REGIONS and (self._recipe.scout <= 1 or config.keep_softmax):
            why = "with probabilities" if config.keep_softmax else "with this model"
            said = Notice(f"A coarse look cannot decide what is computed {why}: all of the scan is")
            self._hear((yield said))
        elif config.mode is not Mode.FULL and not config.keep_softmax:
            sweep, mode, scouted = yield from self._closer(engine)
        fits = sweep.blend_bytes() <= SHARE_OF_FREE * devices.free_bytes(self._way.device)
        store = self._way.device if fits else torch.device("cpu")
        room = SHARE_OF_FREE * devices.free_bytes(store)
        sweep = replace(sweep, whole_bytes=min(sweep.whole_bytes, room))
        glance = self._glance(engine) if mode == "full" else None
        done, total = scouted, scouted + sweep.n_tiles()
        yield from self._followed(
            sweep.run(forward, store, self._result, self._view, glance), done, total
        )
        return How(engine, mode, total)

    def _followed(
        self, sweep: Generator[BoxDone | None, View | None], done: int, total: int
    ) -> Job[None]:
        """The sweep's boxes, and Progress; what it is sent reaches it after the next tile."""
        event = next(sweep, _ENDED)
        while event is not _ENDED:
            done += event is None
            self._hear((yield Progress(done, total, "Segmenting") if event is None else event))
            try:
                event = sweep.send(self._heard() if event is None else None)
            except StopIteration:
                return

    def _hear(self, sent: object) -> None:
        if isinstance(sent, LookAt):
            self._look = View.of(self._prepared.turn, (sent.axis, sent.index))

    def _heard(self) -> View | None:
        look, self._look = self._look, None
        return look

    def _closer(self, engine: EngineName) -> Generator[object, object, tuple[Sweep, str, int]]:
        """The sweep over what is worth it, how that was found, and the tiles it took to find it."""
        always = self._config.mode is Mode.REGIONS
        n_full = self._full.n_tiles()
        cost = scout_tiles(self._shape, self._recipe, self._way.tile)
        if self._recipe.scout > 1 and (always or n_full >= SCOUT_PAYS * cost):
            done = 0
            forward = self._runner.forward(engine, self._way.tile)
            coarse = scout(self._prepared.tensor, self._recipe, self._way.tile, forward)
            while True:
                try:
                    next(coarse)
                except StopIteration as ended:
                    seen: Scouted = ended.value
                    break
                done += 1
                self._hear((yield Progress(done, cost + n_full, "Looking for where labels are")))
            yield from self._previewed(seen)
            found = self._narrowed(seen.found, always)
            return (found or self._full), ("regions" if found else "full"), cost
        patient = body(self._prepared.tensor, self._recipe, self._prepared.geometry.spacing_mm)
        found = None if patient is None else self._narrowed(patient, False)
        return (found or self._full), ("body" if found else "full"), 0

    def _narrowed(self, found: Bools, always: bool) -> Sweep | None:
        """The sweep over these places; None where the whole costs little more, or takes less."""
        tile, overlap = self._way.tile, self._config.overlap
        boxes = worth_looking(found, self._shape, tile, overlap, always)
        if boxes is None:
            return None
        parts = [self._part(box) for box in boxes]
        near = sorted((part for part in parts if part is not None), key=self._distance)
        sweep = replace(self._full, parts=tuple(near))
        return sweep if sweep.blend_bytes() <= budget_bytes(self._config) else None

    def _part(self, box: Box) -> Part | None:
        """A box of the tensor as a part of the scan; None if no voxel of the scan lies in it."""
        target = within(self._full.maps, box)
        if target is None:
            return None
        z, y, x = (span.start for span in box)
        tiling = tiling_of(box, self._way.tile, self._config.overlap)
        return Part(target, tiling, (z, y, x))

    def _distance(self, part: Part) -> int:
        first, last = part.box[self._view.axis].start, part.box[self._view.axis].stop - 1
        return max(int(first) - self._view.index, self._view.index - int(last), 0)

    def _previewed(self, seen: Scouted) -> Generator[object, object]:
        """The viewed slice as the coarse look saw it."""
        if self._config.slice_zyx is None:
            return
        shape = self._prepared.turn.target.shape
        whole = (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
        box = with_span(whole, self._view.axis, slice(self._view.index, self._view.index + 1))
        index = [
            np.minimum((np.arange(span.start, span.stop) + 0.5) * coarse / n, coarse - 1).astype(
                np.int64
            )
            for span, coarse, n in zip(box, seen.outputs.shape, shape, strict=True)
        ]
        self._hear((yield self._result.shown(box, seen.outputs[np.ix_(*index)])))

    def _sample(self) -> torch.Tensor:
        """The tile in the middle of the viewed slice."""
        maps, tensor, tile = self._full.maps, self._full.tensor, self._way.tile
        at = [len(one.lower) // 2 for one in maps]
        at[self._view.axis] = self._view.index
        z, y, x = (
            min(max(int(one.lower[i]) - t // 2, 0), n - t)
            for one, i, t, n in zip(maps, at, tile, tensor.shape[1:], strict=True)
        )
        return cut(tensor, (z, y, x), tile)

    def _glance(self, engine: EngineName) -> Glance | None:
        """A preview of the viewed slice, where someone looks and where the tiles take a while."""
        asked = self._config.slice_zyx is not None
        if not asked or self._full.n_tiles() < GLANCE_PAYS or engine is EngineName.ONNX:
            return None
        runner, full = self._runner, self._full
        return Glance(
            full.tensor,
            full.maps,
            self._way.tile,
            runner.step,
            full.n_maps,
            lambda tile: runner.forward(engine, tile),
        )


_ENDED = BoxDone((0, 0, 0), np.zeros((0, 0, 0), np.uint8))


def budget_bytes(config: PredictConfig) -> float:
    """Bytes that blended tiles may take in main memory."""
    if config.memory_gb is not None:
        return config.memory_gb * GB
    return SHARE_OF_FREE * devices.free_bytes(torch.device("cpu"))


def tile_of(segmenter: Segmenter, device: torch.device) -> tuple[Extent, Extent]:
    """The tile, and what its sizes are multiples of."""
    runner = runner_of(segmenter, device)
    return runner.tile, runner.step
