"""Predicting and fine-tuning in child processes, while a person goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from napari_medseg.correction.record import Example, Source
from napari_medseg.errors import InputError, WorkerDied
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import LookAt
from napari_medseg.jobs import Job, Notice, Progress, finish
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.training.events import StepDone
from napari_medseg.volume import Volume
from napari_medseg.workbench import Workbench, lesson

HERE = slice(2, 4), slice(3, 6), slice(4, 8)
Taught = Callable[[Workbench], list[Example]]
SLOW = PredictConfig(keep_softmax=True)  # the stand-in takes its time


def predict(bench: Workbench) -> None:
    finish(bench.predict(PredictConfig()), bench.receive)


@pytest.mark.usefixtures("standin")
def test_a_prediction_fills_the_mask_with_what_it_gave_in_the_end(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    predict(bench)
    expected = (scan.array > 0).astype(np.uint8)
    expected[0, 0, 0] = 0  # the finished mask has no speck
    np.testing.assert_array_equal(case.mask().labels, expected)
    np.testing.assert_array_equal(case.labels, case.baseline)
    assert bench.commit() is None


@pytest.mark.usefixtures("standin")
def test_a_second_prediction_leaves_what_was_painted_and_confirmed(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    case.labels[HERE] = 1
    bench.confirm_slice(0, 5)
    before = case.labels.copy()
    predict(bench)
    kept = case.source != Source.MODEL
    np.testing.assert_array_equal(case.labels[kept], before[kept])
    assert case.labels.sum() > before.sum()


@pytest.mark.usefixtures("standin")
def test_predicted_labels_come_back_with_the_corrections(bench: Workbench, scan: Volume) -> None:
    case = bench.open_case(scan)
    predict(bench)
    case.labels[HERE] = 0
    bench.commit()
    labels, source = case.labels.copy(), case.source.copy()
    again = bench.open_case(scan)
    np.testing.assert_array_equal(again.labels, labels)
    np.testing.assert_array_equal(again.source, source)


@pytest.mark.usefixtures("standin")
def test_boxes_of_a_case_that_was_closed_are_dropped(bench: Workbench, scan: Volume) -> None:
    bench.open_case(scan)
    job = bench.predict(PredictConfig())
    late = next(job)
    other = bench.open_case(replace(scan, array=scan.array - 1))
    bench.receive(late)
    job.close()
    assert not other.labels.any()


@pytest.mark.usefixtures("standin")
def test_a_prediction_that_is_stopped_can_be_started_again(bench: Workbench, scan: Volume) -> None:
    case = bench.open_case(scan)
    job = bench.predict(SLOW)
    bench.receive(next(job))
    with pytest.raises(InputError, match="a prediction must end"):
        bench.predict(SLOW)
    job.close()
    predict(bench)
    assert case.labels.any()


@pytest.mark.usefixtures("standin")
def test_a_running_prediction_goes_on_where_the_user_looks(bench: Workbench, scan: Volume) -> None:
    bench.open_case(scan)
    job = bench.predict(SLOW)
    next(job)
    starts: list[int] = []
    finish(_told_once(job, LookAt(0, 5)), lambda box: starts.append(box.start[0]))
    assert starts.index(5) < starts.index(4), "0, perhaps 1 and 2, then 5, 4, 3"


@pytest.mark.usefixtures("standin")
def test_a_prediction_by_another_model_does_not_make_corrections_its_teachers(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    case.labels[HERE] = 1
    bench.adopt(bench.models[1])
    job = bench.predict(SLOW)
    bench.receive(next(job))
    job.close()
    with pytest.raises(InputError, match="corrected with another model"):
        bench.fine_tune(FineTuneConfig())
    predict(bench)
    assert case.family == bench.models[0].version


@pytest.mark.usefixtures("standin")
def test_an_untouched_case_belongs_to_the_model_whose_prediction_ended(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    job = bench.predict(PredictConfig())
    bench.adopt(bench.models[1])
    bench.receive(next(job))
    assert case.family == bench.models[1].version
    finish(job, bench.receive)
    assert case.family == bench.models[0].version


@pytest.mark.usefixtures("standin")
def test_a_fine_tune_learns_from_every_corrected_case_and_its_model_can_be_used(
    bench: Workbench, scan: Volume, tmp_path: Path
) -> None:
    for shift in range(2):
        bench.open_case(replace(scan, array=scan.array + shift)).labels[HERE] = 1
    events: list[object] = []
    outcome = finish(bench.fine_tune(FineTuneConfig()), events.append)
    assert Progress(2 * 24, 2) in events
    bench.use(outcome)
    assert bench.segmenter == outcome.candidate
    assert bench.segmenter.path == tmp_path / "models" / "balls" / "v2.safetensors"
    assert [card.version for card in bench.versions()][-1] == outcome.candidate.version


def test_the_open_and_all_closed_cases_teach_each_as_a_subject_of_its_own(
    bench: Workbench, scan: Volume, taught: Taught
) -> None:
    for shift in range(3):
        bench.open_case(replace(scan, array=scan.array + shift)).labels[HERE] = 1
    shown = taught(bench)
    assert [int(one.confirmed.sum()) for one in shown] == [24] * 3
    assert len({one.subject for one in shown}) == 3


def test_cases_of_another_model_do_not_teach(
    bench: Workbench, scan: Volume, taught: Taught
) -> None:
    mine = bench.open_case(scan)
    mine.labels[HERE] = 1
    bench.commit()
    bench.adopt(bench.models[1])
    with pytest.raises(InputError, match="corrected with another model"):
        bench.fine_tune(FineTuneConfig())
    other = bench.open_case(replace(scan, array=scan.array + 1))
    other.labels[HERE] = 1
    assert [one.subject for one in taught(bench)] == [other.subject]
    bench.close_case()
    bench.adopt(bench.models[0])
    assert [one.subject for one in taught(bench)] == [mine.subject]


@pytest.mark.usefixtures("standin")
def test_who_examines_is_known_to_the_next_fine_tune_whether_or_not_the_model_was_used(
    bench: Workbench, scan: Volume
) -> None:
    bench.open_case(scan).labels[HERE] = 1
    times = [finish(bench.fine_tune(FineTuneConfig())).split["times"] for _ in range(3)]
    assert times == [1, 2, 3]


@pytest.mark.usefixtures("standin")
def test_keeping_the_old_model_leaves_the_new_one_on_the_list(
    bench: Workbench, scan: Volume
) -> None:
    bench.open_case(scan).labels[HERE] = 1
    old = bench.segmenter
    outcome = finish(bench.fine_tune(FineTuneConfig()))
    bench.keep_old(outcome)
    assert bench.segmenter == old
    assert outcome.candidate in bench.versions()


@pytest.mark.usefixtures("standin")
@pytest.mark.parametrize("good", [False, True])
def test_a_fine_tune_goes_on_from_a_refused_model_but_not_from_one_that_nobody_wanted(
    bench: Workbench, scan: Volume, tmp_path: Path, good: bool
) -> None:
    bench.open_case(scan).labels[HERE] = 1
    if not good:
        (tmp_path / "models" / "balls" / "refuse").touch()
    first = finish(bench.fine_tune(FineTuneConfig()))
    bench.keep_old(first)
    second = finish(bench.fine_tune(FineTuneConfig()))
    assert first.split["begin"] == ""
    assert second.split["begin"] == ("" if good else str(first.candidate.path))


@pytest.mark.usefixtures("standin")
def test_predicting_goes_on_while_a_fine_tune_runs(
    bench: Workbench, scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson, "FINE_TUNE", "standin:fine_tune_forever")
    case = bench.open_case(scan)
    case.labels[HERE] = 1
    learning = bench.fine_tune(FineTuneConfig())
    _until_progress(learning)
    predict(bench)
    assert case.labels.sum() > 24
    with pytest.raises(InputError, match="a fine-tune must end"):
        bench.fine_tune(FineTuneConfig())
    learning.close()


@pytest.mark.usefixtures("standin")
def test_closing_in_the_middle_of_training_ends_the_child_and_keeps_every_stroke(
    bench: Workbench,
    scan: Volume,
    tmp_path: Path,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lesson, "FINE_TUNE", "standin:fine_tune_forever")
    case = bench.open_case(scan)
    case.labels[HERE] = 1
    ended: list[BaseException] = []
    thread = Thread(target=_drive, args=(bench.fine_tune(FineTuneConfig()), ended))
    thread.start()
    time.sleep(1.5)
    case.labels[0, 0, 0] = 1  # never committed
    bench.close()
    thread.join(20)
    assert [type(error) for error in ended] == [WorkerDied]
    later = Workbench(tmp_path, models)
    assert later.open_case(scan).tracker.painted == 25
    later.close()


def test_the_whole_loop_with_a_real_network(bench: Workbench, scan: Volume) -> None:
    case = bench.open_case(scan)
    predict(bench)
    case.labels[:] = case.volume.array > 0
    for index in range(len(case.labels)):
        bench.confirm_slice(0, index)
    config = FineTuneConfig(steps=2, batch=1, validations=1, device="cpu", threads=1)
    outcome: Any = finish(bench.fine_tune(config))
    assert outcome.cases == 1
    bench.use(outcome)
    predict(bench)
    np.testing.assert_array_equal(case.labels, case.volume.array > 0)


def test_a_fine_tune_that_was_interrupted_goes_on_after_a_restart(
    tmp_path: Path, models: Path, scan: Volume
) -> None:
    config = FineTuneConfig(steps=4, batch=1, validations=1, device="cpu", threads=1)
    first = Workbench(tmp_path, models)
    case = first.open_case(scan)
    case.labels[:] = case.volume.array > 0
    for index in range(len(case.labels)):
        first.confirm_slice(0, index)
    job = first.fine_tune(config)
    while not isinstance(next(job), StepDone):
        pass
    job.close()
    first.close()
    second = Workbench(tmp_path, models)
    second.open_case(scan)
    events: list[object] = []
    finish(second.fine_tune(config), events.append)
    second.close()
    assert any("Going on" in one.text for one in events if isinstance(one, Notice))
    assert 1 not in [one.step for one in events if isinstance(one, StepDone)]


def _until_progress(job: Job[Any]) -> None:
    while not isinstance(next(job), Progress):
        pass


def _told_once(job: Job[Any], wish: object) -> Job[Any]:
    yield job.send(wish)
    return (yield from job)


def _drive(job: Job[Any], ended: list[BaseException]) -> None:
    """As the window's worker does, on a thread."""
    try:
        finish(job)
    except WorkerDied as error:
        ended.append(error)
