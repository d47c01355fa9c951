from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from child_jobs import listen

from napari_medseg.errors import MedsegError, ReadError, WorkerDied
from napari_medseg.jobs import Child, Job, Listening, Progress, apart, finish

CLOSING_S = 5.0  # the promise to a user who closes the window


@pytest.fixture(autouse=True)
def _child_finds_our_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def here(n: int) -> Job[str]:
    for i in range(n):
        yield Progress(i + 1, n)
    return "done"


def test_a_job_runs_to_its_end_and_tells_of_each_event() -> None:
    events: list[object] = []
    assert finish(here(3), events.append) == "done"
    assert events == [Progress(1, 3), Progress(2, 3), Progress(3, 3)]


def test_a_child_gives_the_same_events_and_the_result() -> None:
    events: list[object] = []
    pid = finish(apart("child_jobs:count", 3), events.append)
    assert events == [Progress(1, 3), Progress(2, 3), Progress(3, 3)]
    assert isinstance(pid, int)


def test_a_child_stays_warm_between_jobs_also_after_a_refusal() -> None:
    with Child() as child:
        first = finish(child.run("child_jobs:count", 1))
        with pytest.raises(ReadError):
            finish(child.run("child_jobs:refuse", "scan.nii"))
        assert finish(child.run("child_jobs:count", 1)) == first


def test_a_refusal_crosses_with_its_kind_name_and_message() -> None:
    with pytest.raises(ReadError) as refusal:
        finish(apart("child_jobs:refuse", "scan.nii"))
    assert refusal.value.name == "scan.nii"
    assert str(refusal.value) == "scan.nii: must be whole, got half; copy it again"


def test_a_bug_in_the_child_brings_its_traceback() -> None:
    with pytest.raises(WorkerDied, match="KeyError: 'a bug'") as died:
        finish(apart("child_jobs:stumble"))
    assert "in stumble" in "".join(died.value.__notes__)


def test_what_a_driver_answers_to_an_event_is_told_to_the_job() -> None:
    assert finish(listen(3), lambda event: f"heard {event}") == ["heard 0", "heard 1", "heard 2"]


def test_a_running_child_is_told_in_order_and_a_job_that_ended_hears_nothing() -> None:
    with Child() as child:
        job, wishes = child.run("child_jobs:listen", 30), list(range(1, 6))
        heard = finish(job, lambda _: wishes.pop(0) if wishes else None)
        assert heard[-1] == 5, "the last one counts"
        assert heard == sorted(set(heard))
        finish(child.run("child_jobs:count", 1), lambda _: "perhaps too late")
        assert finish(child.run("child_jobs:listen", 2)) == []


def test_a_job_that_does_not_listen_runs_to_its_end() -> None:
    assert finish(apart("child_jobs:count", 30), lambda _: "who is there?") > 0


def test_a_child_that_was_told_something_still_stops_at_once(tmp_path: Path) -> None:
    job = apart("child_jobs:tidy", str(tmp_path / "mark"))
    next(job)
    job.send("a wish")
    job.close()
    assert (tmp_path / "mark").read_text() == "closed"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_child_is_told_of_and_takes_nothing_with_it(how: signal.Signals) -> None:
    with Child() as child:
        with pytest.raises(WorkerDied, match=f"exit code -{int(how)}"):
            finish(child.run("child_jobs:die", int(how)))
        assert finish(child.run("child_jobs:count", 1)) > 0


def test_a_child_that_leaves_without_a_word_is_told_of() -> None:
    with pytest.raises(WorkerDied, match="exit code 7"):
        finish(apart("child_jobs:vanish"))


@pytest.mark.parametrize("job", ["sleep_long", "deaf"])
def test_closing_inside_a_long_step_takes_less_than_five_seconds(job: str) -> None:
    child = Child()
    running = child.run(f"child_jobs:{job}", 60.0)
    next(running)
    started = time.monotonic()
    child.close()
    assert time.monotonic() - started < CLOSING_S
    assert not child.alive
    with pytest.raises(WorkerDied):
        finish(running)


def test_closing_from_another_thread_ends_a_waiting_job() -> None:
    child, outcome = Child(), []

    def wait() -> None:
        try:
            finish(child.run("child_jobs:sleep_long", 60.0), lambda _: begun.set())
        except WorkerDied as error:
            outcome.append(error)

    begun = threading.Event()
    waiting = threading.Thread(target=wait)
    waiting.start()
    assert begun.wait(60)
    child.close()
    waiting.join(CLOSING_S)
    assert not waiting.is_alive()
    assert len(outcome) == 1


def test_closing_a_job_half_way_runs_its_finally(tmp_path: Path) -> None:
    job = apart("child_jobs:tidy", str(tmp_path / "mark"))
    next(job)
    job.close()
    assert (tmp_path / "mark").read_text() == "closed"


def test_closing_a_job_that_says_more_than_was_listened_to_runs_its_finally(
    tmp_path: Path,
) -> None:
    job = apart("child_jobs:lecture", str(tmp_path / "mark"))
    next(job)
    time.sleep(0.5)  # by then the child has said all the rest
    job.close()
    assert (tmp_path / "mark").read_text() == "closed"


