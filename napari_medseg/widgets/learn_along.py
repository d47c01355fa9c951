"""Learn as I paint: each stroke goes to a learner beside, and what it sees then is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.correction.record import Box, Correction
from napari_medseg.errors import MedsegError
from napari_medseg.jobs import Notice
from napari_medseg.models.card import ModelCard, why_no_label_more
from napari_medseg.training.events import SliceSeen, Stroke, Strokes
from napari_medseg.volume import Label
from napari_medseg.widgets.begin import beginner_of
from napari_medseg.widgets.flash import Flash
from napari_medseg.widgets.layers import IGNORE
from napari_medseg.widgets.notices import tell_error
from napari_medseg.widgets.runs import Run
from napari_medseg.widgets.worker import TICK_MS
from napari_medseg.workbench import Case

if TYPE_CHECKING:
    from napari_medseg.widgets.desk import Desk

NEAR = 8  # slices on either side of the viewed one that a stroke may tell of
READY = "Paint: what the model would learn shows in a moment."


class LiveRun(Run):
    """A learner at work; slices go to `receive`, its death to `failed`."""

    def __init__(
        self,
        parent: QObject,
        hold: Callable[[], bool],
        receive: Callable[[SliceSeen], None],
        failed: Callable[[], None],
    ) -> None:
        super().__init__(parent, hold)
        self._receive, self._failed = receive, failed

    def take(self, event: object) -> None:
        if isinstance(event, SliceSeen):
            self._receive(event)
        else:
            super().take(event)

    def _on_failure(self, error: BaseException) -> None:
        super()._on_failure(error)
        self._failed()


class LearnAlong(QObject):
    """One for each desk; off until somebody switches it on.

    It rests while a prediction or a fine-tune runs, or a new model is begun; strokes of that time
    are told afterwards.

    Signals
    -------
    changed
        On or off, or it has learned.
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self.on = False
        self.said = ""
        self.flash = Flash(desk)
        self._case: Case | None = None
        self._waiting: list[Stroke] = []
        self._count = 0
        self._told: set[int] = set()  # labels that the model lacks
        self.run = LiveRun(self, desk.stroke_is_on, self._take, self._on_death)
        self.run.changed.connect(self._on_run)
        desk.workbench.correction_committed.connect(self._on_corrected)
        desk.workbench.segmenter_adopted.connect(self._on_model)
        desk.marks_changed.connect(self._on_marks)
        desk.case_changed.connect(self._begin_anew)
        self._beginning = beginner_of(desk).run
        for one in (desk.prediction, desk.learning, self._beginning):
            one.changed.connect(self._go_on)
        desk.prediction.changed.connect(self._make_way)

    def switch(self, on: bool) -> None:
        """Begin to learn along, or end it: then its quick looks are taken back."""
        if on == self.on:
            return
        self.on, self.said = on, ""
        self._begin_anew()
        self._take_back()
        self.changed.emit()

    @property
    def resting(self) -> bool:
        """Whether others need the processor, or write into the mask."""
        runs = (self._desk.prediction, self._desk.learning, self._beginning)
        return any(run.running for run in runs)

    def _begin_anew(self, *_: object) -> None:
        """For another scan or model, or not at all."""
        self._waiting, self._case = [], None
        if self.run.running:
            self.run.stop()  # goes on in `_on_run`
        else:
            self._begin()

    def _begin(self) -> None:
        bench, case = self._desk.workbench, self._desk.case
        if not self.on or self._desk.closed or case is None or bench.segmenter is None:
            return
        self._case, self.said, self._told = case, READY, set()
        try:
            self.run.start(bench.companion.follow(bench.segmenter, bench.example()))
        except MedsegError as error:
            tell_error(error)

    def _on_run(self) -> None:
        if not self.run.running and self._case is None:
            self._begin()
        self.changed.emit()

    def _on_model(self, *_: object) -> None:
        if self.on:
            self._begin_anew()
            self._take_back()

    def _on_death(self) -> None:
        """It was killed, or could not go on: what was painted is not its business."""
        self._case = None
        self.switch(False)

    # -- what it is told ----------------------------------------------------------------------

    def _on_corrected(self, correction: Correction) -> None:
        self._note(correction.box)

    def _on_marks(self) -> None:
        viewed = self._viewed()
        if self._case is not None and viewed is not None:
            self._note(self._case.tracker.slice_box(*viewed))

    def _viewed(self) -> tuple[int, int] | None:
        return self._desk.toolbox.focus.viewed()

    def _note(self, box: Box) -> None:
        case = self._case
        if not self.on or case is None or case is not self._desk.case:
            return
        axis, index = self._viewed() or (0, (box[0].start + box[0].stop) // 2)
        box = _near(box, axis, index)
        if any(part.start >= part.stop for part in box):
            return
        self._count += 1
        labels = case.previews.beneath(case.tracker, box)
        confirmed = case.source[box] != 0
        stroke = Stroke(self._count, box, labels, confirmed, axis, index)
        self._waiting.append(stroke)
        self._tell_of_unknown(case, stroke)
        self._go_on()

    def _tell_of_unknown(self, case: Case, stroke: Stroke) -> None:
        """Say once of each label that it teaches nothing here: nobody would know why."""
        card = self._desk.workbench.segmenter
        if card is None:
            return
        known = {*card.recipe.values, IGNORE.value, *self._told}
        for label in case.names:
            if label.value in known or not stroke.confirmed[stroke.labels == label.value].any():
                continue
            self._told.add(label.value)
            self.run.take(Notice(left_out(label, card)))
            self.changed.emit()

    def _go_on(self) -> None:
        if self._waiting and self.run.running and not self.resting:
            self.run.tell(Strokes(tuple(self._waiting)))

    def _make_way(self) -> None:
        """A fine-tune rests while a prediction runs: somebody waits for that one."""
        self._desk.learning.make_way(self._desk.prediction.running)

    # -- what it says -------------------------------------------------------------------------

    def _take(self, seen: SliceSeen) -> None:
        self._waiting = [one for one in self._waiting if one.number > seen.heard]
        self._go_on()
        case, desk = self._case, self._desk
        if not self.on or case is None or case is not desk.case:
            return
        if desk.prediction.running or self._beginning.running:
            return
        changed = desk.workbench.companion.show(case, seen)
        self.said = f"Seen again {seen.seconds:.1f} s after the stroke."
        if changed is not None:
            desk.workbench.labels_changed.emit(seen.box)
            self.flash.show(seen.box, changed)
        self.changed.emit()

    def _take_back(self) -> None:
        """Its quick looks go, but not under a brush that paints, nor those of a prediction."""
        if self._desk.stroke_is_on():
            QTimer.singleShot(TICK_MS, self._take_back)
        elif not self._desk.prediction.running:
            self._desk.workbench.drop_previews()


def learn_along_of(desk: Desk) -> LearnAlong:
    """The one of a desk; made at the first call."""
    found = desk.findChild(LearnAlong)
    return LearnAlong(desk) if found is None else found


def left_out(label: Label, card: ModelCard) -> str:
    """What becomes of a label that the model lacks."""
    number = f"label {label.value}"
    name = number if label.name == number else f"{number} ({label.name})"
    if why := why_no_label_more(card):
        return (
            f"The model has no {name}, and cannot get it: {why}. Learning as you paint leaves "
            "it out."
        )
    return (
        f"The model has no {name}: learning as you paint leaves it out. “Start fine-tuning” can "
        "add it."
    )


def _near(box: Box, axis: int, index: int) -> Box:
    """The part of a box that is near a slice: a learner sees no further at once."""
    z, y, x = (
        slice(max(part.start, index - NEAR), min(part.stop, index + NEAR + 1))
        if a == axis
        else part
        for a, part in enumerate(box)
    )
    return z, y, x
