"""What is looked at comes first, wherever the user goes; what is nowhere is not computed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from echo import Echo, MakeSegmenter, random_scan

from napari_medseg.errors import InputError
from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.events import BoxDone, LookAt, Prediction
from napari_medseg.inference.predict import predict
from napari_medseg.inference.scout import body
from napari_medseg.jobs import Job, Notice, Progress, finish
from napari_medseg.preprocess.prepare import with_neighbours
from napari_medseg.preprocess.recipe import Normalise, Recipe
from napari_medseg.volume import Geometry, Label, Volume

CPU = PredictConfig(device="cpu", mode=Mode.FULL)


def led(job: Job[Prediction], after: int, look: LookAt) -> tuple[list[BoxDone], Prediction]:
    """The boxes that come once the job was told to look elsewhere, after so many tiles."""
    boxes: list[BoxDone] = []
    tiles, told = 0, False
    event = next(job)
    while True:
        tiles += isinstance(event, Progress)
        if told and isinstance(event, BoxDone):
            boxes.append(event)
        sent = look if tiles == after and not told else None
        told = told or sent is not None
        try:
            event = job.send(sent)
        except StopIteration as done:
            return boxes, done.value


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_where_the_user_goes_comes_next(axis: int, echo: Echo, segmenter_of: MakeSegmenter) -> None:
    long = [16, 16, 16]
    long[axis] = 96
    scan = random_scan((long[0], long[1], long[2]))
    job = predict(scan, segmenter_of(echo), replace(CPU, slice_zyx=(axis, 0)))
    boxes, prediction = led(job, 4, LookAt(axis, 80))
    near = [box.slices[axis].start <= 80 < box.slices[axis].stop for box in boxes]
    assert near.index(True) <= 2  # what was on its way came before
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)


def test_where_the_user_goes_while_the_scan_is_prepared_comes_first(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    job = predict(random_scan((96, 16, 16)), segmenter_of(echo), replace(CPU, slice_zyx=(0, 0)))
    boxes, _ = led(job, 1, LookAt(0, 80))
    assert boxes[0].start[0] <= 80 < boxes[0].slices[0].stop


def test_another_axis_is_previewed_as_soon_as_its_tiles_are_in(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = random_scan((48, 40, 40))
    job = predict(scan, segmenter_of(echo), replace(CPU, slice_zyx=(0, 0)))
    boxes, prediction = led(job, 4, LookAt(2, 30))
    thin = next(box for box in boxes if box.preview and box.labels.shape[2] == 1)
    assert thin.start[2] == 30
    np.testing.assert_array_equal(thin.labels, scan.array[thin.slices])
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)


def test_no_final_voxel_is_previewed_again(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    scan = random_scan((48, 24, 24))
    job = predict(scan, segmenter_of(echo), replace(CPU, slice_zyx=(0, 0)))
    final = np.zeros(scan.geometry.shape, dtype=bool)
    boxes, _ = led(job, 30, LookAt(1, 20))
    for box in boxes:
        assert not (box.preview and final[box.slices].any())
        final[box.slices] |= not box.preview


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_thin_look_at_the_viewed_slice_comes_before_all_tiles(
    axis: int, echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    scan = random_scan((40, 44, 48))
    segmenter = segmenter_of(echo, patch=(16, 16, 16))
    events: list[object] = []
    finish(predict(scan, segmenter, replace(CPU, slice_zyx=(axis, 21))), events.append)
    first = next(n for n, event in enumerate(events) if isinstance(event, BoxDone))
    box = events[first]
    assert isinstance(box, BoxDone)
    assert box.preview
    assert box.slices[axis].start <= 21 < box.slices[axis].stop
    np.testing.assert_array_equal(box.labels, scan.array[box.slices])
    assert not any(isinstance(event, Progress) and event.done for event in events[:first])
    tiles = [shape for shape in echo.seen if shape[2:] != (16, 16, 16)]
    assert {min(shape[2:]) for shape in tiles} == {4}


class Sure(Echo):
    """Has no doubt where nothing is."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return super().forward(batch) * 10


def blob(shape: tuple[int, int, int], *places: tuple[int, int, int]) -> Volume:
    """Nothing but cubes of 8 voxels at these places, one label around another."""
    levels = np.zeros(shape, np.int16)
    for z, y, x in places:
        levels[z : z + 8, y : y + 8, x : x + 8] = 1
        levels[z + 2 : z + 6, y + 2 : y + 6, x + 2 : x + 6] = 2
    return Volume(levels, Geometry.from_spacing(shape))


