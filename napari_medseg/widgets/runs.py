"""What runs for one viewer, and what it told so far; docks come and go, a run stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.inference.events import BoxDone, Prediction
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.training.events import Dice, Pause, StepDone, Validated
from napari_medseg.widgets.notices import tell_error
from napari_medseg.widgets.worker import TICK_MS, Worker


class EndedEarly(Enum):
    """Why a run gave no result."""

    STOPPED = auto()
    FAILED = auto()


class Run(QObject):
    """One kind of long work; at most one at a time.

    Signals
    -------
    changed
        Started, ended, or (at most five times a second) went on.
    """

    changed = Signal()

    def __init__(self, parent: QObject, hold: Callable[[], bool] = lambda: False) -> None:
        super().__init__(parent)
        self._hold = hold
        self.worker: Worker | None = None
        self.clear()

    @property
    def running(self) -> bool:
        return self.worker is not None and self.worker.running

    @property
    def stopping(self) -> bool:
        return self.worker is not None and self.worker.stopping

    def start(self, job: Job[Any]) -> None:
        """Start a job; what the last one told is forgotten."""
        self.clear()
        self.worker = worker = Worker(job, self._hold, parent=self)
        worker.told.connect(self.take)
        worker.ticked.connect(self.changed)
        worker.returned.connect(self._on_returned)
        worker.failed.connect(tell_error)
        worker.failed.connect(self._on_failure)
        worker.stopped.connect(self._on_stopped)
        worker.finished.connect(self._forget)
        worker.finished.connect(self.changed)
        worker.finished.connect(worker.deleteLater)
        worker.start()
        self.changed.emit()

    def tell(self, wish: object) -> None:
        """Send something into the job that runs, if one does."""
        if self.worker is not None:
            self.worker.tell(wish)

    def stop(self) -> None:
        if self.worker is not None:
            self.worker.stop()
            self.changed.emit()

    def abandon(self, grace_s: float) -> None:
        """The window closes."""
        if self.worker is not None:
            self.worker.abandon(grace_s)
            self._forget()

    def clear(self) -> None:
        """Nothing was told yet."""
        self.progress: Progress | None = None
        self.notices: list[str] = []
        self.result: Any = None
        self.ended_early: EndedEarly | None = None

    def take(self, event: object) -> None:
        """Keep what an event says."""
        if isinstance(event, Progress):
            self.progress = event
        elif isinstance(event, Notice):
            self.notices.append(event.text)

    def _on_returned(self, result: Any) -> None:
        self.result = result

    def _on_stopped(self) -> None:
        self.ended_early = EndedEarly.STOPPED

    def _on_failure(self, error: BaseException) -> None:
        self.ended_early = EndedEarly.FAILED

    def _forget(self) -> None:
        self.worker = None


class FillRun(Run):
    """A run that fills the mask; its pieces go to `receive`, its result to `end`.

    Where it is stopped or fails `give_up` is called, after the last piece.
    """

    def __init__(
        self,
        parent: QObject,
        hold: Callable[[], bool],
        receive: Callable[[Any], None],
        end: Callable[[Any], None],
        give_up: Callable[[], None],
    ) -> None:
        super().__init__(parent, hold)
        self._receive = receive
        self._end = end
        self._give_up = give_up

    def _on_returned(self, result: Any) -> None:
        self._end(result)
        super()._on_returned(result)

    def _on_stopped(self) -> None:
        self._end_early()
        super()._on_stopped()

    def _on_failure(self, error: BaseException) -> None:
        self._end_early()
        super()._on_failure(error)

    def _end_early(self) -> None:
        """Give up, but not under a brush that paints; a run that began meanwhile did so itself."""
        if self._hold():
            QTimer.singleShot(TICK_MS, self._after_stroke)
        else:
            self._give_up()

    def _after_stroke(self) -> None:
        if not self.running:
            self._end_early()


class PredictRun(FillRun):
    """A running prediction; `result` keeps no probabilities.

    They are as large as many masks, and `end` had them.
    """

    def take(self, event: object) -> None:
        if isinstance(event, BoxDone):
            self._receive(event)
        else:
            super().take(event)

    def _on_returned(self, result: Prediction) -> None:
        super()._on_returned(result)
        self.result = replace(result, softmax=None)


class LearnRun(Run):
    """A running fine-tune; keeps its curves.

    It rests while the user wants it to, and while a prediction needs the processor.
    """

    def clear(self) -> None:
        super().clear()
        self.paused = self._makes_way = False
        self.steps: list[int] = []
        self.losses: list[float] = []
        self.checks: list[tuple[int, float]] = []  # step, mean Dice
        self.anchors: list[Dice] = []  # on pieces of earlier cases, the parent's first
        self.total_steps = 0
        self.seconds_left: float | None = None

    def take(self, event: object) -> None:
        if isinstance(event, StepDone):
            self.steps.append(event.step)
            self.losses.append(event.loss)
            self.total_steps, self.seconds_left = event.total, event.seconds_left
        elif isinstance(event, Validated):
            self.checks.append((event.step, mean_dice(event.dice)))
            if event.anchors:
                self.anchors.append(event.anchors)
        else:
            super().take(event)

    def pause(self, on: bool) -> None:
        """The user wants it to rest, or to go on."""
        self.paused = on
        self.tell(Pause(self.paused or self._makes_way))
        self.changed.emit()

    def make_way(self, on: bool) -> None:
        """Something more urgent runs, or no more."""
        if on != self._makes_way and self.running:
            self._makes_way = on
            self.tell(Pause(self.paused or on))


def mean_dice(dice: Dice) -> float:
    """Mean over the labels that occur; nan if none does."""
    values = [value for value in dice.values() if value == value]
    return sum(values) / len(values) if values else float("nan")
