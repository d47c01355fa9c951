"""Learn a structure from nothing but some painted slices: what runs, and its rows in a dock."""

from __future__ import annotations

import time

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_medseg.models.card import ModelCard
from napari_medseg.training.begun import ScratchConfig
from napari_medseg.training.events import StepDone
from napari_medseg.widgets import style
from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.runs import EndedEarly, FillRun
from napari_medseg.widgets.tally import time_left
from napari_medseg.workbench import Case
from napari_medseg.workbench.beginning import Beginning, Piece, painted_slices

COUNT_MS = 300
ENOUGH = 2  # slices; three give a shape that can be trusted
LEARN = "Learn this from my slices"
PAINT = "In Correct, add a structure and paint it whole in three slices or more, some slices apart."
TIP = (
    "Makes a new model of what you painted, within about a minute, and fills the rest of this "
    "scan with it.\nPaint each structure whole in the slices that you choose: what is not painted "
    "there counts as background.\nWhat you painted or confirmed stays; Ctrl+Z takes the rest back."
)
EARLY = {
    EndedEarly.STOPPED: "Stopped: the mask is as it was, and no model was made.",
    EndedEarly.FAILED: "Failed: the mask is as it was, and no model was made.",
}


class BeginRun(FillRun):
    """A running attempt; keeps how far it is, on the clock."""

    def clear(self) -> None:
        super().clear()
        self.began = time.monotonic()
        self.step: StepDone | None = None

    def take(self, event: object) -> None:
        if isinstance(event, Piece):
            self._receive(event)
        elif isinstance(event, StepDone):
            self.step = event
        else:
            super().take(event)

    @property
    def said(self) -> str:
        """What it does now."""
        if self.step is None:
            return (self.progress.text if self.progress else "") or "Starting…"
        return f"Teaching the new model{time_left(self.step.seconds_left)}"


class Beginner(QObject):
    """One for each desk: whether learning can begin, and what runs.

    Signals
    -------
    changed
        It can begin or not, it runs, or has ended.
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self.config = ScratchConfig()
        self.made = ""  # a sentence on the last model
        self._now: Beginning | None = None
        self._case: Case | None = None  # that is being learned from
        self._slices = 0
        self.run = BeginRun(self, desk.stroke_is_on, self._take, self._keep, self._give_up)
        self.run.changed.connect(self.changed)
        self._count_soon = QTimer(self)
        self._count_soon.setSingleShot(True)
        self._count_soon.setInterval(COUNT_MS)
        self._count_soon.timeout.connect(self._count)
        desk.case_changed.connect(self._on_case)
        desk.brush.stepped.connect(self._on_step)
        for signal in (desk.corrected, desk.marks_changed):
            signal.connect(self._count_later)
        for run in (desk.prediction, desk.learning):
            run.changed.connect(self.changed)
        self._count()

    @property
    def missing(self) -> str:
        """Why it cannot begin; "" where it can."""
        desk, case = self._desk, self._desk.case
        if case is None:
            return "Open a scan first."
        if not case.writable:
            return "This scan is open in another window; close it there."
        if 1 in case.labels.shape:
            return "A scan of a single slice has no rest to fill; load a model."
        if self._slices == 0:
            return PAINT
        if self._slices < ENOUGH:
            return "Paint the structure in one more slice, some slices away; three are better."
        if desk.prediction.running or desk.learning.running:
            return "Wait until the other job has ended, or stop it."
        return ""

    def begin(self) -> None:
        """Start; a fine-tuned model that awaits its verdict is kept beside."""
        desk = self._desk
        self._give_up()  # one that ended under a brush
        self._now, self._case = desk.workbench.begin(self.config), desk.case
        desk.keep_old()
        self.made = ""
        self.run.start(self._now.job())

    def _take(self, event: object) -> None:
        if self._now is not None:
            self._now.receive(event)

    def _keep(self, card: ModelCard) -> None:
        """The model is there."""
        now, self._now = self._now, None
        kept = None if now is None else self._desk.try_to(now.keep, card)
        if kept is not None:
            self.made = (
                f"“{kept.name}” is in use, and the rest of the scan is filled; Ctrl+Z takes that "
                "back. Correct it and fine-tune: it learns on."
            )
            self._desk.select_labels()

    def _give_up(self) -> None:
        now, self._now = self._now, None
        if now is not None:
            now.give_up()

    def _on_case(self) -> None:
        self.made = ""
        if self.run.running and self._desk.case is not self._case:
            self.run.stop()
        self._count()

    def _on_step(self) -> None:
        """Somebody goes on, or took it back: what was said is over."""
        if self.made:
            self.made = ""
            self.changed.emit()

    def _count_later(self) -> None:
        if not self._count_soon.isActive():
            self._count_soon.start()

    def _count(self) -> None:
        tally, case = self._desk.tally, self._desk.case
        touched = [] if tally is None else tally.touched
        self._slices = 0 if case is None else painted_slices(case, touched, ENOUGH)
        self.changed.emit()


class BeginRows(QWidget):
    """A button, how far it is, and why it cannot begin."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.beginner = beginner_of(desk)
        self.title = style.heading("A new model")
        self.missing = style.hint()
        self.run = style.button(LEARN)
        self.bar = style.bar()
        self.state = style.hint()
        rows = style.column(self)
        for one in (self.title, self.run, self.missing, self.bar, self.state):
            rows.addWidget(one)
        self.run.clicked.connect(self.toggle)
        self.beginner.changed.connect(self._show)
        desk.models_changed.connect(self._show)
        self._show()

    def toggle(self) -> None:
        """Begin, or stop what runs."""
        if self.beginner.run.running:
            self.beginner.run.stop()
        else:
            self._desk.try_to(self.beginner.begin)

    def _show(self) -> None:
        run, missing = self.beginner.run, self.beginner.missing
        self.run.setText("Stopping…" if run.stopping else "Stop" if run.running else LEARN)
        self.run.setEnabled(not run.stopping and (run.running or not missing))
        self.run.setToolTip("" if run.running else f"{missing}\n\n{TIP}".strip())
        first = self._desk.workbench.segmenter is None and self._desk.learning.result is None
        if run.running or first:
            style.paint_primary(self.run, style.STOP if run.running else style.ACCENT)
        else:
            self.run.setStyleSheet("")
        style.say(self.missing, "" if run.running else missing)
        self.bar.setVisible(run.running)
        whole_s = self.beginner.config.seconds
        style.show_progress(
            self.bar, int(min(time.monotonic() - run.began, 0.99 * whole_s)), int(whole_s)
        )
        style.say(self.state, self._words())

    def _words(self) -> str:
        run = self.beginner.run
        if run.running:
            return run.said
        return EARLY[run.ended_early] if run.ended_early else self.beginner.made


def beginner_of(desk: Desk) -> Beginner:
    """The one of a desk; made at the first call."""
    found = desk.findChild(Beginner)
    return Beginner(desk) if found is None else found
