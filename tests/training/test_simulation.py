"""Case after case: what the virtual person and the learner may and may not do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.errors import DatasetError
from napari_medseg.evaluation.overlap import dice_by_label
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models.exemplar import anonymous
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training import strategies
from napari_medseg.training.annotator import SimulatedPerson
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.training.dataset import Case, find_cases, read_case
from napari_medseg.training.simulate import compare_strategies, simulate
from napari_medseg.training.simulation import CaseDone, Row, SimulateConfig, Strategy
from napari_medseg.training.strategies import Learned, Round

FEW = SimulateConfig(
    person=SimulatedPerson(budget=6),
    learning=FineTuneConfig(steps=3, validations=1, threads=1),
    cases=2,
    checks=(0, 2),
    most_strokes=10,
    scratch_steps=3,
)


@pytest.fixture
def cases(write_dataset: Callable[..., Path]) -> tuple[Case, ...]:
    return find_cases(write_dataset(5)).cases


def rows_of(segmenter: Segmenter, cases: tuple[Case, ...], config: SimulateConfig) -> list[Row]:
    return list(finish(simulate(segmenter, cases[:3], cases[3:], config)).rows)


def timeless(rows: list[Row]) -> list[Row]:
    return [replace(row, learning_s=0.0, learning_s_total=0.0, dice_before=0.0) for row in rows]


@pytest.mark.parametrize("strategy", list(Strategy))
def test_each_strategy_goes_from_case_to_case(segmenter, cases, strategy: Strategy) -> None:
    rows = rows_of(segmenter, cases, replace(FEW, strategy=strategy))
    assert [row.cases for row in rows] == [0, 1, 2]
    assert {row.strategy for row in rows} == {strategy}
    assert set(rows[0].dice) == set(rows[2].dice) == {"label 1", "label 2"}
    assert rows[1].dice == {}  # no check
    assert 0 < rows[0].dice_mean < 1
    assert math.isnan(rows[1].dice_mean)


def test_effort_adds_up_and_the_budget_is_kept(segmenter, cases) -> None:
    rows = rows_of(segmenter, cases, FEW)
    for row in rows[1:]:
        assert 0 < row.strokes <= 6
        assert row.wrong > 0
        assert row.dice_after > row.dice_before
        assert row.needed <= 10
        assert row.why
        assert row.learning_s > 0
    assert rows[-1].strokes_total == sum(row.strokes for row in rows)
    assert rows[-1].seconds_total == pytest.approx(sum(row.seconds for row in rows))
    assert rows[-1].learning_s_total == pytest.approx(sum(row.learning_s for row in rows))


def test_the_first_row_scores_the_model_as_it_came(segmenter, cases) -> None:
    first = rows_of(segmenter, cases, FEW)[0]
    found = []
    for case in cases[3:]:
        volume, truth = read_case(case)
        mask = finish(predict(volume, segmenter)).mask
        found.append(dice_by_label(mask.labels, truth.labels, [1, 2])[1])
    assert first.dice["label 1"] == pytest.approx(np.mean(found))


def test_held_back_subjects_never_teach(segmenter, cases, monkeypatch) -> None:
    seen: set[str] = set()

    def spy(now: Round) -> object:
        seen.update(one.example.subject for one in now.lessons)
        yield from ()
        return Learned(now.now, False, "", now.known)

    known = {**strategies.STRATEGIES, Strategy.OURS: spy}
    monkeypatch.setattr("napari_medseg.training.simulate.STRATEGIES", known)
    twin = replace(cases[0], subject=cases[4].subject)  # a second scan of one who is held back
    config = replace(FEW, cases=10)
    rows = finish(simulate(segmenter, (twin, *cases), cases[3:], config)).rows
    assert seen == {case.subject for case in cases[1:3]} | {cases[0].subject}
    assert len(rows) == 1 + 3
    assert rows[-1].dice  # the last one is scored though it is no check


def test_the_newest_case_comes_first_and_the_sides_are_kept(segmenter, cases, monkeypatch) -> None:
    rounds: list[Round] = []

    def spy(now: Round) -> object:
        rounds.append(now)
        return (yield from strategies.ours(now))

    known = {**strategies.STRATEGIES, Strategy.OURS: spy}
    monkeypatch.setattr("napari_medseg.training.simulate.STRATEGIES", known)
    rows = rows_of(segmenter, cases, FEW)
    assert [one.case.name for one in rounds[1].lessons] == [rows[2].case, rows[1].case]
    assert rounds[0].known.subjects == {}
    assert not rounds[1].known.examines(rounds[0].lessons[0].example.subject)
    assert anonymous(rounds[0].lessons[0].example.subject) in rounds[1].known.subjects


def test_a_model_is_replaced_only_where_that_is_said(segmenter, cases) -> None:
    found = finish(simulate(segmenter, cases[:3], cases[3:], FEW))
    assert (found.segmenter is segmenter) == (not any(row.adopted for row in found.rows))
    bare = replace(FEW, strategy=Strategy.NO_GATE)
    found = finish(simulate(segmenter, cases[:3], cases[3:], bare))
    assert all(row.adopted for row in found.rows[1:])
    assert found.segmenter is not segmenter


def test_a_seed_gives_the_same_rows(segmenter, cases) -> None:
    once = replace(FEW, seed=4, cases=1)
    first, same = (rows_of(segmenter, cases, once) for _ in range(2))
    assert timeless(first) == timeless(same)
    assert first[1].dice_before == same[1].dice_before


def test_strategies_get_the_same_cases_in_the_order_of_the_seed(segmenter, cases) -> None:
    compared = (Strategy.NONE, Strategy.NO_GATE)
    one = replace(FEW, learning=replace(FEW.learning, steps=1), most_strokes=0)
    job = compare_strategies(segmenter, cases[:3], cases[3:], one, compared, (0, 1))
    events: list[object] = []
    rows = finish(job, events.append)
    order = {
        (row.strategy, row.seed): [one.case for one in rows if one.strategy == row.strategy]
        for row in rows
    }
    assert order["none", 0] == order["no_gate", 0]
    assert len(rows) == 2 * 2 * 3
    assert [event.row for event in events if isinstance(event, CaseDone)] == list(rows)


def test_stopping_ends_at_once_and_leaves_the_model(segmenter, cases) -> None:
    before = {name: tensor.clone() for name, tensor in segmenter.weights.items()}
    job = simulate(segmenter, cases[:3], cases[3:], FEW)
    for event in job:
        if isinstance(event, CaseDone) and event.row.cases == 1:
            break
    job.close()
    assert all(bool((segmenter.weights[name] == before[name]).all()) for name in before)


@pytest.mark.parametrize(("teaching", "held"), [(slice(0, 3), slice(0, 0)), (slice(0, 2),) * 2])
def test_without_cases_on_both_sides_it_is_refused(segmenter, cases, teaching, held) -> None:
    with pytest.raises(DatasetError, match="held back"):
        finish(simulate(segmenter, cases[teaching], cases[held], FEW))