def test_big_arrays_cross_in_events_and_results_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    array = np.random.default_rng(0).random((3, 512, 1024), np.float32)
    events: list[object] = []
    result = finish(apart("child_jobs:double", array), events.append)
    np.testing.assert_array_equal(result, array * 2)
    np.testing.assert_array_equal(events[0], array[0])  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_cannot_cross_is_a_bug_that_is_told() -> None:
    with pytest.raises(WorkerDied, match=r"(?i)pickl|lambda"):
        finish(apart("child_jobs:unsendable"))


def test_an_argument_that_cannot_cross_does_not_leave_the_child_waiting() -> None:
    with Child() as child:
        with pytest.raises((pickle.PicklingError, AttributeError)):
            finish(child.run("child_jobs:count", lambda: None))
        assert not child.alive


@pytest.mark.parametrize("name", ["child_jobs:missing", "no_such_module:run"])
def test_a_job_that_does_not_exist_is_told(name: str) -> None:
    with pytest.raises(WorkerDied, match=r"missing|no_such_module"):
        finish(apart(name))


def test_what_a_job_prints_does_not_disturb_the_pipe(capfd: pytest.CaptureFixture[str]) -> None:
    assert finish(apart("child_jobs:chatter")) == "done"
    assert capfd.readouterr().out == "", "standard output is the parent's"


def test_a_child_can_be_closed_twice_and_before_it_started() -> None:
    child = Child()
    child.close()
    child.start()
    assert child.alive
    child.close()
    child.close()
    assert not child.alive


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_child_in_a_long_step_does_not_outlive_a_killed_parent() -> None:
    code = "import child_jobs; child_jobs.orphan()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    child.wait(30)
    assert not child.is_running()


def test_a_child_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(MedsegError, match="must start"):
        finish(apart("child_jobs:count", 1))


def test_a_child_that_listens_waits_until_it_is_told_something() -> None:
    with Child() as child:
        job = child.run("child_jobs:wait_for_words", 2)
        assert next(job) == Listening(0)
        assert job.send("first") == Listening(1)
        with pytest.raises(StopIteration) as ended:
            job.send("second")
    assert ended.value.value == ["first", "second"]


def test_a_child_that_listens_ends_at_once_when_it_is_stopped() -> None:
    with Child() as child:
        job = child.run("child_jobs:wait_for_words", 1)
        next(job)
        started = time.monotonic()
        job.close()
    assert time.monotonic() - started < CLOSING_S


def test_what_is_told_before_a_child_listens_is_heard_then() -> None:
    with Child() as child:
        job = child.run("child_jobs:wait_after_a_while", 0.3)
        next(job)
        assert job.send("early") == ("heard", "early"), "and not that it waits"


def on_a_thread(work: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """The thread, which holds nobody up where it hangs, and what came out of it."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(work())
        except MedsegError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize(
    ("events", "event_bytes", "wish_bytes"), [(20, 1_000_000, 1_000_000), (2000, 10, 20_000)]
)
def test_a_child_that_talks_while_it_is_talked_to_is_heard_to_its_end(
    events: int, event_bytes: int, wish_bytes: int
) -> None:
    def converse() -> object:
        job = apart("child_jobs:talk", events, event_bytes)
        next(job)
        time.sleep(1)  # by then the child has said as much as the pipe holds
        job.send(bytes(wish_bytes))
        return finish(job, lambda _: bytes(wish_bytes))

    thread, outcome = on_a_thread(converse)
    thread.join(60)
    assert not thread.is_alive(), "both wait until the other one listens"
    assert isinstance(outcome[0], int)


def told_until_full(child: Child, most: int) -> tuple[threading.Thread, list[int]]:
    """A thread that talks to a child that stands still, and what it could say until it stuck."""
    told: list[int] = []

    def answer(event: object) -> bytes:
        while psutil.Process(int(str(event))).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        told.append(len(told))
        return bytes(30_000)

    thread, _ = on_a_thread(lambda: finish(child.run("child_jobs:freeze", most), answer))
    before = -1
    while thread.is_alive() and (not told or before != len(told)):
        before = len(told)
        time.sleep(0.5)
    return thread, told


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_closing_is_quick_also_while_the_pipe_is_full_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    child = Child()
    talking, told = told_until_full(child, most=100)
    closing, _ = on_a_thread(child.close)
    closing.join(CLOSING_S)
    assert not closing.is_alive()
    talking.join(CLOSING_S)
    assert not talking.is_alive()
    assert len(told) < 100, "else the pipe was not full"
    assert not child.alive
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_closing_is_quick_also_while_a_child_is_being_born(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexec sleep 60\n")
    mute.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(mute))
    child = Child()
    starting, outcome = on_a_thread(child.start)
    while starting.is_alive() and not child.alive:
        time.sleep(0.01)
    closing, _ = on_a_thread(child.close)
    closing.join(CLOSING_S)
    assert not closing.is_alive()
    starting.join(CLOSING_S)
    assert isinstance(outcome[0], WorkerDied)


def test_long_wishes_cross_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    arrays = [np.full(10_000, i, np.uint8) for i in range(100)]
    with Child() as child:
        job = child.run("child_jobs:wait_for_words", 1)
        next(job)
        with pytest.raises(StopIteration) as ended:
            job.send(arrays)
        np.testing.assert_array_equal(ended.value.value[0], arrays)
        assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []
    assert list(tmp_path.iterdir()) == []
