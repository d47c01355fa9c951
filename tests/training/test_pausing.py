"""A job that rests when it is told to."""

from __future__ import annotations

import time

from napari_medseg.jobs import Job, Listening, Progress, finish
from napari_medseg.training.events import Pause, Rested
from napari_medseg.training.pausing import pausable


def steps(told: list[object]) -> Job[str]:
    for number in range(3):
        told.append((yield number))
    return "done"


def test_it_says_that_it_is_paused_and_waits_to_be_told_to_go_on() -> None:
    told: list[object] = []
    job = pausable(steps(told))
    assert next(job) == 0
    assert job.send(Pause()) == Progress(0, 0, "Paused")
    assert next(job) == Listening()
    assert job.send(Pause()) == Listening(), "told twice"
    time.sleep(0.02)
    assert job.send(Pause(False)) == 1
    assert isinstance(told[0], Rested)
    assert told[0].seconds >= 0.02


def test_one_that_nobody_pauses_is_as_it_was() -> None:
    told: list[object] = []
    job = pausable(steps(told))
    assert list(job) == [0, 1, 2]
    assert told == [None] * 3


def test_its_result_is_the_jobs() -> None:
    assert finish(pausable(steps([]))) == "done"
