"""A series in time is segmented frame by frame, and stops within one tile of a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from echo import Echo, MakeSegmenter, random_scan

from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import BoxDone, LookAt, Prediction
from napari_medseg.inference.frames import Series, frame_by_frame
from napari_medseg.inference.predict import predict
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
    """Two tiles, a box and a notice a frame; tells in `how` what it was told after a tile."""
    labels = np.asarray(frame.array > 0, np.uint8)
    heard = yield Progress(1, 2, "Segmenting")
    yield BoxDone((0, 0, 0), labels)
    yield Progress(2, 2, "Segmenting")
    yield Notice("slow machine")
    yield Progress(0, 0, "Cleaning the mask")
    return Prediction(Mask(labels, frame.geometry), "cpu", 0.0, how=str(heard))


def test_each_frame_gets_its_own_mask_in_the_series_own_order(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    series = cine()
    segmenter = segmenter_of(echo, 2, patch=(1, 16, 16))
    found: Series = finish(frame_by_frame(series, lambda frame: predict(frame, segmenter, CPU)))
    assert found.device == "cpu"
    for mask, frame in zip(found.masks, series.array, strict=True):
        np.testing.assert_array_equal(mask.labels, frame)


def test_a_series_is_closed_between_two_tiles_of_a_frame(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    segmenter = segmenter_of(echo, 2, patch=(1, 4, 4))
    job = frame_by_frame(cine(), lambda frame: predict(frame, segmenter, CPU))
    next(event for event in job if isinstance(event, Progress) and event.done)
    seen = len(echo.seen)
    job.close()
    assert 0 < seen < 5, "a frame has more tiles than that"
    assert len(echo.seen) <= seen + 1, "the tile that was being computed is the last"


def test_what_is_told_after_a_tile_reaches_the_frame_at_hand() -> None:
    heard: list[str] = []

    def listening(frame: Volume) -> Job[Prediction]:
        done = yield from stand_in(frame)
        heard.append(done.how)
        return done

    def tell(event: object) -> object:
        frame_2 = isinstance(event, Progress) and event.text == "Frame 3 of 6: Segmenting"
        return LookAt(0, 3) if frame_2 else None

    finish(frame_by_frame(cine(), listening), tell)
    assert heard == ["None", "None", str(LookAt(0, 3)), "None", "None", "None"]


def test_progress_comes_after_each_tile_as_a_part_of_the_whole_and_a_notice_once() -> None:
    events: list[object] = []
    finish(frame_by_frame(cine(), stand_in), events.append)
    shares = [e.done / e.total for e in events if isinstance(e, Progress)]
    assert shares == sorted(shares)
    assert {round(N * share, 2) for share in shares} == {k / 2 for k in range(1, 2 * N + 1)}
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
