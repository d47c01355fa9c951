"""A scan's mask from a segmenter, as a job.

>>> prediction = finish(predict(volume, segmenter))
>>> job = Child().run("napari_medseg.inference.predict:predict_with", volume, model_path)
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from napari_medseg.errors import InputError
from napari_medseg.inference import device as devices
from napari_medseg.inference.clean import cleaned
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.device import Attempt
from napari_medseg.inference.events import BoxDone, Prediction
from napari_medseg.inference.passes import GB, SHARE_OF_FREE, Passes, tile_of
from napari_medseg.inference.relay import Watch, relayed
from napari_medseg.inference.result import Result
from napari_medseg.inference.runner import runner_of
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models import checkpoint
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import prepare
from napari_medseg.volume import Mask, Volume

DEFAULT = PredictConfig()


def predict(
    volume: Volume, segmenter: Segmenter, config: PredictConfig = DEFAULT
) -> Job[Prediction]:
    """The scan's mask on its own grid.

    Yields `Progress` after each tile, `BoxDone` for each part that is final, the viewed slice
    first and before that as a preview, and `Notice` when memory runs out and it goes on in smaller
    tiles or on the CPU; then all boxes come again. May be sent a `LookAt`: what is left is taken in
    its order, also by what begins later. Closing the job stops it within one tile.

    Raises
    ------
    InputError
        The scan has not the channels that the model reads, or memory does not suffice.
    ModelError
        The network does not fit its recipe or gives NaN.
    """
    started = time.monotonic()
    watch = Watch(config)
    watch.hear((yield Progress(0, 0, "Preparing the scan")))
    if config.keep_softmax:
        _check_room_for_softmax(volume, segmenter.recipe.n_outputs)
    previous = yield from _first_stage(volume, segmenter, watch)
    try:
        prepared = prepare(volume, segmenter.recipe, previous)
    except MemoryError as error:
        raise _no_memory() from error
    device = devices.choose(config.device)
    ways = list(devices.attempts(device, *tile_of(segmenter, device)))
    while True:
        way = ways.pop(0)
        try:
            result = Result(
                volume, prepared.turn, segmenter.recipe, config.keep_softmax, prepared.box
            )
            how = yield from watch.over(
                Passes(way, prepared, segmenter, result, watch.config).run()
            )
            mask = yield from cleaned(result.mask(), segmenter.recipe.clean if config.clean else ())
            seconds = time.monotonic() - started
            return Prediction(mask, way.device.type, seconds, result.softmax, str(how))
        except (RuntimeError, MemoryError) as error:
            ways = _ways_left(error, way, ways)
            why = _reason(error, way)
        runner_of.cache_clear()
        devices.empty_cache(way.device)
        watch.hear((yield Notice(f"{why}; going on with {ways[0]}")))


def predict_with(
    volume: Volume, model_path: Path, config: PredictConfig = DEFAULT
) -> Job[Prediction]:
    """As `predict`, with a checkpoint that stays loaded between calls until its file changes.

    Raises
    ------
    ModelError
        The checkpoint cannot be loaded.
    """
    watch = Watch(config)
    watch.hear((yield Progress(0, 0, "Loading the model")))
    devices.keep_freed_memory()
    path = Path(model_path).resolve()
    changed = path.stat().st_mtime_ns if path.exists() else 0
    segmenter = _segmenter(path, changed)
    try:
        return (yield from predict(volume, segmenter, watch.config))
    finally:
        devices.trim_memory()


def _first_stage(volume: Volume, segmenter: Segmenter, watch: Watch) -> Job[Mask | None]:
    """The mask of a cascade's first stage, its boxes as previews; None for any other model."""
    if segmenter.previous is None:
        return None
    config = replace(watch.config, keep_softmax=False, clean=False)
    job = predict(volume, segmenter.previous, config)
    return (yield from relayed(job, _as_preview, watch.hear)).mask


def _as_preview(event: object) -> object:
    return replace(event, preview=True) if isinstance(event, BoxDone) else event


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


@lru_cache(maxsize=1)
def _segmenter(path: Path, changed: int) -> Segmenter:
    """Loaded once for each state of the file; `changed` is its time of modification, ns."""
    return checkpoint.load(path)