@pytest.mark.parametrize("spacing_mm", [None, (1.25, 0.8, 1.0)])
def test_only_what_a_coarse_look_finds_is_computed(
    spacing_mm: tuple[float, float, float] | None, segmenter_of: MakeSegmenter
) -> None:
    echo = Sure()
    scan = blob((80, 80, 80), (10, 60, 16), (60, 8, 40))
    segmenter = segmenter_of(echo, patch=(16, 16, 16), scout=2.0, spacing_mm=spacing_mm)
    whole = finish(predict(scan, segmenter, CPU))
    n_whole = len(echo.seen)
    echo.seen.clear()
    found = finish(predict(scan, segmenter, replace(CPU, mode=Mode.AUTO)))
    np.testing.assert_array_equal(found.mask.labels, whole.mask.labels)
    assert found.mask.labels.any()
    assert "regions" in found.how
    assert len(echo.seen) < n_whole / 4


def test_nothing_found_is_a_mask_of_nothing(segmenter_of: MakeSegmenter) -> None:
    echo = Sure()
    scan = blob((80, 80, 80))
    scan.array[0, 0, 0] = 2  # so that zero stays zero; too small for a coarse look
    segmenter = segmenter_of(echo, patch=(16, 16, 16), scout=4.0)
    prediction = finish(predict(scan, segmenter, replace(CPU, mode=Mode.REGIONS)))
    assert prediction.mask.labels.sum() in (0, 2)


def test_labels_all_over_are_computed_in_full(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    scan = random_scan((60, 60, 60))
    segmenter = segmenter_of(echo, patch=(16, 16, 16), scout=2.0)
    prediction = finish(predict(scan, segmenter, replace(CPU, mode=Mode.AUTO)))
    assert "full" in prediction.how
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)


def test_a_small_part_of_a_patient_that_lies_apart_is_computed(segmenter_of: MakeSegmenter) -> None:
    hu = np.full((40, 128, 200), -1000, np.int16)
    hu[:, 20:100, 10:90] = 0
    hu[10:30, 50:70, 160:180] = 900  # a hand: 8 ml beside 256
    scan = Volume(hu, Geometry.from_spacing(hu.shape), modality="CT")
    recipe = {"normalise": Normalise.CT_WINDOW, "window": (-1000.0, 1000.0), "patch": (16, 16, 16)}
    prediction = finish(predict(scan, segmenter_of(Echo(), **recipe), replace(CPU, mode=Mode.AUTO)))
    assert (prediction.mask.labels[10:30, 50:70, 160:180] == 2).all()


def test_a_body_lies_where_it_is_also_with_neighbouring_slices() -> None:
    hu = torch.full((1, 60, 40, 40), -1.0)
    hu[:, 20:50, 5:35, 5:35] = 0.5
    recipe = Recipe(
        (Label(1, "one"),),
        patch=(1, 16, 16),
        neighbours=4,
        normalise=Normalise.CT_WINDOW,
        window=(-1000.0, 1000.0),
    )
    found = body(with_neighbours(hu, 4), recipe, (3.0, 3.0, 3.0))
    assert found is not None
    assert np.flatnonzero(found.any((1, 2))).tolist() == list(range(20, 50))


def test_a_mode_that_cannot_be_is_told(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    said: list[object] = []
    config = replace(CPU, mode=Mode.REGIONS)
    finish(predict(random_scan((8, 8, 8)), segmenter_of(echo), config), said.append)
    assert any(isinstance(one, Notice) and "all of the scan" in one.text for one in said)


def test_an_engine_that_is_not_here_is_refused(echo: Echo, segmenter_of: MakeSegmenter) -> None:
    config = replace(CPU, engine=EngineName.ONNX)
    with pytest.raises(InputError, match="an engine must be one of torch-float32"):
        finish(predict(random_scan((8, 8, 8)), segmenter_of(echo), config))


def test_air_and_table_around_a_patient_are_never_computed(
    echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    hu = np.full((40, 96, 96), -1000, np.int16)
    hu[:, 20:52, 30:62] = 0
    hu[:, 24:40, 34:50] = 900
    hu[:, 80:82, 4:92] = 300  # the table
    scan = Volume(hu, Geometry.from_spacing(hu.shape), modality="CT")
    recipe = {"normalise": Normalise.CT_WINDOW, "window": (-1000.0, 1000.0), "patch": (16, 16, 16)}
    whole = finish(predict(scan, segmenter_of(echo, **recipe), CPU))
    n_whole = len(echo.seen)
    echo.seen.clear()
    prediction = finish(predict(scan, segmenter_of(echo, **recipe), replace(CPU, mode=Mode.AUTO)))
    assert "body" in prediction.how
    assert len(echo.seen) < n_whole / 2
    assert not prediction.mask.labels[:, 75:].any()
    np.testing.assert_array_equal(prediction.mask.labels[:, :70], whole.mask.labels[:, :70])
