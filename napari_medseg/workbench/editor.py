"""What a person does to the open case's mask, step by step, back and forth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_medseg.correction import effort
from napari_medseg.correction.edit import Edit, Rules, Scene, ruled
from napari_medseg.correction.filling import Filling, Slab
from napari_medseg.correction.history import (
    Confirming,
    Done,
    History,
    Naming,
    Strokelike,
    Vouching,
)
from napari_medseg.correction.record import REDO, UNDO, Box, Correction, Deed, Labels
from napari_medseg.errors import MedsegError
from napari_medseg.workbench.case import IGNORE, Case
from napari_medseg.workbench.corrector import Corrector
from napari_medseg.workbench.vouching import Voucher

OPEN = Rules()


class Editor:
    """Writes into one case, and knows how to take it back.

    Signals
    -------
    history_changed
        A step was done, taken back or done again.

    Parameters
    ----------
    history
        What can be taken back already: after a crash, what was done before it.
    corrector
        Takes note of what is done.
    effort_file
        Where what the case took is kept.
    """

    history_changed = Signal()

    def __init__(
        self, case: Case, history: History, corrector: Corrector, effort_file: Path
    ) -> None:
        self._case, self.history, self.corrector = case, history, corrector
        self._effort_file = effort_file
        self.effort = effort.load(effort_file)
        self.effort.pixel_mm2 = _pixel_mm2(case.volume.geometry.spacing_mm)
        self.rules = OPEN
        self.chances: Mapping[int, npt.NDArray[np.floating[Any]]] = {}
        self.voucher = Voucher(case, corrector, self.scene)
        self._slabs: list[Slab] = []  # filled, and no step yet
        corrector.noted.connect(self._note)

    def scene(self) -> Scene:
        """The case as a tool sees it; `labels` is the mask itself, not a copy."""
        case = self._case
        return Scene(
            case.volume.channel(0).array,
            case.labels,
            case.volume.geometry.spacing_mm,
            self.chances,
            frozenset({IGNORE, *(label.value for label in case.names)}),
        )

    def apply(self, edit: Edit, name: str, chosen: int) -> Correction | None:
        """Write what the rules allow of an edit, as one step; None where nothing changes.

        Raises
        ------
        InputError
            The case is only shown: another window has it.
        """
        case = self._case
        case.check_writable()
        if edit.where is not None and case.previews:
            for value in np.unique(edit.labels[edit.where]):
                case.previews.step_aside(case.tracker, int(value))
        allowed = ruled(edit, self.scene(), self.rules, chosen)
        where = True if edit.where is None else edit.where
        np.copyto(case.labels[allowed.box], allowed.labels, where=where, casting="same_kind")
        correction = self.corrector.commit(allowed.box, Deed(name, time.time()), chosen)
        case.previews.come_back(case.tracker)
        self.corrector.labels_changed.emit(allowed.box)
        return correction

    def visit(self, axis: int, index: int) -> None:
        """A slice is looked at."""
        self.effort.visited(axis, index, time.monotonic())

    def rest(self) -> None:
        """The case closes: keep what it took, if anything was done; less matters than a mask.

        What was filled and is no step yet is taken back.
        """
        self.unfill()
        self.effort.rested()
        if self.effort.strokes and self._case.writable:
            with suppress(OSError):
                self._effort_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                effort.save(self.effort, self._effort_file)

    def fill(self, box: Box, labels: Labels) -> None:
        """Write a part of a model's answer where no person had a word; `filled` ends it."""
        case = self._case
        self.corrector.commit(box, Deed("stroke", time.time()))
        old = case.previews.beneath(case.tracker, box)
        self.corrector.receive(box, labels)
        slab = Slab.of(box, old, case.labels[box])
        if slab.voxels:
            self._slabs.append(slab)

    def filled(self, name: str) -> None:
        """What was filled becomes one step."""
        slabs, self._slabs = self._slabs, []
        if slabs:
            self.history.put(Filling(name, time.time(), tuple(slabs)))
            self.history_changed.emit()
        self.corrector.keep_whole()

    def unfill(self) -> None:
        """What was filled and is no step yet becomes what it was."""
        slabs, self._slabs = self._slabs, []
        if slabs:
            self.refill(slabs, before=True)

    def refill(self, slabs: Sequence[Slab], before: bool) -> None:
        """Write what was there before these were filled, or after; not over what came since."""
        for slab in slabs:
            now, stale = self._case.labels[slab.box], slab.labels(not before)
            labels = np.where(now == stale, slab.labels(before), now)
            self.corrector.receive(slab.box, labels)
        self.corrector.keep_whole()

    def _note(self, step: Done) -> None:
        self.history.put(step)
        changed = 0 if isinstance(step, Vouching) else step.voxels
        self.effort.stepped(step.name, changed, time.monotonic())
        self.history_changed.emit()

    def undo(self) -> bool:
        """Take the last step back; False at the beginning."""
        self._case.check_writable()
        step = self.history.back()
        if step is not None:
            self._step(step, UNDO, self.history.forth)
        return step is not None

    def redo(self) -> bool:
        """Do again what was taken back last; False where there is nothing."""
        self._case.check_writable()
        step = self.history.forth()
        if step is not None:
            self._step(step, REDO, self.history.back)
        return step is not None

    def go_to(self, at: int) -> None:
        """Step to where so many steps are done, in either direction; it is told once, at the end.

        Each step is recorded by itself, so that a crash on the way leaves one on a step.
        """
        if abs(at - self.history.at) < 2:
            self._walk(at)
            return
        try:
            with self.history_changed.paused(_last), self.corrector.corrected.paused(_last):
                self._walk(at)
        finally:
            self.corrector.marks_changed.emit()  # whoever counts voxels counts all anew

    def _walk(self, at: int) -> None:
        while self.history.at > at and self.undo():
            pass
        while self.history.at < at and self.redo():
            pass

    def _step(self, step: Done, move: str, stay: Callable[[], object]) -> None:
        """Play a step; where that is refused one stays where one was."""
        deed, back = Deed(step.name, time.time(), move), move == UNDO
        try:
            if isinstance(step, Confirming):
                self.corrector.mark(step.axis, step.index, step.on != back, deed)
            elif isinstance(step, Vouching):
                self.corrector.vouch(step.box, step.where, step.on != back, deed)
            elif isinstance(step, Naming):
                before, after = (step.after, step.before) if back else (step.before, step.after)
                self.corrector.name(before, after, deed)
            elif isinstance(step, Filling):
                self.refill(step.slabs, before=back)
            else:
                self._paint(step, back, deed)
        except MedsegError:
            stay()
            raise
        self.history_changed.emit()

    def _paint(self, step: Strokelike, back: bool, deed: Deed) -> None:
        case = self._case
        if back:
            step.undo(case.labels, case.tracker.baseline)
        else:
            step.redo(case.labels)
        self.corrector.commit(step.box, deed, born=() if back else step.born)
        if back and step.born:
            self.corrector.forget(step.born)
        self.corrector.labels_changed.emit(step.box)


def _pixel_mm2(spacing_mm: tuple[float, float, float]) -> float:
    """Of the slices that people correct in: across the largest spacing."""
    return float(np.prod(sorted(spacing_mm)[:2]))


def _last(before: tuple[Any, ...], now: tuple[Any, ...]) -> tuple[Any, ...]:
    """Of many words the last one."""
    return now
