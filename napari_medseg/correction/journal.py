"""The open case on its way to disk: one writer thread, nothing acknowledged before it is safe.

>>> journal = Journal(files, after=0, whole=case.state, report=warnings.put)
>>> ticket = journal.append(correction)          # copies nothing, waits for nothing
>>> journal.flush(1.0)                           # or look at `journal.acknowledged`

Every step goes into the case's log; now and then a whole state goes into a file of its own and
older steps are dropped. While the disk is full or gone the writer tries again each second; the
queue is bounded, and when it is full one whole state takes the place of all that waits in it.
A whole state is copied by the writer while strokes go on, and may hold a part of a stroke that
comes after it. That stroke's own step follows, and says the same.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from napari_medseg.correction.files import STATE_NUMBERS, CaseFiles
from napari_medseg.correction.log import Entry, Log, is_locked
from napari_medseg.correction.record import NO_DEED, Correction, Deed
from napari_medseg.correction.state import State, Step, Vouched, encode, save

QUEUE_LENGTH = 1024
QUEUE_BYTES = 256 << 20
STATE_EVERY = 200  # steps
RETRY_S = 1.0
STEPS_TO_TAKE_BACK = 5000  # after a crash; so that a session of weeks does not fill the disk


@dataclass(frozen=True, eq=False)
class _Task:
    """A step to write, or None for the case as a whole, which may stand for some lost steps."""

    ticket: int
    step: Step | None
    deed: Deed = NO_DEED
    instead: int = 0


class Journal:
    """Writes what happens to one case; made and used on the window's thread.

    Attributes
    ----------
    acknowledged
        The ticket up to which everything is on the disk.

    Parameters
    ----------
    files
        Where.
    after
        The number of the last step that is there already.
    whole
        Gives the case as it is now, or a little later; called on the writer's thread.
    report
        Takes a sentence for the user; called on the writer's thread.
    gate
        Held while the log is opened, so that readers of this window are waited for.
    since
        The steps behind this number are kept, to be taken back after a crash; None keeps none.
    """

    def __init__(
        self,
        files: CaseFiles,
        after: int,
        whole: Callable[[], State],
        report: Callable[[str], None],
        gate: threading.Lock | None = None,
        since: int | None = None,
    ) -> None:
        self.acknowledged = 0
        self.elsewhere = False  # whether another window has the log
        self._since = since
        self._gate = gate or threading.Lock()
        self._files, self._seq, self._whole, self._report = files, after, whole, report
        self._tickets = 0
        self._since_state = STATE_EVERY  # the first step brings a whole state
        self._waiting: deque[_Task] = deque()
        self._bytes = 0  # that they take
        self._side_work: Iterator[None] | None = None
        self._changed = threading.Condition()
        self._closing, self._give_up = False, threading.Event()
        self._log: Log | None = None
        self._in_trouble, self._first = False, True
        self._thread = threading.Thread(target=self._run, name="medseg-journal", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether the thread still has work."""
        return self._thread.is_alive()

    @property
    def saved(self) -> bool:
        """Whether everything is on the disk."""
        return self.acknowledged == self._tickets

    def append(self, step: Step | None, deed: Deed = NO_DEED) -> int:
        """Put a step in the queue, or None for the case as a whole; returns its ticket at once."""
        with self._changed:
            instead = 0
            if self._is_full():  # the whole holds them all
                instead = 1 + sum(task.instead or task.step is not None for task in self._waiting)
                self._waiting.clear()
                self._bytes = 0
                step = None
            self._put(step, deed, instead)
            if step is not None and self._since_state >= STATE_EVERY:
                self._put(None)
            self._changed.notify_all()
            return self._tickets

    def _is_full(self) -> bool:
        return len(self._waiting) >= QUEUE_LENGTH or self._bytes > QUEUE_BYTES

    def _put(self, step: Step | None, deed: Deed = NO_DEED, instead: int = 0) -> None:
        self._since_state = 0 if step is None else self._since_state + 1
        self._tickets += 1
        self._waiting.append(_Task(self._tickets, step, deed, instead))
        self._bytes += _size(step)

    def beside(self, work: Iterator[None]) -> None:
        """Long work in small parts, for when nothing waits; replaces what is not done yet."""
        with self._changed:
            self._side_work = work
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is on the disk; False if the time is up before."""
        with self._changed:
            return self._changed.wait_for(lambda: self.saved, timeout_s)

    def finish(self) -> None:
        """Ask the thread to write what waits and end; returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def close(self, timeout_s: float = 2.0) -> bool:
        """Write what waits and end; False if not all of it is on the disk."""
        until = time.monotonic() + timeout_s
        self.finish()
        self._thread.join(timeout_s)
        self._give_up.set()
        self._thread.join(max(0.2, until - time.monotonic()))
        return self.saved

    def _run(self) -> None:
        """On the thread: until closed and nothing waits."""
        while (task := self._next()) is not None:
            while not self._written(task):
                if self._give_up.wait(RETRY_S):
                    break
            else:
                with self._changed:
                    self.acknowledged = task.ticket
                    self._changed.notify_all()
        self._side_work = None  # half a copy of a scan is deleted with it
        self._drop_log()

    def _next(self) -> _Task | None:
        """What to write; does a part of the side work while there is nothing."""
        while not self._give_up.is_set():
            with self._changed:
                if self._waiting:
                    task = self._waiting.popleft()
                    self._bytes -= _size(task.step)
                    return task
                if self._side_work is None:
                    if self._closing:
                        return None
                    self._changed.wait()
                    continue
                work = self._side_work
            if not self._part_done(work):
                with self._changed:
                    self._side_work = None if self._side_work is work else self._side_work
        return None

    def _part_done(self, work: Iterator[None]) -> bool:
        """Whether the side work goes on after this part."""
        try:
            next(work)
        except StopIteration:
            return False
        except OSError as error:
            self._report(
                f"the scan could not be kept for fine-tuning: {error.strerror}; free some space"
            )
            return False
        return True

    def _written(self, task: _Task) -> bool:
        try:
            self._write(task)
        except (sqlite3.Error, OSError) as error:
            if not self._in_trouble:
                self._report(_sentence(error))
            self._in_trouble, self.elsewhere = True, is_locked(error)
            self._drop_log()
            return False
        if self._in_trouble:
            self._report("corrections are being recorded again; nothing was lost")
        self._in_trouble = self.elsewhere = False
        return True

    def _write(self, task: _Task) -> None:
        if self._log is None:
            with self._gate:
                self._log = self._opened()
        seq = self._seq + 1
        if task.step is None:
            save(self._whole(), self._files.state(seq), self._files.disk)
            self._log.append(Entry(seq, "state", {"instead": task.instead}, b""))
            self._log.prune(self._not_needed(seq))
        else:
            self._log.append(Entry(seq, *encode(task.step, task.deed)))
        self._seq = seq

    def _not_needed(self, seq: int) -> int:
        """Up to which step nobody asks the log: a state holds them, and none is taken back."""
        held = self._files.drop_old_states()  # the older one's steps stay
        if self._since is None:
            return held
        return min(held, max(self._since, seq - STEPS_TO_TAKE_BACK))

    def _opened(self) -> Log:
        self._files.make_folder()
        log = Log(self._files.log, disk=self._files.disk)
        if not self._first or log.last() <= self._seq:
            if self._first:
                self._files.sweep()
            self._first = False
            return log
        log.close()  # another window wrote since we looked: neither may overwrite the other
        self._files.set_aside(below=STATE_NUMBERS)
        self._report(
            "another window recorded corrections of this scan meanwhile; its record was put aside "
            f"in {self._files.folder}, this window's goes on"
        )
        return Log(self._files.log, disk=self._files.disk)

    def _drop_log(self) -> None:
        if self._log is not None:
            self._log.close()
        self._log = None


def _size(step: Step | None) -> int:
    """Bytes that a step takes in memory, about."""
    if isinstance(step, Vouched):
        return step.n_bytes
    return 5 * step.new.nbytes if isinstance(step, Correction) else 0


def _sentence(error: Exception) -> str:
    if is_locked(error):
        return (
            "this scan is open in another window, which records its corrections; "
            "close it there, until then what you correct here is only in memory"
        )
    reason = getattr(error, "strerror", None) or str(error)
    return f"corrections cannot be recorded ({reason}); free some space, they are kept in memory"
