"""What a running prediction tells, and in which order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from echo import Echo, MakeSegmenter, random_scan
from torch.overrides import TorchFunctionMode

from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import Progress, finish
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.volume import Geometry, Label, Volume

SHAPE = (30, 26, 40)
CPU = PredictConfig(device="cpu")
VIEWS = [(axis, index) for axis in range(3) for index in (0, SHAPE[axis] // 2, SHAPE[axis] - 1)]


def events_of(volume: Volume, segmenter: Segmenter, config: PredictConfig = CPU) -> list[object]:
    events: list[object] = []
    finish(predict(volume, segmenter, config), events.append)
    return events


def boxes_of(events: list[object]) -> list[BoxDone]:
    """What is final."""
    return [event for event in events if isinstance(event, BoxDone) and not event.preview]


def turned_scan() -> Volume:
    """Axes of the array: to the Right, to Inferior, to Anterior, 2 x 1 x 1.5 mm."""
    affine = np.array([[0, 0, -2.0, 0], [-1.5, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    return replace(random_scan(SHAPE), geometry=Geometry(SHAPE, affine))


@pytest.mark.parametrize(("axis", "index"), VIEWS)
@pytest.mark.parametrize("spacing_mm", [None, (1.4, 1.6, 1.1)])
def test_the_viewed_slice_is_complete_first_and_then_outward(
    axis: int,
    index: int,
    spacing_mm: tuple[float, float, float] | None,
    echo: Echo,
    segmenter_of: MakeSegmenter,
) -> None:
    segmenter = segmenter_of(echo, spacing_mm=spacing_mm, patch=(8, 8, 8))
    config = replace(CPU, slice_zyx=(axis, index))
    boxes = boxes_of(events_of(turned_scan(), segmenter, config))
    spans = [box.slices[axis] for box in boxes]
    assert spans[0].start <= index < spans[0].stop
    assert len(boxes) > 2
    gaps = [max(span.start - index, index - span.stop + 1, 0) for span in spans]
    assert gaps == sorted(gaps)


@pytest.mark.parametrize("memory_gb", [None, 1e-4])
@pytest.mark.parametrize("spacing_mm", [None, (2.0, 0.8, 1.3)])
def test_boxes_cover_the_scan_exactly_once_and_hold_the_mask(
    memory_gb: float | None,
    spacing_mm: tuple[float, float, float] | None,
    echo: Echo,
    segmenter_of: MakeSegmenter,
) -> None:
    segmenter = segmenter_of(echo, spacing_mm=spacing_mm)
    count, labels = np.zeros((2, *SHAPE), np.uint8)
    events: list[object] = []
    config = replace(CPU, slice_zyx=(1, 9), memory_gb=memory_gb)
    prediction = finish(predict(turned_scan(), segmenter, config), events.append)
    for box in boxes_of(events):
        count[box.slices] += 1
        labels[box.slices] = box.labels
    assert (count == 1).all()
    np.testing.assert_array_equal(labels, prediction.mask.labels)


@pytest.mark.parametrize("slice_zyx", [None, (0, 3), (1, 25), (2, 999), (2, -7)])
def test_the_mask_is_the_same_whatever_is_looked_at(
    slice_zyx: tuple[int, int] | None, echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = turned_scan()
    segmenter = segmenter_of(echo)
    config = replace(CPU, slice_zyx=slice_zyx, memory_gb=1e-4)
    prediction = finish(predict(scan, segmenter, config))
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)


def test_progress_comes_after_each_tile_and_ends_at_the_total(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    events = events_of(random_scan(SHAPE), segmenter_of(echo))
    told = [event for event in events if isinstance(event, Progress) and event.total]
    assert [event.done for event in told] == list(range(1, len(echo.seen) + 1))
    assert {event.total for event in told} == {len(echo.seen)}


def test_closing_the_job_ends_with_the_tile_that_is_computed(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    job = predict(random_scan(SHAPE), segmenter_of(echo), CPU)
    while not echo.seen:
        next(job)
    job.close()
    assert len(echo.seen) <= 2  # the next one is computed while one is blended
    assert not torch.is_inference_mode_enabled()


class Largest(TorchFunctionMode):
    """Notes the most elements of any tensor made."""

    elements = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.elements = max(self.elements, made.numel())
        return made


class ManyLabels(Echo):
    """As `Echo`, with outputs that never win besides."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        logits = super().forward(batch)
        return torch.cat([logits, logits.new_full((1, 37, *logits.shape[2:]), -99.0)], dim=1)


def many(segmenter_of: MakeSegmenter) -> Segmenter:
    labels = tuple(Label(n, str(n)) for n in range(1, 40))
    return segmenter_of(ManyLabels(), labels=labels, spacing_mm=(1.0, 1.0, 1.0))


@pytest.mark.parametrize(("memory_gb", "share"), [(None, 1 / 4), (2e-4, 1 / 20)])
def test_the_logits_of_all_labels_never_exist_for_the_whole_scan(
    memory_gb: float | None,
    share: float,
    segmenter_of: MakeSegmenter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_medseg.inference.sweep.BYTES_AT_ONCE", 1 << 17)
    scan = random_scan((96, 16, 12), spacing_mm=(0.5, 1.0, 1.0))
    with Largest() as largest:
        finish(predict(scan, many(segmenter_of), replace(CPU, memory_gb=memory_gb)))
    assert largest.elements < 40 * scan.array.size * share
