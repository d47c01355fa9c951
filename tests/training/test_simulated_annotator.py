"""A virtual person: what it paints is right, within its budget, with the brush that it has."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_medseg.correction.record import Source
from napari_medseg.errors import GridError, TrainingError
from napari_medseg.training.annotator import Annotator, SimulatedPerson
from napari_medseg.volume import Geometry, Mask, Volume

SHAPE = (6, 32, 32)
STEADY = SimulatedPerson(budget=1000, noise_mm=0.0, overlooks=0.0)


def disc(middle: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    return (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= radius**2


def person_at(
    person: SimulatedPerson, spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Annotator:
    """A structure in two parts; the model has it shifted, and a false piece beside."""
    truth = np.zeros(SHAPE, np.uint8)
    truth[1:5, disc((16, 14), 8)] = 1
    truth[3:5, disc((16, 14), 8)] = 2
    given = np.roll(truth, 3, axis=2)
    given[2, 2:5, 26:30] = 2
    grid = Geometry.from_spacing(SHAPE, spacing_mm)
    volume = Volume(np.zeros(SHAPE, np.float32), grid)
    return Annotator(volume, Mask(given, grid), Mask(truth, grid), (1, 2), person)


def truth_of(one: Annotator) -> np.ndarray:
    return one._truth


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (3, 0.7, 0.9)])
def test_a_steady_hand_with_time_enough_makes_the_mask_right(spacing_mm) -> None:
    one = person_at(STEADY, spacing_mm)
    one.correct()
    assert np.array_equal(one.tracker.labels, truth_of(one))
    assert one.dice == 1.0
    assert not one.stroke()  # nothing is left to do


def test_a_brush_that_cannot_shrink_leaves_what_it_does_not_fit_into() -> None:
    one = person_at(replace(STEADY, shrinks=False, brush_mm=6.0))
    one.correct()
    labels, truth = one.tracker.labels, truth_of(one)
    brush = np.hypot(*np.mgrid[-3:4, -3:4]) <= 3
    for z in range(SHAPE[0]):
        for value in (0, 1, 2):
            padded = np.pad(truth[z] == value, 8, mode="edge")  # the brush may reach over the edge
            reached = ndimage.binary_opening(padded, brush)[8:-8, 8:-8]
            assert (labels[z][reached] == value).all()


@pytest.mark.parametrize("ball", [False, True])
@pytest.mark.parametrize("noise_mm", [0.0, 0.5, 3.0])
def test_no_stroke_makes_the_mask_worse(noise_mm: float, ball: bool) -> None:
    one = person_at(replace(STEADY, noise_mm=noise_mm, ball=ball, seed=3))
    wrong = [one.wrong]
    for _ in range(15):
        one.stroke()
        wrong.append(one.wrong)
        seen = np.count_nonzero(one.tracker.labels != truth_of(one))
        assert seen == one.wrong
    assert all(later <= before for before, later in itertools.pairwise(wrong))
    assert wrong[-1] < wrong[0]


@pytest.mark.parametrize("ball", [False, True])
def test_a_steady_hand_spoils_no_voxel(ball: bool) -> None:
    one = person_at(replace(STEADY, budget=7, ball=ball), (1.5, 1.0, 1.0))
    before = one.tracker.labels == truth_of(one)
    one.correct()
    assert (one.tracker.labels == truth_of(one))[before].all()


def test_a_ball_does_in_a_stroke_what_takes_a_disc_one_in_each_slice() -> None:
    grid = Geometry.from_spacing((15, 31, 31), (1.0, 1.0, 1.0))
    z, y, x = np.ogrid[:15, :31, :31]
    truth = ((z - 7) ** 2 + (y - 15) ** 2 + (x - 15) ** 2 <= 36).astype(np.uint8)
    given, volume = np.zeros_like(truth), Volume(np.zeros(truth.shape, np.float32), grid)
    right = {}
    for ball in (False, True):
        person = replace(STEADY, budget=1, ball=ball, brush_mm=8.0)
        one = Annotator(volume, Mask(given, grid), Mask(truth, grid), (1,), person)
        one.correct()
        right[ball] = int(truth.sum()) - one.wrong
        assert len(np.unique(np.nonzero(one.tracker.source)[0])) == (9 if ball else 1)
    assert right[True] > 3 * right[False]


@pytest.mark.parametrize("budget", [1, 4])
def test_the_budget_is_kept(budget: int) -> None:
    one = person_at(replace(STEADY, budget=budget))
    one.correct()
    assert one.strokes == budget == len(one.history.steps)
    assert one.wrong > 0


def test_the_worst_slice_comes_first() -> None:
    one = person_at(replace(STEADY, budget=1))
    worst = int(np.argmax(np.count_nonzero(one.tracker.labels != truth_of(one), axis=(1, 2))))
    one.correct()
    assert set(np.nonzero(one.tracker.source)[0]) == {worst}


def test_who_finishes_slices_leaves_none_half_done() -> None:
    one = person_at(replace(STEADY, finishes=True, budget=5))
    one.correct()
    changed = np.unique(np.nonzero(one.tracker.source == Source.PAINTED)[0])
    assert len(changed) <= 1


def test_what_is_painted_and_confirmed_teaches_and_nothing_else() -> None:
    one = person_at(replace(STEADY, budget=6))
    one.correct()
    found = one.example("somebody")
    painted = one.tracker.labels != one.mask.labels
    right = one.tracker.marks[0]
    assert found.subject == "somebody"
    assert found.confirmed[painted].all()
    assert all(found.confirmed[z].all() for z in right)
    others = [z for z in range(SHAPE[0]) if z not in right]
    assert np.array_equal(found.confirmed[others], painted[others])


def test_only_slices_that_look_right_are_confirmed() -> None:
    one = person_at(replace(STEADY, finishes=True, budget=30, overlooks=0.1))
    one.correct()
    assert one.tracker.marks[0]
    for z in one.tracker.marks[0]:
        wrong = np.count_nonzero(one.tracker.labels[z] != truth_of(one)[z])
        size = np.count_nonzero((one.tracker.labels[z] > 0) | (truth_of(one)[z] > 0))
        assert wrong <= 0.1 * size


def test_the_clock_counts_strokes_pauses_and_confirmed_slices() -> None:
    one = person_at(replace(STEADY, budget=8, stroke_s=2, pause_s=3, confirm_s=1))
    one.correct()
    assert one.seconds == 8 * 5 + len(one.tracker.marks[0])


def test_a_seed_gives_the_same_strokes() -> None:
    first, same, other = (person_at(SimulatedPerson(noise_mm=1.0, seed=n)) for n in (1, 1, 2))
    for one in (first, same, other):
        one.correct()
    assert np.array_equal(first.tracker.labels, same.tracker.labels)
    assert not np.array_equal(first.tracker.labels, other.tracker.labels)


def test_what_the_person_does_not_care_for_is_never_wrong() -> None:
    one = person_at(STEADY)
    truth = one._truth.copy()
    truth[:, :, :10] = 255
    grid = one.mask.geometry
    careless = Annotator(one.volume, one.mask, Mask(truth, grid), (1, 2), STEADY)
    careless.correct()
    known = truth != 255
    assert np.array_equal(careless.tracker.labels[known], truth[known])
    assert careless.dice == 1.0


def test_a_right_mask_is_left_alone() -> None:
    one = person_at(STEADY)
    grid = one.mask.geometry
    calm = Annotator(one.volume, Mask(one._truth, grid), Mask(one._truth, grid), (1, 2), STEADY)
    calm.correct()
    assert calm.strokes == 0
    assert not calm.example().confirmed.any()


def test_a_mask_of_another_grid_is_refused() -> None:
    one = person_at(STEADY)
    other = Mask(one._truth, Geometry.from_spacing(SHAPE, (2, 2, 2)))
    with pytest.raises(GridError, match="scan's grid"):
        Annotator(one.volume, other, other, (1,), STEADY)


def test_a_budget_of_no_stroke_is_refused() -> None:
    with pytest.raises(TrainingError, match="must be 1"):
        SimulatedPerson(budget=0)


@pytest.mark.parametrize(("longest_mm", "at_once"), [(60.0, True), (8.0, False)])
def test_one_drag_goes_over_all_errors_of_a_kind_that_it_can_reach(
    longest_mm: float, at_once: bool
) -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[2, 14:18, 4:28] = 1
    given = truth.copy()
    given[2, :, :7] = given[2, :, 25:] = 0  # both ends are missing
    grid = Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0))
    volume = Volume(np.zeros(SHAPE, np.float32), grid)
    hand = replace(STEADY, brush_mm=1.0, shrinks=False, longest_mm=longest_mm)
    one = Annotator(volume, Mask(given, grid), Mask(truth, grid), (1,), hand)
    one.correct()
    assert one.wrong == 0
    assert (one.strokes == 1) == at_once
