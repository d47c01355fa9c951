"""How far a model agrees with itself, where the network is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from echo import Echo, MakeSegmenter, random_scan
from torch import nn

from napari_medseg.errors import InputError
from napari_medseg.inference.agreement import WAYS, agreement
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.judging import Corrected, as_prepared, in_memory, known_from
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import Notice, Progress, finish
from napari_medseg.models.exemplar import exemplar
from napari_medseg.volume import Geometry, Mask, Volume


class Sided(nn.Module):
    """Finds label 1 in the lower half of X and nothing in the other, whatever the image."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        shape = (batch.shape[0], 1, *batch.shape[2:])
        lower = (torch.arange(batch.shape[-1]) < batch.shape[-1] // 2).float().expand(shape)
        return torch.cat([8 - 16 * lower, 16 * lower - 8, torch.full(shape, -20.0)], 1)


def test_every_pass_agrees_where_the_answer_does_not_change(segmenter_of: MakeSegmenter) -> None:
    scan = random_scan((8, 8, 8))
    found = finish(agreement(scan, segmenter_of(Echo(), spacing_mm=None)))
    assert np.array_equal(found.mask.labels, scan.array)
    sized = [found.signs[2].agreed[at] for at in (0, 1, 5)]  # larger, smaller, mirrored
    assert sized == [1.0, 1.0, 1.0]


def test_a_network_that_knows_sides_only_disagrees_mirrored(segmenter_of: MakeSegmenter) -> None:
    found = finish(agreement(random_scan((8, 8, 8)), segmenter_of(Sided(), spacing_mm=None)))
    agreed = dict(zip(WAYS[1:], found.signs[1].agreed, strict=True))
    assert agreed.pop("mirrored") == 0.0
    assert set(agreed.values()) == {1.0}
    assert 2 not in found.signs


def test_versions_are_further_passes(segmenter_of: MakeSegmenter) -> None:
    segmenter = segmenter_of(Echo(), spacing_mm=None)
    found = finish(agreement(random_scan((8, 8, 8)), segmenter, versions=(segmenter, segmenter)))
    assert len(found.signs[1].agreed) == len(WAYS) - 1 + 2
    assert found.signs[1].agreed[-2:] == (1.0, 1.0)


def test_a_prediction_that_is_there_is_not_computed_again(segmenter_of: MakeSegmenter) -> None:
    network, scan = Echo(), random_scan((8, 8, 8))
    segmenter = segmenter_of(network, spacing_mm=None)
    finish(agreement(scan, segmenter))
    without = len(network.seen)
    first = finish(predict(scan, segmenter, PredictConfig(keep_softmax=True)))
    before = len(network.seen)
    finish(agreement(scan, segmenter, first=first))
    assert len(network.seen) - before < without


def test_progress_runs_over_all_passes_and_never_back(segmenter_of: MakeSegmenter) -> None:
    events: list[object] = []
    segmenter = segmenter_of(Echo(), spacing_mm=None)
    finish(agreement(random_scan((8, 8, 8)), segmenter), events.append)
    shares = [one.done / one.total for one in events if isinstance(one, Progress) and one.total]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0, abs=0.2)


def test_corrected_cases_tell_what_was_true(segmenter_of: MakeSegmenter) -> None:
    scan = random_scan((8, 8, 8))
    half = scan.array.astype(np.uint8)
    half[:, :, 4:] = 255  # nobody said what is there
    case = Corrected("someone", lambda: (scan, Mask(half, scan.geometry)))
    known = finish(known_from([case], segmenter_of(Echo(), spacing_mm=None)))
    assert [(one.case, one.label, one.dice) for one in known] == [
        ("someone", 1, 1.0),
        ("someone", 2, 1.0),
    ]


def test_a_case_that_cannot_be_read_is_told_and_left_out(segmenter_of: MakeSegmenter) -> None:
    def broken() -> tuple[Volume, Mask]:
        raise InputError("it must be whole", "broken.nii")

    events: list[object] = []
    job = known_from([Corrected("a", broken)], segmenter_of(Echo(), spacing_mm=None))
    assert finish(job, events.append) == ()
    assert any(isinstance(one, Notice) and "broken.nii" in one.text for one in events)


def test_the_memory_that_examines_calibrates_and_that_which_teaches_does_not(
    segmenter_of: MakeSegmenter,
) -> None:
    scan = random_scan((8, 8, 8))
    image = torch.from_numpy(scan.array / 2).float()[None]
    target = torch.from_numpy(scan.array.astype(np.uint8))
    kept = (exemplar(image, target, "a", True), exemplar(image, target, "b", False))
    segmenter = replace(segmenter_of(Echo(), spacing_mm=(1.0, 1.0, 1.0)), memory=kept)
    pieces = in_memory(segmenter)
    assert [one.subject for one in pieces] == [kept[0].subject]
    known = finish(known_from(pieces, as_prepared(segmenter)))
    assert {one.dice for one in known} == {1.0}


def test_a_slice_where_the_model_is_torn_is_where_it_is_probably_wrong(
    segmenter_of: MakeSegmenter,
) -> None:
    levels = np.zeros((8, 8, 8), np.float32)
    levels[2:6] = 2.0
    levels[4] = 1.49  # between one and two
    scan = Volume(levels, Geometry.from_spacing(levels.shape))
    found = finish(agreement(scan, segmenter_of(Echo(), spacing_mm=None)))
    assert int(found.wrong.sum(axis=(1, 2)).argmax()) == 4
