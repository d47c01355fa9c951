"""The history of a case from its log: what a person did before a crash, to take back after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from napari_medseg.correction.history import Confirming, Done, History, Naming, Vouching
from napari_medseg.correction.log import Entry
from napari_medseg.correction.record import REDO, UNDO, Box, Deed, Labels
from napari_medseg.correction.state import (
    DAMAGE,
    Header,
    box_of,
    deed_of,
    label_of,
    painted,
    vouched,
)
from napari_medseg.volume import Label


def recalled(entries: Iterable[Entry]) -> History:
    """The history as it was after these steps, the undone ones too.

    It begins anew behind a step that cannot be taken back: one of an earlier version, one that
    does not fit, or a whole state that stands for lost steps.
    """
    history = History()
    for entry in entries:
        try:
            fits = _follow(history, entry)
        except DAMAGE:
            fits = False
        if not fits:
            history.clear()
    return history


def _follow(history: History, entry: Entry) -> bool:
    """Do in the history what the step did; whether that could be."""
    if entry.kind == "state":
        return not entry.header.get("instead", 0)
    deed = deed_of(entry.header)
    if deed.move == UNDO:
        return history.back() is not None
    if deed.move == REDO:
        return history.forth() is not None
    if not deed.name:
        return entry.kind != "painted" or deed.when > 0
    step = _done(entry, deed)
    if step is not None:
        history.put(step)
    return step is not None


def _done(entry: Entry, deed: Deed) -> Done | None:
    header = entry.header
    if entry.kind == "marked":
        return Confirming(deed.name, deed.when, header["axis"], header["index"], header["on"])
    if entry.kind == "vouched":
        step = vouched(header, entry.payload)
        return Vouching.of(step.box, step.where, step.on, deed)
    if entry.kind == "named":
        before, after = label_of(header["before"]), label_of(header["after"])
        return Naming(deed.name, deed.when, before, after)
    if "voxels" not in header:  # of an earlier version, which did not keep what was there before
        return None
    return Recorded(deed.name, deed.when, int(header["voxels"]), header, entry.payload)


@dataclass(frozen=True, eq=False)
class Recorded:
    """A stroke of the log, unpacked when it is taken back: opening a case does not wait for it."""

    name: str
    when: float
    voxels: int
    header: Header
    payload: bytes = field(repr=False)
    born: tuple[Label, ...] = ()  # the log tells of names by entries of their own

    @property
    def n_bytes(self) -> int:
        return len(self.payload)

    @property
    def box(self) -> Box:
        return box_of(self.header["box"])

    def redo(self, labels: Labels) -> None:
        """Write what was after the step into a mask."""
        paint = painted(self.header, self.payload)
        labels[paint.box][paint.changed] = paint.new

    def undo(self, labels: Labels, baseline: Labels) -> None:
        """Write what was before the step into a mask, as `Stroke.undo`."""
        paint = painted(self.header, self.payload)
        now = baseline[paint.box][paint.changed]
        before = np.where(paint.old == paint.baseline, now, paint.old)
        labels[paint.box][paint.changed] = before
