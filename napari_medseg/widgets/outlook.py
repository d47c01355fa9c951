"""After a prediction: how good each structure probably is, though nobody knows the truth yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_medseg.active.predicted import Guess
from napari_medseg.errors import MedsegError
from napari_medseg.inference.events import Prediction
from napari_medseg.jobs import Job
from napari_medseg.widgets.begin import beginner_of
from napari_medseg.widgets.runs import Run
from napari_medseg.workbench.critic import ENOUGH, PASSES, Basis, Verdict, words_of

if TYPE_CHECKING:
    from napari_medseg.widgets.desk import Desk

UNASKED_S = 120.0  # a longer judgement is asked for, not begun unasked
SHOWN = 5  # structures, the worst first where there are more
WAITS = "Looking how far the model agrees with itself…"


class JudgeRun(Run):
    """The model judges its own mask; what it says first goes to `receive`."""

    def __init__(self, parent: QObject, receive: Callable[[Verdict], None]) -> None:
        super().__init__(parent)
        self._receive = receive

    def take(self, event: object) -> None:
        if isinstance(event, Verdict):
            self._receive(event)
        else:
            super().take(event)

    def _on_returned(self, result: Verdict | str) -> None:
        super()._on_returned(result)
        if isinstance(result, Verdict):
            self._receive(result)


class Outlook(QObject):
    """One for each desk; begins when a prediction has ended, and rests for all other work.

    Signals
    -------
    changed
        It is asked, has an answer, or has none any more.
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self.verdict: Verdict | None = None
        self._first: Verdict | None = None  # on the open case, of before anybody touched it
        self.seconds = 0.0  # that a judgement takes, about
        self._result: Prediction | None = None  # the prediction that is judged
        self._due = False
        self.run = JudgeRun(self, self._take)
        self.run.changed.connect(self._on_run)
        desk.prediction.changed.connect(self._on_prediction)
        self._begun = beginner_of(desk).run
        desk.learning.changed.connect(self._on_learning)
        self._begun.changed.connect(self._on_begun)
        desk.case_changed.connect(self._on_case)
        desk.workbench.case_closed.connect(self._learn)

    @property
    def waiting(self) -> bool:
        """Whether it would take so long that the user is to ask for it."""
        idle = self._result is not None and not self._due and not self.run.running
        return idle and self.verdict is None and not self.why_not

    @property
    def why_not(self) -> str:
        """Why there is no answer; "" where there is one, or none was asked for."""
        return self.run.result if isinstance(self.run.result, str) else ""

    def ask(self) -> None:
        """Judge the mask now, however long that takes."""
        if self.waiting:
            self._due = True
            self._go_on()

    def _on_prediction(self) -> None:
        run = self._desk.prediction
        if run.running:
            self._forget()
        elif run.result is not None and run.result is not self._result:
            self._forget()
            self._result = run.result
            self.seconds = PASSES * run.result.seconds
            self._due = self.seconds <= UNASKED_S
            self._go_on()
            self.changed.emit()

    def _on_learning(self) -> None:
        """A fine-tune has the processor; it is judged after that."""
        if self._desk.learning.running and self.run.running and not self.run.stopping:
            self._due = True
            self.run.stop()
        self._go_on()

    def _on_begun(self) -> None:
        """The mask is filled by another model."""
        if self._begun.running:
            self._forget()

    def _go_on(self) -> None:
        case, card, config = self._desk.asked
        others = (self.run, self._desk.prediction, self._desk.learning, self._begun)
        busy = any(run.running for run in others)
        if not self._due or busy or self._desk.closed:
            return
        if case is None or card is None or case is not self._desk.case:
            return
        self._due = False
        bench = self._desk.workbench
        self.run.start(_asked(bench.critic.ask(case, card, config, case.family)))

    def _forget(self) -> None:
        """Another prediction, or none: what was said of the last one holds no more."""
        if self._result is None and self.verdict is None and not self.run.running:
            return
        self.verdict, self._result, self._due = None, None, False
        self.run.clear()
        self.run.stop()
        self.changed.emit()

    def _take(self, verdict: Verdict) -> None:
        if verdict.case is self._desk.case:
            self.verdict = verdict
            self._first = verdict if verdict.fair else self._first

    def _on_run(self) -> None:
        self._go_on()  # one that was stopped made way
        self.changed.emit()

    def _on_case(self) -> None:
        if self.verdict is None or self.verdict.case is not self._desk.case:
            self._forget()

    def _learn(self) -> None:
        """What became of the mask calibrates what is said of later ones."""
        if self._first is not None:
            self._desk.workbench.critic.learn(self._first)
        self.verdict = self._first = None

    # -- in words -----------------------------------------------------------------------------

    @property
    def said(self) -> str:
        """One quiet line; "" where there is nothing to say."""
        if self.run.running and not self.run.stopping and self.verdict is None:
            return WAITS
        if self.why_not:
            return f"No predicted Dice: {self.why_not}."
        if self.verdict is not None:
            return in_words(self.verdict)
        if self.waiting:
            return f"Predicting its Dice takes about {max(1, round(self.seconds / 60))} min."
        return ""

    @property
    def tip(self) -> str:
        """What it rests on."""
        return "" if self.verdict is None else ground_of(self.verdict)


def outlook_of(desk: Desk) -> Outlook:
    """The one of a desk; made at the first call."""
    found = desk.findChild(Outlook)
    return Outlook(desk) if found is None else found


def in_words(verdict: Verdict) -> str:
    """The predicted Dice of each structure, and a plain word where it is not calibrated."""
    if not verdict.guesses:
        return "No predicted Dice: the model found no structure."
    names = {label.value: label.name for label in verdict.case.names}
    guesses = sorted(verdict.guesses.items())
    if len(guesses) > SHOWN:
        guesses = sorted(guesses, key=lambda one: one[1].dice)[:SHOWN]
    each = [f"{names.get(value, f'label {value}')} {_guess(one)}" for value, one in guesses]
    more = len(verdict.guesses) - len(each)
    text = ", ".join(each) + (f", {more} more are better" if more else "")
    if all(_open(one) for _, one in guesses):
        return f"Predicted Dice, not calibrated and often too high: {text}"
    return f"Predicted Dice: {text}"


def ground_of(verdict: Verdict) -> str:
    """Whence the predicted Dice comes, for who wants to know."""
    judge = verdict.judge
    told = f"Of the mask as the model proposed it, from {verdict.basis}"
    if verdict.basis is Basis.NOTHING:
        return f"{told}. {ENOUGH} cases that you confirm whole calibrate it."
    told = f"{told}: {judge.cases} cases, off by {judge.error:.2f} on average"
    if judge.cases < ENOUGH:
        return f"{told}; the range that holds nine of ten takes {ENOUGH} cases."
    return f"{told}; in brackets the range that holds the true one in nine of ten cases."


def _guess(guess: Guess) -> str:
    dice = f"{guess.dice:.2f}"
    return dice if _open(guess) else f"{dice} ({guess.low:.2f}–{guess.high:.2f})"


def _open(guess: Guess) -> bool:
    return guess.high - guess.low >= 1.0


def _asked(job: Job[Verdict]) -> Job[Verdict | str]:
    """The verdict, or in words why there is none: that is no failure of the window."""
    try:
        return (yield from job)
    except MedsegError as error:
        return words_of(error)
