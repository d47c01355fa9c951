"""A scan's mask from a segmenter, as a job.

>>> prediction = finish(predict(volume, segmenter))
>>> job = Child().run("napari_medseg.inference.predict:predict_with", volume, model_path)
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from napari_medseg.errors import InputError
from napari_medseg.inference import device as devices
from napari_medseg.inference.clean import cleaned
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.device import Attempt
from napari_medseg.inference.events import Prediction
from napari_medseg.inference.forward import Forward
from napari_medseg.inference.result import Result, View
from napari_medseg.inference.sweep import Sweep
from napari_medseg.inference.tiles import Extent
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models import checkpoint
from napari_medseg.models.build import network_of
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import Prepared, prepare
from napari_medseg.volume import Volume

SHARE_OF_FREE = 0.5  # of a device's free memory, for the blended tiles
GB = 1e9
DEFAULT = PredictConfig()


def predict(
    volume: Volume, segmenter: Segmenter, config: PredictConfig = DEFAULT
) -> Job[Prediction]:
    """The scan's mask on its own grid.

    Yields `Progress` after each tile, `BoxDone` for each part that is final, the viewed slice
    first, and `Notice` when memory runs out and it goes on in smaller tiles or on the CPU; then
    all boxes come again. Closing the job stops it within one tile.

    Raises
    ------
    InputError
        The scan has not the channels that the model reads, or memory does not suffice.
    ModelError
        The network does not fit its recipe or gives NaN.
    """
    started = time.monotonic()
    yield Progress(0, 0, "Preparing the scan")
    if config.keep_softmax:
        _check_room_for_softmax(volume, segmenter.recipe.n_outputs)
    try:
        prepared = prepare(volume, segmenter.recipe)
    except MemoryError as error:
        raise _no_memory() from error
    ways = list(devices.attempts(devices.choose(config.device), *_tile(segmenter)))
    while True:
        way = ways.pop(0)
        try:
            result = Result(volume, prepared.turn, segmenter.recipe, config.keep_softmax)
            yield from _run(way, prepared, segmenter, result, config)
            mask = yield from cleaned(result.mask(), segmenter.recipe.clean if config.clean else ())
            seconds = time.monotonic() - started
            return Prediction(mask, way.device.type, seconds, result.softmax)
        except (RuntimeError, MemoryError) as error:
            ways = _ways_left(error, way, ways)
            why = _reason(error, way)
        _network.cache_clear()
        devices.empty_cache(way.device)
        yield Notice(f"{why}; going on with {ways[0]}")


def predict_with(
    volume: Volume, model_path: Path, config: PredictConfig = DEFAULT
) -> Job[Prediction]:
    """As `predict`, with a checkpoint that stays loaded between calls until its file changes.

    Raises
    ------
    ModelError
        The checkpoint cannot be loaded.
    """
    yield Progress(0, 0, "Loading the model")
    devices.keep_freed_memory()
    path = Path(model_path).resolve()
    changed = path.stat().st_mtime_ns if path.exists() else 0
    segmenter = _segmenter(path, changed)
    try:
        return (yield from predict(volume, segmenter, config))
    finally:
        devices.trim_memory()


def _run(
    way: Attempt, prepared: Prepared, segmenter: Segmenter, result: Result, config: PredictConfig
) -> Job[None]:
    """One way to the end: a Progress after each tile, a BoxDone for each part."""
    view = View.of(prepared.turn, config.slice_zyx)
    n_outputs = segmenter.recipe.n_outputs
    sweep = Sweep.plan(prepared, way.tile, config.overlap, view, n_outputs, _budget(config))
    network = _network(segmenter, way.device)
    forward = Forward(network, way.device, segmenter.network.dims == 2, config.half)
    fits = sweep.blend_bytes() <= SHARE_OF_FREE * devices.free_bytes(way.device)
    store = way.device if fits else torch.device("cpu")
    done, total = 0, sweep.n_tiles()
    for box in sweep.run(forward, store, result):
        done += box is None
        yield Progress(done, total, "Segmenting") if box is None else box


def _tile(segmenter: Segmenter) -> tuple[Extent, Extent]:
    """The tile: the patch that the network learned on, since instance normalisation depends on it.

    And the network's stride, of which a tile is a multiple.
    """
    strides = segmenter.network.total_stride
    z, y, x = (1,) * (3 - len(strides)) + tuple(strides)
    d, h, w = (
        math.ceil(size / step) * step
        for size, step in zip(segmenter.recipe.patch, (z, y, x), strict=True)
    )
    return (d, h, w), (z, y, x)


def _budget(config: PredictConfig) -> float:
    """Bytes that blended tiles may take in main memory."""
    if config.memory_gb is not None:
        return config.memory_gb * GB
    return SHARE_OF_FREE * devices.free_bytes(torch.device("cpu"))


def _check_room_for_softmax(volume: Volume, n_outputs: int) -> None:
    wanted = 2 * n_outputs * math.prod(volume.geometry.shape)  # float16
    free = devices.free_bytes(torch.device("cpu"))
    if wanted > SHARE_OF_FREE * free:
        raise InputError(
            f"probabilities must fit in half of the free memory, they take {wanted / GB:.1f} GB "
            f"of {free / GB:.1f} GB; segment without them",
            volume.name,
        )


def _ways_left(error: Exception, failed: Attempt, ways: list[Attempt]) -> list[Attempt]:
    """What is still worth trying after a failure; raises where nothing is."""
    memory = devices.is_out_of_memory(error)
    if not memory and failed.device.type == "cpu":
        raise error  # a bug, not a lack
    left = ways if memory else [way for way in ways if way.device.type == "cpu"]
    if not left:
        raise _no_memory() from error
    return left


def _no_memory() -> InputError:
    free = devices.free_bytes(torch.device("cpu")) / GB
    return InputError(
        f"predicting must fit in memory, {free:.1f} GB are free; close other programs "
        "or choose a smaller model"
    )


def _reason(error: Exception, failed: Attempt) -> str:
    kind = failed.device.type
    if devices.is_out_of_memory(error):
        return f"Not enough memory on {kind}"
    return f"{kind} failed ({str(error).splitlines()[0][:80]})"


@lru_cache(maxsize=2)
def _network(segmenter: Segmenter, device: torch.device) -> nn.Module:
    return network_of(segmenter, device)


@lru_cache(maxsize=1)
def _segmenter(path: Path, changed: int) -> Segmenter:
    """Loaded once for each state of the file; `changed` is its time of modification, ns."""
    return checkpoint.load(path)
