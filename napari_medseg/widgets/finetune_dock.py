"""Third dock: let the model learn from the corrections, and decide whether to keep the result."""

from __future__ import annotations

import math

from napari import Viewer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QWidget
from superqt import QCollapsible

from napari_medseg.models.card import ModelCard
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.widgets import style
from napari_medseg.widgets.attach import SIMULATE, desk_of, show_dock, watch_window
from napari_medseg.widgets.before_after import BeforeAfter
from napari_medseg.widgets.begin import BeginRows
from napari_medseg.widgets.curves import Curves
from napari_medseg.widgets.forms import Form
from napari_medseg.widgets.learn_along import learn_along_of
from napari_medseg.widgets.notices import tell
from napari_medseg.widgets.scores import ScoreTable, VersionTable
from napari_medseg.widgets.tally import time_left, words
from napari_medseg.widgets.worth import worth_in_words

ALONG_TIP = (
    "After each stroke the model learns a little and the slice is seen again; what changed "
    "flashes.\nOnly a quick look: never saved, never over what you painted or confirmed, and gone "
    "when this is switched off.\nIt changes no model: Start learns from your strokes themselves."
)
REHEARSE_TIP = "What would correcting bring? Labelled cases answer it; your model stays as it is"
SHOWN = {
    "steps": "Steps",
    "learning_rate": "Learning rate",
    "augmentation": "Augmentation",
    "anchor": "Hold to old weights",
    "worst_drop": "A label may lose",
}
GOES_ON = "Keep the old one and correct more: if little was lost, the next one goes on from here."


