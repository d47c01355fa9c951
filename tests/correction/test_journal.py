"""Corrections reach the disk, whatever the disk does."""

from __future__ import annotations

import errno
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from isal import igzip
from painting import KEY, Session, same

from napari_medseg.correction import journal as journal_module
from napari_medseg.correction.log import Entry, Log
from napari_medseg.correction.record import Correction
from napari_medseg.correction.state import CLOSED, Sign, load, save


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "RETRY_S", 0.01)


def test_what_was_painted_is_there_after_opening_again(session: Session) -> None:
    session.paint(10)
    session.close()
    assert same(session.open().state, session.history[-1])


def test_a_step_is_acknowledged_in_order_and_at_once(session: Session) -> None:
    session.paint(3)
    assert session.journal.flush(20)
    assert session.journal.acknowledged == 4  # three strokes and the first whole state
    assert session.journal.saved


def test_an_undone_stroke_is_undone_after_opening_again(session: Session) -> None:
    session.paint(1)
    session.tracker.labels[:] = 0
    undone = session.tracker.commit()
    assert undone is not None
    session.journal.append(undone)
    session.close()
    session.open()
    assert not session.tracker.touched


def test_confirmed_slices_and_their_source_come_back(session: Session) -> None:
    session.paint(5)
    session.mark(0, 2)
    session.mark(2, 7)
    session.mark(0, 2, on=False)
    source = session.tracker.source.copy()
    session.close()
    session.open()
    assert session.tracker.marks == (frozenset(), frozenset(), frozenset({7}))
    np.testing.assert_array_equal(session.tracker.source, source)


def test_a_confirmed_slice_brings_the_models_labels_that_were_seen(session: Session) -> None:
    session.paint(1)
    session.tracker.receive(session.tracker.slice_box(0, 4), np.full((1, 20, 20), 9, np.uint8))
    session.mark(0, 4)
    session.close()
    session.open()
    assert (session.tracker.baseline[4] == 9).sum() >= 391
    assert (session.tracker.source[4] == 2).all()


@pytest.mark.parametrize("whole", [False, True])
def test_voxels_that_are_vouched_for_come_back_with_the_labels_that_were_seen(
    session: Session, whole: bool
) -> None:
    box = slice(1, 4), slice(2, 9), slice(3, 12)
    session.paint(3)
    session.tracker.receive(box, np.full((3, 7, 9), 3, np.uint8))
    session.vouch(box)
    session.vouch((slice(1, 2), slice(2, 9), slice(3, 12)), on=False)
    if whole:
        session.journal.append(None)
    before = session.tracker.source.copy(), session.tracker.labels[2:4, 2:9, 3:12].copy()
    session.close()
    session.open()
    assert session.tracker.vouched.count == 2 * 7 * 9
    np.testing.assert_array_equal(session.tracker.source == 2, before[0] == 2)
    np.testing.assert_array_equal(session.tracker.labels[2:4, 2:9, 3:12], before[1])


def test_a_whole_state_of_an_earlier_version_is_read(session: Session, tmp_path: Path) -> None:
    session.paint(3)
    save(session.state(), tmp_path / "state")
    with igzip.open(tmp_path / "state") as file:
        line, rest = file.read().split(b"\n", 1)
    header = json.loads(line)
    assert header.pop("vouched") is False
    with igzip.open(tmp_path / "state", "wb") as file:
        file.write(json.dumps({**header, "schema": 1}).encode() + b"\n" + rest)
    assert same(load(tmp_path / "state"), session.history[-1])


def test_older_steps_are_dropped_once_two_whole_states_hold_them(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "STATE_EVERY", 5)
    session.paint(12)
    session.journal.append(Sign(CLOSED))  # what was before is not taken back after a crash
    session.close()
    session.open()
    for _ in range(11):
        session.paint()
        session.journal.flush(20)
    session.close()
    assert len(session.files.states()) == 2
    log = Log(session.files.log)
    assert len(list(log.read(after=0))) <= 16
    log.close()
    assert same(session.open().state, session.history[-1])


