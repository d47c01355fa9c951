"""What is held back, and who is adopted."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from napari_medseg.training.config import IGNORE, FineTuneConfig
from napari_medseg.training.finetune import judged
from napari_medseg.training.gate import Marks, hold_back, verdict
from napari_medseg.training.sampling import Lesson, lesson
from napari_medseg.training.split import split_of
from napari_medseg.training.study import Snapshot
from napari_medseg.training.validate import Exam


def corrected(subject: str, slices: range = range(16)) -> Lesson:
    """A scan of 16 slices, each with label 1 somewhere, of which these are corrected."""
    target = torch.full((16, 4, 4), IGNORE, dtype=torch.uint8)
    target[list(slices)] = 0
    target[list(slices), 1:3, 1:3] = 1
    return lesson(subject, torch.rand(1, 16, 4, 4), target, subject)


def known(one: Lesson) -> set[int]:
    return {int(z) for z in (one.target != IGNORE).flatten(1).any(1).nonzero().flatten()}


def exam(one: float, two: float = 0.8) -> Marks:
    return Marks(Exam({"rind": one, "core": two}, {}))


def marks(cases: list[float], anchors: list[float]) -> Marks:
    """Scores of one label in each case, and on each anchor."""
    sides = (
        Exam({"rind": sum(side) / len(side)}, {}, tuple({"rind": one} for one in side))
        for side in (cases, anchors)
    )
    return Marks(*sides)


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


def test_an_exam_without_a_structure_says_so_and_not_that_there_was_none() -> None:
    nothing = Marks(Exam({"rind": math.nan}, {}, ({"rind": math.nan},)))
    assert "shows no structure" in verdict(nothing, nothing, "", 0.01).why


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
    assert "correct another slice" in said.why


def test_a_gain_that_chance_could_give_is_not_enough_where_cases_are_many() -> None:
    before = marks([0.5] * 8, [0.8])
    luck = marks([0.9, 0.45, 0.45, 0.48, 0.52, 0.48, 0.47, 0.49], [0.8])
    said = verdict(before, luck, "", 0.01)
    assert not said.adopted
    assert "by chance" in said.why
    assert verdict(before, marks([0.55] * 8, [0.8]), "", 0.01).adopted


def test_few_cases_are_judged_by_their_mean() -> None:
    assert verdict(marks([0.5, 0.5], [0.8]), marks([0.7, 0.45], [0.8]), "", 0.01).adopted


@pytest.mark.parametrize("after", [0.785, 0.797])
def test_what_was_forgotten_of_earlier_cases_keeps_a_better_model_aside(after: float) -> None:
    said = verdict(marks([0.5], [0.8, 0.8]), marks([0.9], [after, after]), "", 0.01)
    assert not said.adopted
    assert "2 pieces of earlier cases" in said.why


def test_a_little_less_on_earlier_cases_is_no_forgetting() -> None:
    assert verdict(marks([0.5], [0.8]), marks([0.9], [0.799]), "", 0.01).adopted


BEFORE = marks([0.9, 0.8, 0.85], [0.80 + 0.01 * n for n in range(10)])


def test_a_model_that_is_surely_better_on_earlier_cases_need_be_no_better_here() -> None:
    gained = [0.81 + 0.01 * n for n in range(10)]
    found = verdict(BEFORE, marks([0.898, 0.799, 0.849], gained), "", 0.01)
    assert found.adopted
    assert "better on earlier cases" in found.why


@pytest.mark.parametrize(
    ("cases", "gains"),
    [
        ([0.888, 0.788, 0.838], [0.01] * 10),  # worse here
        ([0.9, 0.8, 0.85], [0.001] * 10),  # hardly better there
        ([0.9, 0.8, 0.85], [0.05, 0.05, *[-0.01] * 8]),  # better there by chance
        ([0.9, 0.8, 0.85], [0.01] * 5),  # too few
    ],
)
def test_earlier_cases_alone_adopt_nothing_that_is_doubtful(
    cases: list[float], gains: list[float]
) -> None:
    before = marks([0.9, 0.8, 0.85], [0.8] * len(gains))
    assert not verdict(before, marks(cases, [0.8 + one for one in gains]), "", 0.01).adopted


def test_corrections_that_deny_what_the_model_knows_teach_nothing_that_is_used() -> None:
    """As with labels exchanged: 0.05 is better than 0.01, and still not what earlier cases say."""
    said = verdict(marks([0.01], [0.85] * 3), marks([0.05], [0.85] * 3), "", 0.01)
    assert not said.adopted
    assert "Dice 0.05 here, 0.85 there" in said.why
    assert verdict(marks([0.01], [0.85] * 3), marks([0.3], [0.85] * 3), "", 0.01).adopted
    assert verdict(marks([0.01], [0.4] * 3), marks([0.05], [0.4] * 3), "", 0.01).adopted


def test_a_label_that_earlier_cases_do_not_have_is_at_odds_with_none() -> None:
    anchors = Exam({"rind": 0.85, "core": math.nan}, {})
    before = Marks(Exam({"rind": math.nan, "core": 0.0}, {}), anchors)
    after = Marks(Exam({"rind": math.nan, "core": 0.1}, {}), anchors)
    assert verdict(before, after, "", 0.01).adopted


def chosen(best: Marks, middle: Marks) -> tuple[str, bool]:
    """Which of the two is the candidate of a model that has 0.5, and whether it is adopted."""
    pair = Snapshot({}, best, 2), Snapshot({}, middle, 1)
    one, said = judged(marks([0.5], [0.8]), pair, hold_back([]), FineTuneConfig())
    return ("best" if one is pair[0] else "middle"), said.adopted


def test_a_little_loss_on_earlier_cases_is_forgiven_where_the_corrections_agree_with_them() -> None:
    agree, contradict = marks([0.84], [0.85] * 4), marks([0.6], [0.85] * 4)
    better = marks([0.9], [0.846] * 4)
    assert verdict(agree, better, "", 0.01).adopted
    said = verdict(contradict, better, "", 0.01)
    assert not said.adopted
    assert "forgot 0.0040 of mean Dice on 4 pieces" in said.why
    assert not verdict(agree, marks([0.9], [0.844] * 4), "", 0.01).adopted


def test_the_middle_is_used_if_it_is_about_as_good_as_the_best() -> None:
    assert chosen(marks([0.609], [0.8]), marks([0.6], [0.8])) == ("middle", True)


def test_the_best_is_used_if_it_is_clearly_better_or_the_middle_may_not_be() -> None:
    assert chosen(marks([0.62], [0.8]), marks([0.6], [0.8])) == ("best", True)
    assert chosen(marks([0.509], [0.8]), marks([0.5005], [0.8])) == ("best", True)
    assert chosen(marks([0.609], [0.8]), marks([0.6], [0.7])) == ("best", True)


def test_where_neither_is_adopted_the_middle_is_gone_on_from_unless_it_is_astray() -> None:
    assert chosen(marks([0.5], [0.8]), marks([0.48], [0.79])) == ("middle", False)
    assert chosen(marks([0.5], [0.8]), marks([0.48], [0.7])) == ("best", False)


def test_nobody_changes_sides_when_more_is_corrected() -> None:
    """Round after round: what ever examined never teaches, and the reverse."""
    split, taught, examined = hold_back([]).split, set(), set()
    for count in range(1, 14):
        lessons = [corrected(f"s{n}", range(0, 16, 1 + n % 3)) for n in range(count)]
        parts = hold_back(lessons, split)
        split = parts.split
        taught |= {(one.subject, z) for one in parts.train for z in known(one)}
        examined |= {(one.subject, z) for one in parts.exam for z in known(one)}
        assert parts.exam
        assert taught.isdisjoint(examined)


def test_slices_that_come_later_keep_the_sides_of_the_first_ones() -> None:
    split, taught, examined = hold_back([]).split, set(), set()
    for last in range(2, 17):
        parts = hold_back([corrected("a", range(last))], split)
        split = parts.split
        taught |= {z for one in parts.train for z in known(one)}
        examined |= {z for one in parts.exam for z in known(one)}
    assert taught.isdisjoint(examined)
    assert 2 <= len(examined) <= 6


def test_a_subject_that_taught_wholly_does_not_examine_when_the_others_are_away() -> None:
    first = hold_back([corrected(f"s{n}") for n in range(4)])
    names = {one.subject for one in first.train}
    alone = hold_back([corrected(name) for name in sorted(names)], first.split)
    taught = {(one.subject, z) for one in first.train for z in known(one)}
    assert not taught & {(one.subject, z) for one in alone.exam for z in known(one)}


def test_sides_survive_as_json() -> None:
    split = hold_back([corrected(f"s{n}") for n in range(2)]).split
    again = split_of(json.loads(json.dumps(split.plain())))
    assert again == split


def test_a_slice_where_something_was_only_erased_has_its_side_at_once() -> None:
    first = corrected("s", range(2, 8))
    first.target[11:14, 1] = 0  # erased in three more slices
    before = hold_back([first])
    side = before.split.slices_of("s")
    assert {11, 12, 13} <= side.teach
    later = corrected("s", range(2, 14))
    after = hold_back([later], before.split).split.slices_of("s")
    assert side.teach <= after.teach
    assert side.exam <= after.exam


def test_a_slice_teaches_only_once_it_has_a_side() -> None:
    before = hold_back([corrected("s", range(0, 12, 4))])
    later = hold_back([corrected("s", range(16))], before.split)
    side = later.split.slices_of("s")
    assert set().union(*(known(one) for one in later.train)) == set(side.teach)
    assert set().union(*(known(one) for one in later.exam)) == set(side.exam)


def test_where_little_holds_a_label_erased_slices_examine_too() -> None:
    one = corrected("s", range(2, 3))
    one.target[5:12, 1] = 0
    assert hold_back([one]).exam


def test_what_taught_in_either_of_two_histories_never_examines() -> None:
    here = split_of({"subjects": {}, "slices": {"s": [[3], [8]]}})
    there = split_of({"subjects": {}, "slices": {"s": [[8, 12], [3, 5]]}})
    assert (
        here.joined(there).slices["s"] == split_of({"slices": {"s": [[3, 12], [5, 8]]}}).slices["s"]
    )