class FineTuneDock(style.Column):
    """What was corrected, run, curves, before and after, versions."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.desk = desk_of(napari_viewer)
        self._build_run()
        self._build_outcome()
        self._build_versions()
        self.rows.addStretch(1)
        self._connect()
        self._show_corrected()
        self._show_run()
        self._show_along()
        self._show_versions()

    # -- parts --------------------------------------------------------------------------------

    def _build_run(self) -> None:
        self.corrected = style.hint(color="")
        self.reason = style.hint()
        self.run = style.button("Start", "The model learns; go on painting meanwhile")
        self.pause = style.button("Pause", "It rests and keeps what it learned; Resume goes on")
        self.form = Form(FineTuneConfig(), SHOWN)
        self.settings = QCollapsible("Settings", expandedIcon="▾", collapsedIcon="▸")
        self.settings.setDuration(0)
        self.settings.addWidget(self.form)
        self.bar = style.bar()
        self.state = style.hint()
        self.notices = style.hint(color=style.NOTICE)
        self.curves = Curves()
        self.meter = QWidget()
        self.anchors = ScoreTable("now")
        rows = style.column(self.meter)
        rows.addWidget(style.heading("Earlier cases: nothing forgotten?"))
        rows.addWidget(self.anchors)
        self.add(style.heading("What you corrected"), self.corrected, self.reason)
        self.along = QCheckBox("Learn as I paint")
        self.along.setToolTip(ALONG_TIP)
        self.along_state = style.hint()
        self.along_notices = style.hint(color=style.NOTICE)
        self.add(style.row(self.run, self.pause, stretch=(3, 1)))
        self.add(self.bar, self.state, self.notices, self.along)
        self.add(self.along_state, self.along_notices)
        self.fresh = BeginRows(self.desk)
        self.add(self.fresh)

    def _build_outcome(self) -> None:
        self.outcome = QWidget()
        rows = style.column(self.outcome)
        self.scores = ScoreTable()
        self.verdict = style.hint(color="")
        self.use = style.button("Use it", "The next prediction comes from the new model")
        self.keep = style.button("Keep the old one", "The new model stays on the list below")
        rows.addWidget(style.heading("Before and after"))
        rows.addWidget(self.scores)
        rows.addWidget(self.verdict)
        self.beside = BeforeAfter(self.desk)
        rows.addWidget(self.beside)
        rows.addLayout(style.row(self.use, self.keep, stretch=(1, 1)))
        self.add(self.outcome, self.meter, self.curves, self.settings)

    def _build_versions(self) -> None:
        self.versions = VersionTable()
        self.back = style.button("Go back to this one", "Use the chosen version from now on")
        self.again = style.button("Segment again  ▸", "Run the model in use on the scan")
        self.worth = style.hint()
        self.add(style.heading("Versions of the model"), self.versions, self.worth)
        self.add(style.row(self.back, self.again, stretch=(1, 1)))
        self.rehearse = style.button("Try it on a virtual person…", REHEARSE_TIP)
        self.rehearse.setFlat(True)
        self.add(self.rehearse)

    def _connect(self) -> None:
        desk = self.desk
        self.run.clicked.connect(self.toggle)
        self.pause.clicked.connect(lambda: desk.learning.pause(not desk.learning.paused))
        self.learn_along = learn_along_of(desk)
        self.along.toggled.connect(self._switch_along)
        self.learn_along.changed.connect(self._show_along)
        self.use.clicked.connect(self._use)
        self.keep.clicked.connect(self._keep)
        self.back.clicked.connect(self._go_back)
        self.again.clicked.connect(self._segment_again)
        self.rehearse.clicked.connect(self._rehearse)
        self.versions.picked.connect(lambda _: self._show_back())
        for signal in (desk.case_changed, desk.corrected, desk.marks_changed, desk.saved):
            signal.connect(self._show_corrected)
        desk.models_changed.connect(self._show_versions)
        desk.case_changed.connect(self._show_back)
        desk.models_changed.connect(self._show_corrected)
        desk.learning.changed.connect(self._show_run)
        self.fresh.beginner.changed.connect(self._show_corrected)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        watch_window(self, self.desk)
        super().showEvent(event)

    # -- what the user does -------------------------------------------------------------------

    def toggle(self) -> None:
        """Start, or stop what runs."""
        if self.desk.learning.running:
            self.desk.learning.stop()
        elif self._reason():
            tell(self._reason())
        else:
            self.desk.try_to(lambda: self.desk.fine_tune(self.form.value()))

    def _switch_along(self, on: bool) -> None:
        """Learn along or not; a scan and a model are needed for it."""
        if on and (self.desk.workbench.segmenter is None or self.desk.case is None):
            tell("Open a scan and load a model first, in the dock Segment.")
            self.along.setChecked(False)
            return
        self.learn_along.switch(on)

    def _use(self) -> None:
        self.desk.try_to(self.desk.use_outcome)
        style.say(self.state, "The new model is in use. Segment again to see what it learned.")
        style.paint_primary(self.again)

    def _keep(self) -> None:
        self.desk.try_to(self.desk.keep_old)

    def _go_back(self) -> None:
        card = self.versions.current()
        if card is not None:
            self.desk.try_to(lambda: self.desk.workbench.adopt(card))

    def _segment_again(self) -> None:
        self.again.setStyleSheet("")
        show_dock(self.desk.viewer, "Segment")
        if not self.desk.prediction.running:
            self.desk.run_asked.emit()

    def _rehearse(self) -> None:
        show_dock(self.desk.viewer, SIMULATE)

    # -- what the user sees -------------------------------------------------------------------

    def _reason(self) -> str:
        """Why it cannot start yet."""
        if self.fresh.beginner.run.running:
            return "A new model is being learned; wait for it, or stop it."
        if self.desk.workbench.segmenter is None:
            return "No model yet: let one learn from your slices below, or load one in Segment."
        if self.desk.workbench.corrected_cases() == 0:
            return "Nothing to learn from yet: paint a stroke or confirm a slice in Correct."
        if self.desk.corrected_slices() == 1:
            return "Correct or confirm one more slice: one teaches, the other checks."
        return ""

    def _show_corrected(self) -> None:
        cases, tally = self.desk.workbench.corrected_cases(), self.desk.tally
        text = words(cases, "case")
        if tally is not None and tally.voxels:
            here = f"{words(tally.slices, 'slice')}, {words(tally.voxels, 'voxel')}"
            text += f"; in this scan {here}"
        style.say(self.corrected, text if cases else "")
        style.say(self.reason, self._reason())
        self._show_button()

    def _show_button(self) -> None:
        run = self.desk.learning
        self.run.setText(
            "Stopping…" if run.stopping else "Stop" if run.running else "Start fine-tuning"
        )
        if run.result is None:
            style.paint_primary(self.run, style.STOP if run.running else style.ACCENT)
        else:
            self.run.setStyleSheet("")  # first comes the decision below
        self.run.setEnabled(not run.stopping and (run.running or not self._reason()))
        self.pause.setVisible(run.running)
        self.pause.setText("Resume" if run.paused else "Pause")

    def _show_run(self) -> None:
        run = self.desk.learning
        self._show_button()
        self.bar.setVisible(run.running)
        done = run.steps[-1] if run.steps else 0
        style.show_progress(self.bar, done, run.total_steps)
        style.say(self.state, self._words())
        style.say(self.notices, "\n".join(run.notices))
        self.curves.setVisible(bool(run.steps))
        self.curves.draw(run.steps, run.losses, run.checks)
        known = run.anchors[0].values() if run.anchors else ()
        self.meter.setVisible(any(not math.isnan(dice) for dice in known))
        if run.anchors:
            self.anchors.show_scores(run.anchors[0], run.anchors[-1])
        for one in (self.settings, self.fresh):
            one.setVisible(not run.running and run.result is None)
        self._show_outcome()

    def _show_along(self) -> None:
        self.along.setChecked(self.learn_along.on)
        along = self.learn_along
        style.say(self.along_state, along.said)
        style.say(self.along_notices, "\n".join(along.run.notices) if along.on else "")

    def _words(self) -> str:
        run = self.desk.learning
        if not run.running:
            return ""
        if run.paused:
            return f"Paused after {words(len(run.steps), 'step')}"
        if not run.steps:
            return (run.progress.text if run.progress else "") or "Starting…"
        of = f" of {run.total_steps}" if run.total_steps else ""
        return f"Step {run.steps[-1]}{of}{time_left(run.seconds_left)}"

    def _show_outcome(self) -> None:
        outcome = self.desk.learning.result
        self.outcome.setVisible(outcome is not None)
        if outcome is None:
            return
        self.scores.show_scores(outcome.before, outcome.after)
        self.verdict.setText(outcome.why if outcome.adopted else f"{outcome.why}. {GOES_ON}")
        best, other = (self.use, self.keep) if outcome.adopted else (self.keep, self.use)
        style.paint_primary(best)
        other.setStyleSheet("")

    def _show_versions(self) -> None:
        bench = self.desk.workbench
        cards = bench.versions()
        self.versions.show_versions(cards, bench.segmenter)
        style.say(self.worth, worth_in_words(cards, bench.segmenter))
        self._show_back()

    def _show_back(self) -> None:
        card, used = self.versions.current(), self.desk.workbench.segmenter
        self.back.setEnabled(card is not None and used is not None and not same(card, used))
        self.again.setEnabled(self.desk.labels is not None)


def same(one: ModelCard, other: ModelCard) -> bool:
    return one.version == other.version
