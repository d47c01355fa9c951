"""A series in time, frame by frame: each frame is a scan of its own.

>>> series = finish(frame_by_frame(cine, lambda frame: predict(frame, segmenter)))
>>> io.write_masks(series.masks, "masks.nii.gz")
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from napari_medseg.inference.events import BoxDone, Prediction
from napari_medseg.inference.relay import PARTS, Part, relayed
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.volume import Mask, Volume

Predict = Callable[[Volume], Job[Prediction]]


@dataclass(frozen=True, eq=False)
class Series:
    """The masks of a series, in its order."""

    masks: tuple[Mask, ...]
    device: str
    seconds: float


def frame_by_frame(volume: Volume, one: Predict) -> Job[Series]:
    """What `one` gives for each frame; each is normalised by itself, as in training.

    Yields the `Progress` of each frame as a part of the whole, so that closing the job stops it
    within one tile, and each `Notice` once; what it is told goes to the frame at hand.
    """
    started, n = time.monotonic(), volume.n_channels
    masks: list[Mask] = []
    device, told = "", set[Notice]()
    for number in range(n):
        done = yield from _frame(one(volume.channel(number)), Part("Frame", number, n), told)
        masks.append(done.mask)
        device = done.device
        yield Progress(PARTS * (number + 1), PARTS * n, f"Segmented frame {number + 1} of {n}")
    return Series(tuple(masks), device, time.monotonic() - started)


def _frame(job: Job[Prediction], part: Part, told: set[Notice]) -> Job[Prediction]:
    """One frame's prediction, its boxes left out: they do not say which frame they are of."""

    def shown(event: object) -> object | None:
        if isinstance(event, Progress):
            return part.of_all(event)
        if isinstance(event, BoxDone) or event in told:
            return None
        if isinstance(event, Notice):
            told.add(event)
        return event

    return relayed(job, shown, lambda _: None)
