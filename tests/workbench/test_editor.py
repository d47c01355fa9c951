"""Steps of an open case, back and forth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_medseg.correction.edit import Aim, Edit, Over, Rules, edit_of
from napari_medseg.correction.tools.catalogue import catalogue
from napari_medseg.correction.tools.islands import free_numbers
from napari_medseg.inference.events import BoxDone
from napari_medseg.volume import Geometry, Label, Volume
from napari_medseg.workbench import Workbench
from napari_medseg.workbench.case import COLORS, offspring

SHAPE = (6, 20, 20)
BOX = (slice(2, 4), slice(5, 15), slice(5, 15))


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    bench = Workbench(tmp_path)
    bench.open_case(bench_scan())
    return bench


def bench_scan() -> Volume:
    image = np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.int16)
    return Volume(image, Geometry.from_spacing(SHAPE))


def square(bench: Workbench, value: int) -> Edit:
    assert bench.editor is not None
    return edit_of(bench.editor.scene(), BOX, np.ones((2, 10, 10), bool), value)


def test_steps_are_taken_back_and_done_again_bit_for_bit(bench: Workbench) -> None:
    editor, case = bench.editor, bench.case
    assert editor is not None
    assert case is not None
    seen = [case.labels.copy()]
    for value in (1, 2, 0):
        editor.apply(square(bench, value), f"step {value}", value)
        seen.append(case.labels.copy())
    for back in (2, 1, 0):
        assert editor.undo()
        np.testing.assert_array_equal(case.labels, seen[back])
    assert not editor.undo()
    editor.go_to(3)
    np.testing.assert_array_equal(case.labels, seen[3])
    assert not editor.redo()


def test_a_new_step_ends_what_was_taken_back(bench: Workbench) -> None:
    editor = bench.editor
    assert editor is not None
    editor.apply(square(bench, 1), "one", 1)
    editor.undo()
    editor.apply(square(bench, 2), "two", 2)
    assert [step.name for step in editor.history.steps] == ["two"]


def test_taking_back_gives_what_the_model_says_now(bench: Workbench) -> None:
    editor, case = bench.editor, bench.case
    assert editor is not None
    assert case is not None
    editor.apply(square(bench, 2), "paint", 2)
    case.tracker.baseline[BOX] = 1  # a quick look went, a prediction came
    editor.undo()
    assert (case.labels[BOX] == 1).all()
    assert not case.tracker.touched


def test_a_person_s_voxels_stay_when_a_prediction_comes(bench: Workbench) -> None:
    editor, case = bench.editor, bench.case
    assert editor is not None
    assert case is not None
    editor.apply(square(bench, 2), "paint", 2)
    bench.receive(BoxDone((0, 0, 0), np.ones(SHAPE, np.uint8)))
    assert (case.mask().labels == 2).sum() == 200


@pytest.mark.parametrize(
    ("rules", "voxels"),
    [
        (Rules(), 200),
        (Rules(over=Over.BACKGROUND), 150),
        (Rules(over=Over.CHOSEN), 0),
        (Rules(locked=frozenset({1})), 150),
        (Rules(locked=frozenset({2})), 0),
    ],
)
def test_rules_say_which_voxels_may_change(bench: Workbench, rules: Rules, voxels: int) -> None:
    editor, case = bench.editor, bench.case
    assert editor is not None
    assert case is not None
    box = (slice(2, 3), slice(5, 10), slice(5, 15))
    editor.apply(edit_of(editor.scene(), box, np.ones((1, 5, 10), bool), 1), "first", 1)
    editor.rules = rules
    editor.apply(square(bench, 2), "second", 2)
    assert int((case.labels == 2).sum()) == voxels


def test_only_voxels_between_two_grey_values_change(bench: Workbench) -> None:
    editor, case = bench.editor, bench.case
    assert editor is not None
    assert case is not None
    editor.rules = Rules(low=0.0, high=50.0)
    editor.apply(square(bench, 1), "paint", 1)
    grey = editor.scene().image[BOX]
    np.testing.assert_array_equal(case.labels[BOX] == 1, (grey >= 0) & (grey <= 50))


def test_what_is_drawn_over_a_quick_look_stays_also_where_both_say_the_same(
    bench: Workbench,
) -> None:
    editor, case = bench.editor, bench.case
    assert editor is not None
    assert case is not None
    bench.receive(BoxDone((0, 0, 0), np.ones(SHAPE, np.uint8), preview=True))
    editor.apply(square(bench, 1), "lasso", 1)
    bench.receive(BoxDone((0, 0, 0), np.zeros(SHAPE, np.uint8)))
    assert int((case.labels == 1).sum()) == 200


def test_a_step_is_recorded_also_where_a_listener_fails(bench: Workbench, tmp_path: Path) -> None:
    editor = bench.editor
    assert editor is not None

    def fail() -> None:
        raise ValueError("a widget's fault")

    editor.history_changed.connect(fail)
    with pytest.raises(Exception, match="fault"):
        editor.apply(square(bench, 1), "brush", 1)
    editor.history_changed.disconnect(fail)
    bench.close()
    again = Workbench(tmp_path)
    case = again.open_case(bench_scan())
    assert int((case.labels == 1).sum()) == 200


def test_a_new_number_is_no_named_structure_s(bench: Workbench) -> None:
    editor = bench.editor
    assert editor is not None
    named = bench.add_label("kidney").value
    assert {named, 255} <= editor.scene().taken
    assert named not in free_numbers(editor.scene(), 3)


def named(bench: Workbench) -> dict[int, str]:
    assert bench.case is not None
    return {one.value: one.name for one in bench.case.names}


@pytest.mark.parametrize("tool", ["Split touching", "Split into instances"])
def test_what_is_split_off_is_named_after_its_parent_and_the_name_goes_with_the_step(
    bench: Workbench, tool: str
) -> None:
    liver, tumour = bench.add_label("liver"), bench.add_label("tumour")
    editor, case = bench.editor, bench.case
    assert editor is not None
    assert case is not None
    for rows, columns in (((2, 9), (2, 9)), ((12, 17), (2, 7)), ((12, 15), (12, 15))):
        case.labels[1:4, slice(*rows), slice(*columns)] = liver.value
    bench.commit()
    before = named(bench)
    split = next(one for one in catalogue() if one.name == tool)
    edit = split.run(editor.scene(), Aim(liver.value), split.knobs)
    assert edit is not None
    editor.apply(edit, tool, liver.value)
    after = named(bench)
    assert sorted(after.items() - before.items()) == [
        (tumour.value + 1, "liver 2"),
        (tumour.value + 2, "liver 3"),
    ]
    assert len({one.color for one in case.names}) == len(case.names)
    editor.undo()
    assert named(bench) == before
    editor.redo()
    assert named(bench) == after


def test_a_child_of_a_child_is_named_after_the_first_of_them() -> None:
    names = [Label(1, "liver", COLORS[0]), Label(2, "liver 2", COLORS[1])]
    found = offspring(names, range(3, 40), names[1])
    assert [one.name for one in found[:2]] == ["liver 3", "liver 4"]
    assert len({one.color for one in (*names, *found)}) == 39
    assert offspring([Label(5, "label 5", "")], [6], Label(5, "label 5", ""))[0].name == "label 5 2"
