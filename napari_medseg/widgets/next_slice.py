"""The slice to correct next: where a second of work is worth most; on from there when it is right.

Shares its place with "Next error": that one walks single places, this one slices to look through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_medseg.active.ranking import Work
from napari_medseg.jobs import Job
from napari_medseg.widgets.keys import Command
from napari_medseg.widgets.outlook import outlook_of
from napari_medseg.widgets.runs import Run
from napari_medseg.workbench.worst import Look, Offer, pace, worst_slice

if TYPE_CHECKING:
    from napari_medseg.widgets.desk import Desk

GROUP, KEY = "Correct", "Shift-N"
NONE_LEFT = "No slice is left that you have not looked through."
STOP = "All that is left in this scan is worth < 0.2 Dice points"


class NextSlice(QObject):
    """One walk through the slices of the open mask; one for each desk.

    A slice that was confirmed is never shown again, one that was left as it is not in this walk.

    Signals
    -------
    changed
        It looks for a slice, or is at another one.
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self.said = ""
        self.offer: Offer | None = None
        self._seen: set[tuple[int, int]] = set()
        self._pace: Work | None = None
        self._known_pace = False
        self.outlook = outlook_of(desk)
        self.run = Run(self, desk.stroke_is_on)
        self.run.changed.connect(self._on_run)
        desk.case_changed.connect(self._on_case)
        desk.marks_changed.connect(self._on_marks)
        desk.toolbox.keys.register(
            Command("next_slice", "Next slice to correct", GROUP, (KEY,), self.go_on)
        )

    @property
    def busy(self) -> bool:
        return self.run.running

    @property
    def axis(self) -> int:
        """Along which slices are ranked: as they are looked at, else across the thickest."""
        viewed = self._desk.toolbox.focus.viewed()
        if viewed is not None:
            return viewed[0]
        case = self._desk.case
        return 0 if case is None else int(np.argmax(case.volume.geometry.spacing_mm))

    @property
    def tip(self) -> str:
        """By whose pace it is ranked."""
        work = self._pace
        if work is None:
            return "Ranked by the usual pace until enough was corrected to know yours"
        return (
            f"Ranked by your own pace: {work.look_s:.1f} s a slice, "
            f"{work.stroke_s:.1f} s a stroke of {work.stroke_mm2:.0f} mm²"
        )

    def go_on(self) -> None:
        """To the slice that is worth most now."""
        desk = self._desk
        editor, case = desk.workbench.editor, desk.case
        if editor is None or case is None or self.busy:
            return
        desk.workbench.commit()
        axis = self.axis
        self._learn_pace()
        done = {index for along, index in self._seen if along == axis}
        done.update(desk.workbench.confirmed_slices(axis))
        names = {label.value: label.name for label in case.names}
        look = Look(axis, done, names, self._pace or Work())
        verdict = self.outlook.verdict
        verdict = verdict if verdict is not None and verdict.case is case else None
        self.run.start(_found(worst_slice(editor.scene(), case.source, verdict, look)))

    def _learn_pace(self) -> None:
        """Once for each case: it takes reading what all cases took."""
        if not self._known_pace:
            self._known_pace = True
            self._pace = pace(self._desk.workbench.efforts().values())

    def _on_case(self) -> None:
        self.run.stop()
        self._seen.clear()
        self.said, self.offer, self._known_pace = "", None, False
        self.changed.emit()

    def _on_marks(self) -> None:
        """The slice on offer was confirmed: on to the next one."""
        if self.offer is None or self._desk.case is None:
            return
        here = self.offer.slice
        if here.index in self._desk.workbench.confirmed_slices(here.axis):
            self.offer = None
            self.go_on()

    def _on_run(self) -> None:
        if not self.run.running and self.run.result is not None:
            (found,), self.run.result = self.run.result, None
            self._go_to(found)
        self.changed.emit()

    def _go_to(self, offer: Offer | None) -> None:
        self.offer = offer
        if offer is None:
            self.said = NONE_LEFT
            self._seen.clear()  # the next walk begins anew, but for what is confirmed
            return
        found, layer = offer.slice, self._desk.labels
        self._seen.add((found.axis, found.index))
        self.said = f"{offer.why}. {STOP}." if offer.stop else f"{offer.why}."
        if layer is not None:
            if offer.label:
                layer.selected_label = offer.label
            self._desk.look_at(found.voxel)


def _found(job: Job[Offer | None]) -> Job[tuple[Offer | None]]:
    """The same, so that nothing found is told from not yet ended."""
    return ((yield from job),)


def next_slice_of(desk: Desk) -> NextSlice:
    """The one of a desk; made at the first call."""
    found = desk.findChild(NextSlice)
    return NextSlice(desk) if found is None else found
