"""A series in time is segmented frame by frame, where the user looks first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from echo import Echo, MakeSegmenter, random_scan

from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import LookAt, Prediction
from napari_medseg.inference.frames import (
    FrameBox,
    LookAtFrame,
    Series,
    frame_by_frame,
    predict_frames,
)
from napari_medseg.jobs import Job, Notice, Progress, finish
from napari_medseg.volume import Geometry, Mask, Volume

CPU = PredictConfig(device="cpu")
N = 6


def cine() -> Volume:
    """Six frames, each another scan of grey levels 0, 1, 2."""
    scan = random_scan((1, 12, 10))
    frames = np.stack([np.roll(scan.array, k, axis=2) for k in range(N)])
    return replace(scan, array=frames)


def stand_in(frame: Volume) -> Job[Prediction]:
    """One box and one notice a frame; tells in `how` what it was told."""
    labels = np.asarray(frame.array > 0, np.uint8)
    heard = yield FrameBox((0, 0, 0), labels)
    yield Notice("slow machine")
    return Prediction(Mask(labels, frame.geometry), "cpu", 0.0, how=str(heard))


def order_of(first: int, told: dict[int, object] | None = None) -> list[int]:
    """The frames as their boxes come; `told` is what is sent after a frame's box."""
    seen: list[int] = []

    def hear(event: object) -> object:
        if isinstance(event, FrameBox):
            seen.append(event.frame)
            return (told or {}).get(event.frame)
        return None

    finish(frame_by_frame(cine(), stand_in, first), hear)
    return seen


def test_each_frame_gets_its_own_mask_in_the_series_own_order(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    series = cine()
    segmenter = segmenter_of(echo, 2, patch=(1, 16, 16))
    found: Series = finish(predict_frames(series, segmenter, CPU, first=3))
    assert found.device == "cpu"
    for mask, frame in zip(found.masks, series.array, strict=True):
        np.testing.assert_array_equal(mask.labels, frame)


def test_the_boxes_of_a_frame_make_its_mask(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    series, events = cine(), []
    finish(predict_frames(series, segmenter_of(echo, 2, patch=(1, 16, 16)), CPU), events.append)
    drawn = np.full_like(series.array, 9)
    for box in events:
        if isinstance(box, FrameBox):
            drawn[(box.frame, *box.slices)] = box.labels
    np.testing.assert_array_equal(drawn, series.array)


def test_frames_come_as_a_cine_plays_from_the_one_looked_at() -> None:
    assert order_of(0) == [0, 1, 2, 3, 4, 5]
    assert order_of(4) == [4, 5, 0, 1, 2, 3]
    assert order_of(99) == [5, 0, 1, 2, 3, 4], "beyond the end is the last"


def test_a_series_goes_on_from_the_frame_that_is_looked_at_now() -> None:
    assert order_of(0, {1: LookAtFrame(4)}) == [0, 1, 4, 5, 2, 3]
    assert order_of(0, {1: LookAtFrame(0)}) == [0, 1, 2, 3, 4, 5], "that one is done"


def test_what_is_told_of_slices_reaches_the_frame_at_hand() -> None:
    heard: list[str] = []

    def listening(frame: Volume) -> Job[Prediction]:
        done = yield from stand_in(frame)
        heard.append(done.how)
        return done

    wish = LookAt(0, 3)
    finish(
        frame_by_frame(cine(), listening),
        lambda event: wish if isinstance(event, FrameBox) and event.frame == 2 else None,
    )
    assert heard == ["None", "None", str(wish), "None", "None", "None"]


def test_progress_comes_once_a_frame_and_a_notice_once() -> None:
    events: list[object] = []
    finish(frame_by_frame(cine(), stand_in), events.append)
    assert [e.done for e in events if isinstance(e, Progress)] == [1, 2, 3, 4, 5, 6]
    assert len([e for e in events if isinstance(e, Notice)]) == 1


def test_a_closed_series_closes_the_frame_at_hand() -> None:
    closed: list[str] = []

    def tidy(frame: Volume) -> Job[Prediction]:
        try:
            return (yield from stand_in(frame))
        finally:
            closed.append(frame.name)

    job = frame_by_frame(cine(), tidy)
    next(job)
    job.close()
    assert closed == ["scan"]


def test_a_scan_without_frames_is_a_series_of_one() -> None:
    scan = Volume(np.ones((2, 3, 4)), Geometry.from_spacing((2, 3, 4)))
    found: Series = finish(frame_by_frame(scan, stand_in))
    assert len(found.masks) == 1
