"""What is held back, and who is adopted."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from napari_medseg.training.config import IGNORE
from napari_medseg.training.gate import hold_back, verdict
from napari_medseg.training.sampling import Lesson, lesson
from napari_medseg.training.validate import Exam


def corrected(subject: str, slices: range = range(16)) -> Lesson:
    """A scan of 16 slices, each with label 1 somewhere, of which these are corrected."""
    target = torch.full((16, 4, 4), IGNORE, dtype=torch.uint8)
    target[list(slices)] = 0
    target[list(slices), 1:3, 1:3] = 1
    return lesson(subject, torch.rand(1, 16, 4, 4), target, subject)


def known(one: Lesson) -> set[int]:
    return {int(z) for z in (one.target != IGNORE).flatten(1).any(1).nonzero().flatten()}


def exam(one: float, two: float = 0.8) -> Exam:
    return Exam({"rind": one, "core": two}, {})


@pytest.mark.parametrize(("subjects", "held"), [(3, 1), (5, 1), (8, 2), (12, 3)])
def test_a_quarter_of_the_subjects_is_held_back_and_none_is_on_both_sides(
    subjects: int, held: int
) -> None:
    lessons = [corrected(f"s{n // 2}") for n in range(2 * subjects)]
    parts = hold_back(lessons)
    teachers, examiners = ({one.subject for one in side} for side in (parts.train, parts.exam))
    assert teachers.isdisjoint(examiners)
    assert len(examiners) == held
    assert len(parts.train) + len(parts.exam) == 2 * subjects
    assert f"{held} of {subjects} subjects" in parts.how


def test_the_same_corrections_are_always_split_the_same_way() -> None:
    lessons = [corrected(f"s{n}") for n in range(7)]
    one, other = hold_back(lessons), hold_back(lessons[::-1])
    assert {held.subject for held in one.exam} == {held.subject for held in other.exam}


def test_of_one_scan_a_slab_is_held_back_that_touches_no_teaching_slice() -> None:
    parts = hold_back([corrected("a")])
    examined, taught = known(parts.exam[0]), known(parts.train[0])
    assert len(examined) == 4
    assert min(abs(a - b) for a in examined for b in taught) > 1
    assert "4 corrected slice(s)" in parts.how


def test_of_two_corrected_slices_one_is_held_back() -> None:
    parts = hold_back([corrected("a", range(5, 10, 4))])
    assert len(known(parts.exam[0])) == 1
    assert len(known(parts.train[0])) == 1


def test_a_label_that_is_examined_is_also_taught() -> None:
    rare = corrected("a", range(0, 16, 2))
    target = rare.target.clone()
    target[4:11][target[4:11] == 1] = 2  # slices 4 to 10 alone, in the middle of all
    parts = hold_back([replace(rare, target=target)])
    examined, taught = (set(side[0].target.unique().tolist()) for side in (parts.exam, parts.train))
    assert examined <= taught
    assert 2 in taught


def test_of_one_corrected_slice_nothing_is_held_back() -> None:
    parts = hold_back([corrected("a", range(5, 6))])
    assert parts.exam == ()
    assert known(parts.train[0]) == {5}


def test_holding_back_changes_no_lesson() -> None:
    one = corrected("a")
    before = one.target.clone()
    hold_back([one])
    assert torch.equal(one.target, before)


def test_slices_without_a_label_are_not_wasted_on_the_exam() -> None:
    one = corrected("a", range(4, 8))
    target = one.target.clone()
    target[8:] = 0  # confirmed, empty
    parts = hold_back([replace(one, target=target)])
    assert known(parts.exam[0]) <= set(range(4, 8))


def test_a_better_model_is_adopted_with_its_numbers() -> None:
    said = verdict(exam(0.80), exam(0.85), "on 1 of 4 subjects", 0.01)
    assert said.adopted
    assert "0.8000 before, 0.8250 after, on 1 of 4 subjects" in said.why


@pytest.mark.parametrize("after", [0.80, 0.79])
def test_a_model_that_is_not_better_is_not_adopted(after: float) -> None:
    said = verdict(exam(0.80), exam(after), "", 0.01)
    assert not said.adopted
    assert said.why.startswith("not better")


def test_a_model_that_forgets_one_label_is_not_adopted() -> None:
    said = verdict(exam(0.5, 0.80), exam(0.9, 0.78), "", 0.01)
    assert not said.adopted
    assert "core lost 0.0200" in said.why
    assert verdict(exam(0.5, 0.80), exam(0.9, 0.78), "", 0.05).adopted


def test_a_label_that_nobody_could_score_does_not_decide() -> None:
    assert verdict(exam(0.5, math.nan), exam(0.6, math.nan), "", 0.01).adopted


def test_a_score_that_got_lost_is_a_loss() -> None:
    assert not verdict(exam(0.5, 0.1), exam(0.9, math.nan), "", 0.01).adopted


def test_without_an_exam_nothing_is_adopted() -> None:
    said = verdict(exam(math.nan, math.nan), exam(math.nan, math.nan), "", 0.01)
    assert not said.adopted
    assert "correct two more slices" in said.why
