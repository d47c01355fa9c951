"""The only threads of the window: each drives one job and speaks to the screen in its own time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.errors import MedsegError
from napari_medseg.jobs import Job, Listening

TICK_MS = 50
BUDGET_S = 0.010  # of each tick, so that a flood of events leaves the window fluid
SLOW_TICK_S = 0.2  # numbers and curves need no more, and each redraws the window
MOST_WAITING = 1000  # events; a job that tells faster than the window takes waits for it


class Worker(QObject):
    """A job on a thread of its own; all signals come on the window's thread.

    Signals
    -------
    told
        Each event of the job, in order.
    ticked
        At most five times a second, after events came: the time to redraw.
    returned, failed, stopped
        How it ended, exactly one of them; `failed` brings the exception.
    finished
        After any of the three.

    Parameters
    ----------
    job
        What to run; closed here whatever happens, on the thread that ran it.
    hold
        While it says True no event is handed over; they wait, none is lost.
    """

    told = Signal(object)
    ticked = Signal()
    returned = Signal(object)
    failed = Signal(object)
    stopped = Signal()
    finished = Signal()

    def __init__(
        self,
        job: Job[Any],
        hold: Callable[[], bool] = lambda: False,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._job = job
        self._hold = hold
        self._halt = threading.Event()
        self._inbox: deque[tuple[str, Any]] = deque()
        self._wish: deque[object] = deque(maxlen=1)  # only the last one counts
        self._wished = threading.Event()  # or it is time to end
        self._thread = threading.Thread(target=self._drive, name="medseg-job", daemon=True)
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._deliver)
        self._last_tick = 0.0
        self._news = False  # what has come and was not ticked for

    @property
    def running(self) -> bool:
        """From `start` until the end has been told."""
        return self._timer.isActive()

    @property
    def stopping(self) -> bool:
        return self.running and self._halt.is_set()

    def start(self) -> None:
        self._timer.start()
        self._thread.start()

    def tell(self, wish: object) -> None:
        """Send something into the job at its next event, and return at once; any thread may."""
        self._wish.append(wish)
        self._wished.set()

    def stop(self) -> None:
        """Ask for the end and return at once; the job closes at its next event."""
        self._halt.set()
        self._wished.set()

    def abandon(self, grace_s: float) -> None:
        """The window closes: no more signals; wait at most `grace_s` seconds for the thread."""
        self._halt.set()
        self._wished.set()
        self._timer.stop()
        if self._thread.is_alive():
            self._thread.join(grace_s)

    def _drive(self) -> None:
        """On the thread: everything that touches the job."""
        try:
            self._inbox.append(("returned", self._run()))
        except Exception as error:  # noqa: BLE001  told on the window's thread, traceback and all
            self._inbox.append(("failed", error))

    def _run(self) -> Any:
        wish = None  # a job that has not begun cannot be told anything
        try:
            while not self._halt.is_set():
                event = self._job.send(wish)
                wish = self._told() if isinstance(event, Listening) else self._last_wish()
                if not isinstance(event, Listening):
                    self._inbox.append(("event", event))
                while len(self._inbox) >= MOST_WAITING and not self._halt.wait(TICK_MS / 1000):
                    pass
        except StopIteration as done:
            return done.value
        finally:
            self._job.close()
        return None

    def _last_wish(self) -> object:
        return self._wish.pop() if self._wish else None

    def _told(self) -> object:
        """Wait for a wish, or for the end."""
        while not self._halt.is_set():
            self._wished.wait()
            self._wished.clear()
            if self._wish:
                return self._wish.pop()
        return None

    def _deliver(self) -> None:
        """On the window's thread: hand over what has come, for some milliseconds."""
        if self._hold() and not self._halt.is_set():
            return
        until = time.perf_counter() + BUDGET_S
        self._news = self._news or bool(self._inbox)
        while self._inbox and time.perf_counter() < until:
            kind, value = self._inbox.popleft()
            if kind != "event":
                self._end(kind, value)
            elif not self._halt.is_set():
                self.told.emit(value)
        now = time.perf_counter()
        if self._news and self.running and now - self._last_tick >= SLOW_TICK_S:
            self._last_tick, self._news = now, False
            self.ticked.emit()

    def _end(self, kind: str, value: Any) -> None:
        self._timer.stop()
        self.ticked.emit()
        if self._halt.is_set() and (kind == "returned" or isinstance(value, MedsegError)):
            self.stopped.emit()  # a child that dies because we ended it is no failure
        elif kind == "returned":
            self.returned.emit(value)
        else:
            self.failed.emit(value)
        self.finished.emit()
