"""The thread behind a dock: events in order on the window's thread, and four ways to end."""

from __future__ import annotations

import threading

import pytest

from napari_medseg.errors import InputError
from napari_medseg.jobs import Listening
from napari_medseg.widgets.worker import MOST_WAITING, Worker


def counting(log: list[object], upto: int = 5):
    """A job that says 0, 1, 2 … and notes when it was closed, and on which thread."""
    try:
        yield from range(upto)
        return "sum"
    finally:
        log.append(threading.current_thread().name)


def endless(log: list[object]):
    try:
        while True:
            yield threading.Event().wait(0.01)
    finally:
        log.append("closed")


def flooding(told: list[int]):
    """Tells without a pause, and counts."""
    while True:
        told[0] += 1
        yield told[0]


def failing(error: Exception):
    yield 1
    raise error


def listening(upto: int):
    """Says what it was told last, and lets the teller answer."""
    told = None
    for _ in range(upto):
        told = (yield told) or told
        threading.Event().wait(0.01)
    return told


def heard(worker: Worker) -> list[object]:
    """Everything a worker says, in order."""
    said: list[object] = []
    worker.told.connect(said.append)
    worker.returned.connect(lambda result: said.append(("returned", result)))
    worker.failed.connect(lambda error: said.append(("failed", error)))
    worker.stopped.connect(lambda: said.append("stopped"))
    return said


def run(qtbot, worker: Worker) -> list[object]:
    said = heard(worker)
    with qtbot.waitSignal(worker.finished, timeout=5000):
        worker.start()
    return said


def test_events_come_in_order_and_then_the_result(qtbot):
    assert run(qtbot, Worker(counting([]))) == [0, 1, 2, 3, 4, ("returned", "sum")]


def test_the_job_runs_and_closes_on_its_own_thread(qtbot):
    log: list[object] = []
    run(qtbot, Worker(counting(log)))
    assert log == ["medseg-job"]


def test_events_arrive_on_the_thread_of_the_window(qtbot):
    worker, threads = Worker(counting([])), []
    worker.told.connect(lambda _: threads.append(threading.current_thread()))
    run(qtbot, worker)
    assert set(threads) == {threading.main_thread()}


def test_a_job_that_tells_too_much_waits_for_the_window_and_stops_at_once(qtbot):
    told, hold = [0], [True]
    worker = Worker(flooding(told), hold=lambda: hold[0])
    said = heard(worker)
    worker.start()
    qtbot.waitUntil(lambda: told[0] == MOST_WAITING)
    qtbot.wait(200)
    assert told[0] == MOST_WAITING
    hold[0] = False
    qtbot.waitUntil(lambda: told[0] > MOST_WAITING)
    with qtbot.waitSignal(worker.finished):
        worker.stop()
    assert said[-1] == "stopped"
    assert said[:-1] == list(range(1, len(said)))


@pytest.mark.parametrize("error", [InputError("no"), RuntimeError("torch says"), ValueError("bug")])
def test_any_failure_is_told_with_its_traceback(qtbot, error):
    said = run(qtbot, Worker(failing(error)))
    assert said == [1, ("failed", error)]
    assert error.__traceback__ is not None


def test_stop_closes_the_job_and_is_no_failure(qtbot):
    log: list[object] = []
    worker = Worker(endless(log))
    said = heard(worker)
    worker.start()
    qtbot.wait(100)
    with qtbot.waitSignal(worker.finished, timeout=5000):
        worker.stop()
    assert log == ["closed"]
    assert said[-1] == "stopped"


def test_a_running_job_hears_what_it_is_told_and_the_last_wish_counts(qtbot):
    worker = Worker(listening(1000))
    said = heard(worker)
    worker.start()
    for wish in ("first", "last"):
        worker.tell(wish)
    qtbot.waitUntil(lambda: "last" in said, timeout=5000)
    assert said[0] is None, "a job begins before it can be told anything"
    assert said[-1] == "last"
    with qtbot.waitSignal(worker.finished, timeout=5000):
        worker.stop()


def test_a_wish_can_come_before_the_start(qtbot):
    worker = Worker(listening(3))
    worker.tell("early")
    assert run(qtbot, worker) == [None, "early", "early", ("returned", "early")]


def test_a_child_that_dies_because_we_stopped_it_is_no_failure(qtbot):
    worker = Worker(failing(InputError("ended")))
    worker.stop()
    assert run(qtbot, worker) == ["stopped"]


def test_events_wait_while_a_stroke_is_on_and_none_is_lost(qtbot):
    stroke = [True]
    worker = Worker(counting([]), hold=lambda: stroke[0])
    said = heard(worker)
    worker.start()
    qtbot.wait(200)
    assert said == []
    with qtbot.waitSignal(worker.finished, timeout=5000):
        stroke[0] = False
    assert said[:5] == [0, 1, 2, 3, 4]


def test_a_flood_of_events_is_told_to_the_plots_at_most_five_times_a_second(qtbot):
    worker, ticks = Worker(counting([], upto=20_000)), []
    worker.ticked.connect(lambda: ticks.append(1))
    assert len(run(qtbot, worker)) == 20_001
    assert len(ticks) < 200


def test_the_last_event_before_a_rest_is_ticked_for_too(qtbot):
    go_on = threading.Event()

    def job():
        yield 1
        threading.Event().wait(0.1)  # within the time in which one tick is enough
        yield 2
        go_on.wait(10)
        yield 3

    worker = Worker(job())
    told, shown = heard(worker), []
    worker.ticked.connect(lambda: shown.append(list(told)))
    worker.start()
    qtbot.waitUntil(lambda: bool(shown) and shown[-1] == [1, 2], timeout=5000)
    go_on.set()
    with qtbot.waitSignal(worker.finished, timeout=5000):
        pass


def test_abandoning_waits_for_the_thread_and_says_nothing(qtbot):
    log: list[object] = []
    worker = Worker(endless(log))
    said = heard(worker)
    worker.start()
    worker.abandon(grace_s=5)
    assert (log, said) == (["closed"], [])


def test_a_job_that_listens_is_asked_again_when_it_is_told_something(qtbot):
    asked = []

    def job():
        asked.append((yield Listening()))
        yield "heard"
        yield Listening()

    worker = Worker(job())
    told = heard(worker)
    worker.start()
    qtbot.wait(30)
    assert asked == []
    worker.tell("go")
    qtbot.waitUntil(lambda: told == ["heard"])
    worker.stop()
    qtbot.waitUntil(lambda: not worker.running)
    assert asked == ["go"]
