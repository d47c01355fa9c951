"""The order of slices and cases, and when to stop, where the best answer is planted."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.active.predicted import Guess
from napari_medseg.active.ranking import CaseSigns, Work, at_random, cases, slices
from napari_medseg.active.signs import Signs
from napari_medseg.active.stop import worth_of_lessons, worth_of_slices
from napari_medseg.active.work import Spent, measured


def planted(at: int, axis: int = 0) -> np.ndarray:
    """A doubt of 0.1 on all slices, and a large one on one."""
    wrong = np.full((20, 20, 20), 0.06, np.float32)
    place = [slice(5, 12)] * 3
    place[axis] = slice(at, at + 1)
    wrong[tuple(place)] = 0.9
    return wrong


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_slice_with_the_planted_error_is_first(axis: int) -> None:
    first = slices(planted(7, axis), (2.0, 1.0, 1.0), axis)[0]
    assert (first.axis, first.index) == (axis, 7)
    assert planted(7, axis)[first.voxel] == np.float32(0.9)


def test_of_two_errors_the_far_one_comes_before_the_neighbour_of_the_first() -> None:
    wrong = np.zeros((30, 20, 20), np.float32)
    wrong[10, 5:15, 5:15] = 0.9
    wrong[11, 5:15, 5:15] = 0.8
    wrong[25, 5:15, 5:15] = 0.7
    grid = (1.0, 1.0, 1.0)
    assert [one.index for one in slices(wrong, grid, apart_mm=3.0)] == [10, 25, 11]
    assert [one.index for one in slices(wrong, grid)] == [10, 11, 25]


def test_a_slice_that_is_right_is_not_offered() -> None:
    assert slices(np.zeros((5, 5, 5), np.float32), (1.0, 1.0, 1.0)) == ()


def test_a_slice_that_is_done_is_not_offered_and_those_beside_it_wait() -> None:
    wrong = np.zeros((30, 20, 20), np.float32)
    wrong[10:12, 5:15, 5:15] = 0.9
    wrong[25, 5:15, 5:15] = 0.6
    found = slices(wrong, (1.0, 1.0, 1.0), apart_mm=3.0, done={10})
    assert [one.index for one in found] == [25, 11]


def test_the_pace_of_a_person_is_found_from_what_cases_took() -> None:
    rng = np.random.default_rng(0)
    counts = [(int(a), int(b)) for a, b in rng.integers(5, 80, (30, 2))]
    pace = measured([Spent(9.0 * a + 1.5 * b, a, b, 20.0 * b) for a, b in counts])
    assert pace is not None
    assert pace.look_s == pytest.approx(9.0, rel=0.15)
    assert pace.stroke_s == pytest.approx(1.5, rel=0.5)
    assert pace.stroke_mm2 == pytest.approx(20.0)


def test_too_little_work_tells_no_pace() -> None:
    assert measured([]) is None
    assert measured([Spent(100.0, 9, 19)]) is None
    assert measured([Spent(300.0, 50, 100)]) is not None


def test_more_errors_take_more_seconds() -> None:
    work = Work(look_s=3.0, stroke_s=2.0, stroke_mm2=60.0)
    assert [work.seconds(area) for area in (0, 60, 61)] == [3.0, 5.0, 7.0]


def test_the_baseline_draws_by_foreground_and_nothing_without() -> None:
    foreground = [0, 1, 100, 0, 1]
    firsts = [at_random(foreground, seed)[0] for seed in range(50)]
    assert set(at_random(foreground)) == {1, 2, 4}
    assert firsts.count(2) > 40
    assert at_random(foreground, 3) == at_random(foreground, 3)


def case(name: str, dice: float, volume_ml: float = 1.0) -> CaseSigns:
    signs = Signs(dice, (dice, dice), (0.0, 0.0), 0.5, volume_ml)
    return CaseSigns(name, {1: Guess(dice, dice - 0.1, dice + 0.1)}, {1: signs})


def test_the_worst_case_is_first_and_says_why() -> None:
    order = cases([case("good", 0.95), case("bad", 0.4), case("fair", 0.8)], {1: "liver"})
    assert [one.name for one in order] == ["bad", "fair", "good"]
    assert order[0].why == "liver 0.40 (0.30 to 0.50)"
    assert order[0].worth == pytest.approx(0.6)


def test_a_twin_of_the_first_case_waits_for_one_of_another_kind() -> None:
    order = cases([case("one", 0.5), case("twin", 0.5), case("other", 0.55, volume_ml=50.0)])
    assert [one.name for one in order] == ["one", "other", "twin"]
    assert order[2].new == pytest.approx(0.0)


def test_a_case_without_any_label_comes_first() -> None:
    order = cases([case("bad", 0.3), CaseSigns("empty", {}, {})])
    assert (order[0].name, order[0].why) == ("empty", "no label was found")
    assert cases([]) == ()


def curve(rate: float, noise: float, seed: int = 0) -> np.ndarray:
    """Dice from 0.8 to 0.9; what is left shrinks by `rate` with each lesson."""
    luck = np.random.default_rng(seed).standard_normal(40)
    return 0.9 - 0.1 * rate ** np.arange(40) + noise * luck


@pytest.mark.parametrize("rate", [0.5, 0.7, 0.8])
@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_it_stops_when_less_than_enough_is_left_and_not_before(rate: float, noise: float) -> None:
    left = 10 * rate ** np.arange(40) * (1 - rate**5)  # points in the next five lessons
    due = int(np.argmax(left < 0.2)) + 1
    scores = curve(rate, noise)
    stops = [n for n in range(1, 41) if worth_of_lessons(scores[:n]).stop]
    assert abs(stops[0] - due) <= 1


def test_one_unlucky_score_ends_nothing() -> None:
    assert not worth_of_lessons([0.80, 0.83, 0.85, 0.85, 0.86, 0.85]).stop


def test_it_says_what_they_are_worth() -> None:
    assert worth_of_lessons([0.9] * 6).said.startswith("Further corrections are worth < 0.2 Dice")
    more = worth_of_lessons([0.8, 0.83, 0.85, 0.865, 0.876])
    assert "worth about" in more.said
    assert more.points >= more.expected > 0.5


def test_too_few_scores_tell_nothing_unless_all_is_right_already() -> None:
    assert not worth_of_lessons([0.8, 0.81]).stop
    assert worth_of_lessons([0.99], predicted=[0.999, 0.9995]).stop


def test_slices_are_worth_what_is_wrong_in_them() -> None:
    worth = worth_of_slices([30.0, 10.0], voxels=1000)
    assert worth.points == pytest.approx(2.0)
    assert not worth.stop
    assert worth_of_slices([1.0, 0.5], voxels=1000).stop
