"""A structure painted in three slices, followed through a scan whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_medseg.correction.record import Example
from napari_medseg.errors import TrainingError
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.training.begun import Draft, ScratchConfig
from napari_medseg.training.examples import lessons_of
from napari_medseg.training.gate import hold_back
from napari_medseg.training.painted import stack_of
from napari_medseg.training.scratch import Scratch, from_nothing
from napari_medseg.training.split import split_of
from napari_medseg.volume import Geometry, Label, Mask, Volume

QUICK = ScratchConfig(steps=4, features=(4, 8), threads=1)
SHAPE = (30, 40, 44)
PAINTED = (9, 15, 21)


def a_ball(value: int = 1, at: tuple[int, int, int] = (15, 20, 22)) -> np.ndarray[Any, Any]:
    """An ellipsoid from slice 4 to 26."""
    z, y, x = np.indices(SHAPE)
    inside = ((z - at[0]) / 11.5) ** 2 + ((y - at[1]) / 8) ** 2 + ((x - at[2]) / 9) ** 2 <= 1
    return np.where(inside, value, 0).astype(np.uint8)


def painted(truth: np.ndarray[Any, Any], slices: tuple[int, ...] = PAINTED) -> Example:
    """The truth in some slices, strokes only; the scan shows it twice as bright as the rest."""
    noise = np.random.default_rng(0).normal(0, 20, SHAPE)
    image = (100 + 100.0 * truth + noise).astype(np.float32)
    geometry = Geometry.from_spacing(SHAPE, (2.0, 1.0, 1.0))
    confirmed = np.zeros(SHAPE, bool)
    confirmed[list(slices)] = truth[list(slices)] > 0
    mask = Mask(np.where(confirmed, truth, 0).astype(np.uint8), geometry)
    return Example(Volume(image, geometry, "scan"), mask, confirmed)


def dice(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def begun() -> Scratch:
    return finish(from_nothing(painted(a_ball()), QUICK))


def test_three_painted_slices_give_the_whole_structure(begun: Scratch) -> None:
    assert dice(begun.mask.labels == 1, a_ball() == 1) > 0.93


def test_what_was_painted_stays(begun: Scratch) -> None:
    slices = list(PAINTED)
    np.testing.assert_array_equal(begun.mask.labels[slices], a_ball()[slices])


def test_the_model_reads_the_scan_as_any_other(begun: Scratch) -> None:
    example = painted(a_ball())
    found = finish(predict(example.volume, begun.segmenter)).mask
    assert found.geometry == example.volume.geometry
    assert [label.value for label in begun.segmenter.recipe.labels] == [1]


def test_a_draft_comes_before_the_network_learns() -> None:
    events = []
    job = from_nothing(painted(a_ball()), QUICK)
    for event in job:
        events.append(type(event).__name__)
    assert events.index("Draft") < events.index("StepDone")


def test_two_structures_keep_their_numbers_and_names() -> None:
    truth = a_ball(3, (15, 12, 11)) + a_ball(7, (15, 28, 33))
    example = painted(truth)
    named = replace(example.mask, names=(Label(7, "kidney"),))
    result = finish(from_nothing(replace(example, mask=named), QUICK))
    assert [label.name for label in result.mask.names] == ["structure 3", "kidney"]
    assert min(dice(result.mask.labels == n, truth == n) for n in (3, 7)) > 0.9


def test_slices_of_another_plane_are_found_by_themselves() -> None:
    truth = a_ball().transpose(2, 0, 1)
    image = (100 + 100.0 * truth).astype(np.float32)
    geometry = Geometry.from_spacing(truth.shape, (1.0, 1.0, 1.0))
    confirmed = np.zeros(truth.shape, bool)
    confirmed[:, list(PAINTED)] = True
    mask = Mask(np.where(confirmed, truth, 0).astype(np.uint8), geometry)
    job = from_nothing(Example(Volume(image, geometry), mask, confirmed), QUICK)
    drafts = [event for event in job if isinstance(event, Draft)]
    assert dice(drafts[-1].mask.labels == 1, truth == 1) > 0.93


def test_a_confirmed_empty_slice_ends_the_structure() -> None:
    truth = a_ball()
    example = painted(truth)
    confirmed = example.confirmed.copy()
    confirmed[24] = True  # a person says: nothing here, though the image goes on
    result = finish(from_nothing(replace(example, confirmed=confirmed), QUICK))
    assert not result.mask.labels[24:].any()


def test_nothing_painted_is_refused() -> None:
    with pytest.raises(TrainingError, match="paint a structure"):
        finish(from_nothing(painted(np.zeros(SHAPE, np.uint8)), QUICK))


def test_slices_that_it_learned_from_never_examine_it_later(begun: Scratch) -> None:
    example = painted(a_ball())
    recipe, split = begun.segmenter.recipe, split_of(begun.segmenter.lineage.split)
    held = hold_back(finish(lessons_of([example], recipe, 255)), split)
    assert not held.exam
    more = painted(a_ball(), (*PAINTED, 5, 18, 25))
    later = hold_back(finish(lessons_of([more], recipe, 255)), split)
    assert later.exam
    assert not later.split.slices_of("scan").exam & split.slices_of("scan").teach


def test_a_thread_beside_a_large_structure_is_not_lost_in_larger_voxels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_medseg.training.painted.MOST_VOXELS", 6000)
    truth = a_ball()
    truth[:, 2, 30:40] = 2
    stack = stack_of(painted(truth))
    assert stack.factor > 1
    assert all(len(stack.shapes[value]) == 3 for value in (1, 2))
    found = finish(from_nothing(painted(truth), QUICK)).mask.labels
    assert {0, 1, 2} == set(np.unique(found).tolist())
