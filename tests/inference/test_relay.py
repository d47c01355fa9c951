"""Where the user went during one stage of a prediction is where the next stage begins."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from echo import Echo, MakeSegmenter, random_scan

from napari_medseg.inference.config import Mode, PredictConfig
from napari_medseg.inference.events import BoxDone, LookAt
from napari_medseg.inference.predict import predict
from napari_medseg.inference.relay import Part, Watch
from napari_medseg.jobs import Job, Notice, Progress, finish

TOP = PredictConfig(device="cpu", mode=Mode.FULL, slice_zyx=(0, 0))
LONG = (96, 16, 16)


class Filling(Echo):
    """Runs out of memory at the twelfth tile, and has enough ever after."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if len(self.seen) == 11:
            self.seen.append(())
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 20.00 GiB")
        return super().forward(batch)


def test_the_retry_after_a_lack_of_memory_begins_where_the_user_looks(
    segmenter_of: MakeSegmenter,
) -> None:
    tiles, boxes, failed = 0, [], False

    def scroll(event: object) -> object:
        nonlocal tiles, failed
        tiles += isinstance(event, Progress)
        failed = failed or isinstance(event, Notice)
        if failed and isinstance(event, BoxDone):
            boxes.append(event)
        return LookAt(0, 80) if tiles == 4 else None

    finish(predict(random_scan(LONG), segmenter_of(Filling()), TOP), scroll)
    assert failed
    assert boxes[0].slices[0].start <= 80 < boxes[0].slices[0].stop


def test_the_second_stage_of_a_cascade_begins_where_the_user_went_in_the_first(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    one = segmenter_of(echo)
    tiles, final = 0, []

    def scroll(event: object) -> object:
        nonlocal tiles
        tiles += isinstance(event, Progress)
        if isinstance(event, BoxDone) and not event.preview:  # the second stage's
            final.append(event)
        return LookAt(0, 80) if tiles == 4 else None

    finish(predict(random_scan(LONG), replace(one, previous=one), TOP), scroll)
    assert final[0].slices[0].start <= 80 < final[0].slices[0].stop


@pytest.mark.parametrize("error", [ValueError, KeyError])
def test_a_job_that_fails_keeps_what_was_told(error: type[Exception]) -> None:
    def failing() -> Job[None]:
        yield 1
        raise error("no")

    watch = Watch(TOP)
    with pytest.raises(error):
        finish(watch.over(failing()), lambda _: LookAt(2, 7))
    assert watch.config.slice_zyx == (2, 7)


def test_progress_never_goes_back_within_a_part() -> None:
    part = Part("Model", 1, 4)
    done = [part.of_all(Progress(k, n)).done for k, n in ((0, 0), (1, 2), (0, 0), (1, 4), (2, 2))]
    assert done == [1000, 1500, 1500, 1500, 2000]
