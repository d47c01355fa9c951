"""A series in time, frame by frame: each frame is a scan of its own.

>>> series = finish(predict_frames(cine, segmenter))
>>> io.write_masks(series.masks, "masks.nii.gz")
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import BoxDone, Prediction
from napari_medseg.inference.predict import DEFAULT, predict, predict_with
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.volume import Mask, Volume

Predict = Callable[[Volume], Job[Prediction]]


@dataclass(frozen=True)
class LookAtFrame:
    """What may be sent to a running prediction of a series: the frame that is looked at now."""

    frame: int


@dataclass(frozen=True, eq=False)
class FrameBox(BoxDone):
    """A piece of the mask of one frame."""

    frame: int = 0


@dataclass(frozen=True, eq=False)
class Series:
    """The masks of a series, in its order."""

    masks: tuple[Mask, ...]
    device: str
    seconds: float


def predict_frames(
    volume: Volume, segmenter: Segmenter, config: PredictConfig = DEFAULT, first: int = 0
) -> Job[Series]:
    """The masks of a series (T, Z, Y, X) whose channels are frames; as `frame_by_frame`."""
    config = replace(config, scans=volume.n_channels)
    return frame_by_frame(volume, lambda frame: predict(frame, segmenter, config), first)


def predict_frames_with(
    volume: Volume, model_path: Path, config: PredictConfig = DEFAULT, first: int = 0
) -> Job[Series]:
    """As `predict_frames`, with a checkpoint that stays loaded between calls."""
    config = replace(config, scans=volume.n_channels)
    return frame_by_frame(volume, lambda frame: predict_with(frame, model_path, config), first)


def frame_by_frame(volume: Volume, one: Predict, first: int = 0) -> Job[Series]:
    """What `one` gives for each frame; each is normalised by itself, as in training.

    Begins with the frame `first`, goes on forwards as a cine plays, and from the last to frame 0.
    Told a `LookAtFrame` it goes on from there once the frame at hand is done; all else that it is
    told goes to that frame's own prediction. Yields a `Progress` after each frame, `FrameBox`, and
    each `Notice` once.
    """
    started, n = time.monotonic(), volume.n_channels
    masks: dict[int, Mask] = {}
    told: set[Notice] = set()
    device, frame = "", min(max(first, 0), n - 1)
    while True:
        done, looked_at = yield from _frame(one(volume.channel(frame)), frame, told)
        masks[frame], device = done.mask, done.device
        wish = yield Progress(len(masks), n, f"Segmented frame {frame + 1} of {n}")
        if len(masks) == n:
            break
        looked_at = wish.frame if isinstance(wish, LookAtFrame) else looked_at
        start = frame if looked_at is None else looked_at
        frame = min((k for k in range(n) if k not in masks), key=lambda k: (k - start) % n)
    whole = tuple(masks[k] for k in range(n))
    return Series(whole, device, time.monotonic() - started)


def _frame(
    job: Job[Prediction], frame: int, told: set[Notice]
) -> Job[tuple[Prediction, int | None]]:
    """One frame's prediction, and the frame that was asked for meanwhile."""
    wish: object = None
    looked_at: int | None = None
    try:
        while True:
            event = job.send(wish)
            wish = None
            if isinstance(event, BoxDone):
                wish = yield FrameBox(event.start, event.labels, event.preview, frame)
            elif isinstance(event, Notice) and event not in told:
                told.add(event)
                wish = yield event
            if isinstance(wish, LookAtFrame):
                looked_at, wish = wish.frame, None
    except StopIteration as done:
        return done.value, looked_at
    finally:
        job.close()
