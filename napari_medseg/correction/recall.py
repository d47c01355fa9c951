"""The history of a case from its log: what a person did before a crash, to take back after it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_medseg.correction.history import Confirming, Done, History, Naming, Stroke
from napari_medseg.correction.log import Entry
from napari_medseg.correction.record import REDO, UNDO, Deed
from napari_medseg.correction.state import DAMAGE, deed_of, label_of, painted


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
    if entry.kind == "named":
        before, after = label_of(header["before"]), label_of(header["after"])
        return Naming(deed.name, deed.when, before, after)
    paint = painted(header, entry.payload)
    if len(paint.old) != len(paint.new):
        return None
    given = np.packbits(paint.old == paint.baseline)
    return Stroke.packed(
        deed, paint.box, paint.bits, given, np.asarray(paint.old), np.asarray(paint.new)
    )
