"""What a person changes in one open case: noted, recorded, told; and refused where it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_medseg.correction.history import Confirming, Naming, Stroke, Vouching
from napari_medseg.correction.record import NO_DEED, Box, Correction, Deed, Labels
from napari_medseg.correction.state import MOVED, Marked, Named, Sign, Vouched
from napari_medseg.errors import InputError
from napari_medseg.volume import Label
from napari_medseg.workbench.case import READ_ONLY, Case, merged, offspring, unnamed
from napari_medseg.workbench.previews import Replaced
from napari_medseg.workbench.recorder import Recorder


class Corrector:
    """Takes note of voxels, of what is confirmed, and of the structures of one case.

    Signals
    -------
    noted
        A step that can be taken back.
    replaced
        A quick look is gone.
    corrected, marks_changed, names_changed
        Voxels changed, what is confirmed, or the list of structures.
    labels_changed, warned
        What a layer must draw again, and a sentence for the user.

    Parameters
    ----------
    predicting
        Whether a prediction of the case runs.
    """

    noted = Signal(object)
    replaced = Signal(Replaced)
    corrected = Signal(Correction)
    marks_changed = Signal()
    names_changed = Signal()
    labels_changed = Signal(tuple)
    warned = Signal(str)

    def __init__(self, case: Case, recorder: Recorder, predicting: Callable[[], bool]) -> None:
        self._case, self._recorder, self._predicting = case, recorder, predicting

    def commit(
        self, box: Box | None, deed: Deed, parent: int = 0, born: tuple[Label, ...] = ()
    ) -> Correction | None:
        """Take note of what changed in a box since the last commit; None where nothing did.

        Structures that are new are called as in `born`, or else after the structure `parent`.
        """
        case = self._case
        if not case.writable:
            self._take_back(box)
            return None
        correction = case.tracker.commit(box)
        if correction is None and deed.move:
            self._recorder.keep(case, Sign(MOVED), self._unsettled(), deed)
        if correction is not None:
            self._recorder.keep(case, correction, self._unsettled(), deed)
            born = born or self._born(parent)
            if deed.name and not deed.move:
                self.noted.emit(replace(Stroke.of(correction, deed), born=born))
            self.rename(merged(case.names, merged(born, unnamed(case.present()))))
            self.corrected.emit(correction)
        return correction

    def receive(self, box: Box, labels: Labels, look: bool = False) -> None:
        """Write what a model gives where nobody painted or confirmed; a `look` is not final."""
        case = self._case
        if look:
            changed = case.previews.write(case.tracker, box, labels)
        else:
            if case.previews:
                self.commit(box, Deed("stroke", time.time()))  # an undo that is not told yet
            changed = case.tracker.receive(box, labels)
            for gone in case.previews.settle(case.tracker, box, labels):
                self.replaced.emit(gone)
        if changed:
            self._recorder.model_wrote()
            self.labels_changed.emit(box)

    def keep_whole(self) -> None:
        """Put the case as it is on its way to disk: what a model gave is no step of the log."""
        self._recorder.keep_whole(self._case)

    def _unsettled(self) -> bool:
        """Whether some labels are not final: then the mask is not kept as a whole."""
        return self._predicting() or bool(self._case.previews)

    def _vouch_for_looks(self, box: Box) -> None:
        """What a person confirms is theirs, also where it is a quick look that no answer follows.

        While a prediction runs one is on its way, and they must wait for it.
        """
        case, tracker = self._case, self._case.tracker
        if case.previews.awaited or not case.previews.seen(tracker, box):
            return
        seen, under = tracker.labels[box].copy(), case.previews.beneath(tracker, box)
        tracker.receive(box, under)
        for gone in case.previews.settle(tracker, box, under):
            self.replaced.emit(gone)
        tracker.labels[box] = seen
        self.commit(box, Deed("as seen", time.time()))

    def _born(self, parent: int) -> tuple[Label, ...]:
        """Names for the structures that came without one, after another."""
        case = self._case
        known = {label.value: label for label in case.names}
        new = [value for value in case.present() if value not in known and value != parent]
        return offspring(case.names, new, known[parent]) if new and parent in known else ()

    def forget(self, born: tuple[Label, ...]) -> None:
        """Structures leave the list, but for those that voxels have."""
        gone = {label.value for label in born} - set(self._case.present())
        self.rename(tuple(label for label in self._case.names if label.value not in gone))

    def _take_back(self, box: Box | None) -> None:
        """Undo what was painted into a case that is only shown."""
        if (changed := self._case.tracker.revert(box)) is not None:
            self.labels_changed.emit(changed)
            self.warned.emit(READ_ONLY)

    def mark(self, axis: int, index: int, on: bool, deed: Deed) -> None:
        """Confirm a slice, or take that back."""
        case = self._case
        case.check_writable()
        tracker, box = case.tracker, case.tracker.slice_box(axis, index)
        self.commit(box, Deed("stroke", time.time()))
        if on:
            self._vouch_for_looks(box)
        if on and case.previews.seen(tracker, box):
            raise InputError(
                "a slice must show its final labels to be confirmed, this one still shows a quick "
                "look; wait until it is segmented, or stop the prediction"
            )
        if (index in tracker.marks[axis]) == on and not deed.move:
            deed = NO_DEED  # nothing to take back
        (tracker.confirm if on else tracker.unconfirm)(axis, index)
        seen = tracker.labels[box].copy(), tracker.baseline[box].copy()
        self._recorder.keep(case, Marked(axis, index, on, *seen), self._unsettled(), deed)
        if deed.name and not deed.move:
            self.noted.emit(Confirming(deed.name, deed.when, axis, index, on))
        self.marks_changed.emit()

    def vouch(self, box: Box, where: npt.NDArray[np.bool_], on: bool, deed: Deed) -> int:
        """Vouch for voxels of a box, bool of its shape, or no more; for how many that is new."""
        case, tracker = self._case, self._case.tracker
        case.check_writable()
        self.commit(box, Deed("stroke", time.time()))
        if on and bool((case.previews.shown(tracker, box) & where).any()):
            self._vouch_for_looks(box)
        if on and bool((case.previews.shown(tracker, box) & where).any()):
            raise InputError(
                "a structure must show its final labels to be confirmed, this one still shows a "
                "quick look; wait until it is segmented, or stop the prediction"
            )
        fresh = where & (tracker.vouched[box] != on)
        voxels = int(np.count_nonzero(fresh))
        if voxels == 0 and not deed.move:
            return 0
        tracker.vouch(box, fresh, on)
        seen = tracker.labels[box][fresh], tracker.baseline[box][fresh]
        self._recorder.keep(case, Vouched(box, fresh, on, *seen), self._unsettled(), deed)
        if deed.name and not deed.move:
            self.noted.emit(Vouching.of(box, fresh, on, deed))
        self.marks_changed.emit()
        return voxels

    def add_label(self, name: str, color: str = "") -> Label:
        """A new structure to paint; without a colour it takes the next free one."""
        label = self._case.free_label(_checked_name(name), color)
        self.name(None, label, Deed("add structure", time.time()))
        return label

    def rename_label(self, value: int, name: str) -> None:
        """Call a structure by another name."""
        known = {label.value: label for label in self._case.names}
        if value not in known:
            raise InputError(f"a structure must be on the list, {value} is not; add it first")
        new = replace(known[value], name=_checked_name(name))
        self.name(known[value], new, Deed("rename structure", time.time()))

    def name(self, before: Label | None, after: Label | None, deed: Deed) -> None:
        """Put a structure in another's place; one that voxels have stays on the list."""
        case = self._case
        case.check_writable()
        gone = {one.value for one in (before, after) if one is not None}
        if after is None:
            gone -= set(case.present())
        names = merged([after] if after else [], [n for n in case.names if n.value not in gone])
        self.rename(names, Naming(deed.name, deed.when, before, after), deed)

    def rename(
        self, names: tuple[Label, ...], done: Naming | None = None, deed: Deed = NO_DEED
    ) -> None:
        """Another list of structures."""
        case = self._case
        if names == case.names and not deed.move:
            return
        case.names = names
        if case.tracker.touched or self._recorder.begun:
            one = (done.before, done.after) if done is not None else (None, None)
            self._recorder.keep(case, Named(names, *one), self._unsettled(), deed)
        if done is not None and not deed.move:
            self.noted.emit(done)
        self.names_changed.emit()


def _checked_name(name: str) -> str:
    if not name.strip():
        raise InputError("a structure must have a name, got an empty one; type one")
    return name.strip()
