"""Keeps the open case on disk while it is worked on."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from napari_medseg.correction.journal import Journal
from napari_medseg.correction.record import NO_DEED, Deed
from napari_medseg.correction.state import CLOSED, Sign, State, Step
from napari_medseg.correction.store import Recovered, Store
from napari_medseg.workbench.case import Case

LAST_WAIT_S = 1.5  # for the disk, when the window closes
REOPEN_WAIT_S = 5.0  # for the disk, when a scan is needed again that was closed a moment ago


def came_back(case: Case, recovered: Recovered) -> str:
    """A sentence for the user on the corrections that are here again; "" if there are none."""
    strokes, marks = recovered.history.at, sum(len(marks) for marks in case.tracker.marks)
    if strokes:
        counted = "1 stroke" if strokes == 1 else f"{strokes} strokes"
        verb, them = ("is", "it") if strokes == 1 else ("are", "them")
        since = _moment(recovered.history.steps[0].when)
        return (
            f"{counted} since {since} {verb} back; the history holds {them}, to be taken back too"
        )
    if case.tracker.touched:
        return (
            f"earlier corrections of this scan are back: {case.tracker.painted} painted voxels "
            f"and {marks} confirmed slices{_pieces(case)}"
        )
    return ""


def _pieces(case: Case) -> str:
    voxels = case.tracker.vouched.count
    return f", {voxels} voxels of confirmed structures" if voxels else ""


def _moment(when: float) -> str:
    """ "14:02" today, else "3 May, 14:02"."""
    then = datetime.fromtimestamp(when)
    day = "" if then.date() == datetime.now().date() else f"{then.day} {then:%B}, "
    return f"{day}{then:%H:%M}"


class Recorder:
    """The store, and the journal of the case that is open.

    A case that nobody corrected leaves nothing on the disk.

    Parameters
    ----------
    store
        Where.
    report
        Takes a sentence for the user; called from any thread.
    """

    def __init__(self, store: Store, report: Callable[[str], None]) -> None:
        self._store = store
        self._report = report
        self._journal: Journal | None = None
        self._ending: dict[str, Journal] = {}
        self._model_wrote = False  # since the last whole state
        self._scan_asked = False
        self._to_close = False  # whether steps are on the disk, to be taken back after a crash

    def settled(self) -> Store:
        """The store, once all closed cases are on the disk; may be called on any thread."""
        for journal in list(self._ending.values()):
            journal.close(REOPEN_WAIT_S)
        return self._store

    def corrected(self) -> list[str]:
        """Keys of the corrected cases; one that closed a moment ago may not be there yet."""
        return self._store.corrected()

    def effort_file(self, key: str) -> Path:
        """Where what a case took is kept."""
        return self._store.files(key).effort

    @property
    def may_write(self) -> bool:
        """Whether the open case is this window's to record."""
        return self._journal is not None and not self._journal.elsewhere

    @property
    def begun(self) -> bool:
        """Whether a step of the open case is recorded since it was opened."""
        return self._scan_asked

    @property
    def saved(self) -> bool:
        """Whether everything that a person did is on the disk."""
        return self._journal is None or self._journal.saved

    def recover(self, key: str, blank: State) -> Recovered:
        """What is known of a scan; waits for its journal, if it was closed a moment ago."""
        if (ending := self._ending.pop(key, None)) is not None:
            ending.close(REOPEN_WAIT_S)
        recovered = self._store.recover(key, blank)
        if recovered.warning:
            self._report(recovered.warning)
        return recovered

    def start(self, case: Case, recovered: Recovered) -> None:
        """Record a case from now on."""
        self._model_wrote = self._scan_asked = False
        self._to_close = bool(recovered.history.steps)
        if recovered.writable:
            self._journal = self._store.journal(case.key, recovered, case.state, self._report)

    def keep(self, case: Case, step: Step, predicting: bool, deed: Deed = NO_DEED) -> None:
        """Put a step on its way to disk; what a prediction wrote goes with it, once it is done."""
        if self._journal is None:
            return
        self._journal.append(step, deed)
        if self._model_wrote and not predicting:
            self.keep_whole(case)
        if not self._scan_asked:
            self._scan_asked = self._to_close = True
            if (work := self._store.keep_scan(case.key, case.volume)) is not None:
                self._journal.beside(work)

    def model_wrote(self) -> None:
        """A prediction changed labels."""
        self._model_wrote = True

    def keep_whole(self, case: Case) -> None:
        """Put the case as it is on its way to disk, if a person had a hand in it."""
        if self._journal is not None and case.tracker.touched:
            self._journal.append(None)
            self._model_wrote = False

    def finish(self, case: Case) -> None:
        """The case closes; its journal ends in its own time."""
        if self._journal is None:
            return
        if self._model_wrote:
            self.keep_whole(case)
        if self._to_close:
            self._journal.append(Sign(CLOSED), Deed(when=time.time()))
        self._journal.finish()
        self._ending = {key: one for key, one in self._ending.items() if one.running}
        self._ending[case.key] = self._journal
        self._journal = None

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is on the disk; False if the time is up before."""
        return self._journal is None or self._journal.flush(timeout_s)

    def close(self) -> None:
        """Wait for the disk, for a second and a half."""
        for journal in self._ending.values():
            if not journal.close(LAST_WAIT_S):
                self._report("the last corrections could not be recorded before the window closed")
        self._ending.clear()