@pytest.mark.parametrize(
    "trouble",
    [sqlite3.OperationalError("database or disk is full"), OSError(errno.ENOSPC, "No space left")],
)
def test_a_full_disk_is_told_once_and_tried_again_until_it_works(
    session: Session, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    _fail(monkeypatch, 4, trouble)
    session.paint(3)
    assert session.journal.flush(20)
    assert [("cannot be recorded" in one) for one in session.reports] == [True, False]
    session.close()
    assert same(session.open().state, session.history[-1])


def test_a_queue_that_fills_on_a_full_disk_loses_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "QUEUE_LENGTH", 64)
    space = _fail(monkeypatch, 10**9, OSError(errno.ENOSPC, "No space left"))
    session.paint(3 * journal_module.QUEUE_LENGTH)
    assert len(session.journal._waiting) <= journal_module.QUEUE_LENGTH
    space.set()
    assert session.journal.flush(20)
    session.close()
    assert same(session.open().state, session.history[-1])


def test_the_queue_takes_only_so_much_memory(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "QUEUE_BYTES", 1000)
    space = _fail(monkeypatch, 10**9, OSError(errno.ENOSPC, "No space left"))
    session.paint(300)
    assert len(session.journal._waiting) < 20
    space.set()
    session.close()
    assert same(session.open().state, session.history[-1])


def test_closing_on_a_full_disk_ends_in_time_and_says_that_not_all_is_saved(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail(monkeypatch, 10**9, OSError(errno.ENOSPC, "No space left"))
    session.paint()
    assert not session.journal.close(0.2)
    assert not session.journal.running


def test_a_second_window_is_told_and_does_not_touch_the_first_ones_record(
    session: Session, tmp_path: Path
) -> None:
    session.paint(3)
    session.journal.flush(20)
    second = session.store.recover(KEY, session.blank())
    assert not second.writable
    assert "open in another window" in second.warning
    session.paint(2)
    session.close()
    assert same(session.open().state, session.history[-1])


def test_two_windows_that_opened_together_overwrite_nothing_of_each_other(tmp_path: Path) -> None:
    first, second = Session(tmp_path), Session(tmp_path)
    first.paint(3)
    first.close()
    second.paint(2)
    second.close()
    assert "put aside" in second.reports[0]
    assert same(second.open().state, second.history[-1])
    assert list((tmp_path / "cases").glob("*.aside"))
    second.close()


def test_side_work_waits_for_strokes_and_is_done_before_the_end(session: Session) -> None:
    done: list[int] = []
    session.journal.beside(iter(done.append(i) for i in range(5)))
    session.paint(2)
    session.close()
    assert done == [0, 1, 2, 3, 4]


def test_side_work_that_fails_is_told_and_strokes_go_on(session: Session) -> None:
    def failing() -> Any:
        raise OSError(errno.ENOSPC, "No space left")
        yield

    session.journal.beside(failing())
    session.paint(2)
    session.close()
    assert session.reports == [
        "the scan could not be kept for fine-tuning: No space left; free some space"
    ]
    assert same(session.open().state, session.history[-1])


def test_a_correction_is_small_on_disk(session: Session) -> None:
    session.paint()
    session.journal.flush(20)
    session.paint()
    session.close()
    log = Log(session.files.log)
    steps: list[Entry] = list(log.read(after=2))
    log.close()
    assert [step.kind for step in steps] == ["painted"]
    assert len(steps[0].payload) < 60


def _fail(monkeypatch: pytest.MonkeyPatch, times: int, trouble: Exception) -> threading.Event:
    """Make the first writes fail; set the event to make them work."""
    append, left, space = Log.append, [times], threading.Event()

    def failing(self: Log, entry: Entry) -> None:
        left[0] -= 1
        if left[0] >= 0 and not space.is_set():
            raise trouble
        append(self, entry)

    monkeypatch.setattr(Log, "append", failing)
    return space


def test_a_correction_knows_its_voxels() -> None:
    old, new = np.zeros((1, 1, 3), np.uint8), np.array([[[0, 1, 2]]], np.uint8)
    box = slice(0, 1), slice(0, 1), slice(0, 3)
    assert Correction(box, old, new, old, new > 0).voxels == 2
