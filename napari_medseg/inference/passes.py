"""One prepared scan in one way: what is computed, what of it first, and by which engine."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_medseg.inference import device as devices
from napari_medseg.inference.borders import Borders
from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.device import Attempt
from napari_medseg.inference.events import BoxDone, LookAt
from napari_medseg.inference.forward import cut
from napari_medseg.inference.glance import Glance
from napari_medseg.inference.narrow import narrowed
from napari_medseg.inference.regions import Bools
from napari_medseg.inference.result import Result, View
from napari_medseg.inference.runner import Runner, runner_of
from napari_medseg.inference.scout import PAYS, Scouted, body, scout, scout_tiles
from napari_medseg.inference.sweep import Sweep
from napari_medseg.inference.tiles import Extent, with_span
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import Prepared

SHARE_OF_FREE = 0.5  # of a device's free memory, for the blended tiles
GB = 1e9
SCOUT_PAYS = 6  # times as many tiles as a coarse look takes, for it to be worth taking
GLANCE_PAYS = 4  # tiles; fewer are done as soon


@dataclass(frozen=True)
class How:
    """What a prediction did: the engine, "full", "body", "regions" or "borders", and the tiles."""

    engine: EngineName
    mode: str
    tiles: int

    def __str__(self) -> str:
        return f"{self.engine}, {self.mode}, {self.tiles} tiles"


@dataclass(frozen=True)
class _Plan:
    """What is computed, how that was found, the tiles it took, and what a coarse look answers."""

    sweep: Sweep
    mode: str = "full"
    scouted: int = 0
    borders: Borders | None = None

    @property
    def n_tiles(self) -> int:
        return self.scouted + (self.borders or self.sweep).n_tiles()


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
        plan = yield from self._planned(engine)
        sweep = plan.sweep
        fits = sweep.blend_bytes() <= SHARE_OF_FREE * devices.free_bytes(self._way.device)
        store = self._way.device if fits else torch.device("cpu")
        room = SHARE_OF_FREE * devices.free_bytes(store)
        sweep = replace(sweep, whole_bytes=min(sweep.whole_bytes, room))
        glance = self._glance(engine) if plan.mode == "full" else None
        of = plan.borders.tiles(forward, self._way.device) if plan.borders else None
        boxes = sweep.run(forward, store, self._result, self._view, glance, of)
        yield from self._followed(boxes, plan)
        return How(engine, plan.mode, plan.n_tiles)

    def _followed(self, sweep: Generator[BoxDone | None, View | None], plan: _Plan) -> Job[None]:
        """The sweep's boxes, and Progress; what it is sent reaches it after the next tile."""
        tiles, total = 0, plan.n_tiles
        event = next(sweep, _ENDED)
        while event is not _ENDED:
            tiles += event is None
            done = plan.scouted + (tiles if plan.borders is None else plan.borders.computed)
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

    def _planned(self, engine: EngineName) -> Generator[object, object, _Plan]:
        """What is computed, by the mode that was asked for or the one that takes least."""
        config, mode = self._config, self._config.mode
        forced = mode in (Mode.REGIONS, Mode.BORDERS)
        if forced and (config.keep_softmax or not self._may(mode)):
            why = "with probabilities" if config.keep_softmax else "with this model"
            said = Notice(f"A coarse look cannot decide what is computed {why}: all of the scan is")
            self._hear((yield said))
            return _Plan(self._full)
        if mode is Mode.FULL or config.keep_softmax:
            return _Plan(self._full)
        cost = scout_tiles(self._shape, self._recipe, self._way.tile)
        if self._may(Mode.REGIONS) and (forced or self._full.n_tiles() >= SCOUT_PAYS * cost):
            seen = yield from self._scouted(engine, cost)
            yield from self._previewed(seen)
            return self._narrowest(seen, cost)
        return self._within_body()

    def _may(self, mode: Mode) -> bool:
        """Whether the model has earned it."""
        return self._recipe.scout > 1 and (mode is Mode.REGIONS or self._recipe.borders)

    def _scouted(self, engine: EngineName, cost: int) -> Generator[object, object, Scouted]:
        """The coarse look."""
        total = cost + self._full.n_tiles()
        forward = self._runner.forward(engine, self._way.tile)
        coarse = scout(self._prepared.tensor, self._recipe, self._way.tile, forward)
        for done in itertools.count(1):
            try:
                next(coarse)
            except StopIteration as ended:
                seen: Scouted = ended.value
                break
            self._hear((yield Progress(done, total, "Looking for where labels are")))
        return seen

    def _narrowest(self, seen: Scouted, cost: int) -> _Plan:
        """What a coarse look, which took so many tiles, leaves to be computed."""
        mode = self._config.mode
        found = self._narrowed(seen.found, mode is not Mode.AUTO)
        within = _Plan(found, "regions") if found else self._within_body()
        within = replace(within, scouted=cost)
        held = seen.maps.nbytes + within.sweep.blend_bytes()
        fits = held <= budget_bytes(self._config)
        if mode is Mode.REGIONS or not self._may(Mode.BORDERS) or not fits:
            return within
        borders = Borders(within.sweep, seen, self._shape, self._way.tile)
        pays = borders.n_tiles() <= PAYS * within.sweep.n_tiles()
        if mode is Mode.AUTO and not pays:
            return within
        return replace(within, mode="borders", borders=borders)

    def _within_body(self) -> _Plan:
        """The patient without the air around, where that pays."""
        patient = body(self._prepared.tensor, self._recipe, self._prepared.geometry.spacing_mm)
        sweep = None if patient is None else self._narrowed(patient, False)
        return _Plan(sweep, "body") if sweep else _Plan(self._full)

    def _narrowed(self, found: Bools, always: bool) -> Sweep | None:
        """The sweep over these places; None where the whole costs little more, or takes less."""
        config = self._config
        sweep = narrowed(self._full, found, self._shape, config.overlap, self._view, always)
        fits = sweep is not None and sweep.blend_bytes() <= budget_bytes(config)
        return sweep if fits else None

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
