"""Keeps the open case on disk while it is worked on."""

from __future__ import annotations

from collections.abc import Callable

from napari_medseg.correction.journal import Journal
from napari_medseg.correction.state import State, Step
from napari_medseg.correction.store import Recovered, Store
from napari_medseg.workbench.case import Case

LAST_WAIT_S = 1.5  # for the disk, when the window closes
REOPEN_WAIT_S = 5.0  # for the disk, when a scan is needed again that was closed a moment ago


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

    def settled(self) -> Store:
        """The store, once all closed cases are on the disk; may be called on any thread."""
        for journal in list(self._ending.values()):
            journal.close(REOPEN_WAIT_S)
        return self._store

    def corrected(self) -> list[str]:
        """Keys of the corrected cases; one that closed a moment ago may not be there yet."""
        return self._store.corrected()

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
        if recovered.writable:
            self._journal = self._store.journal(case.key, recovered.seq, case.state, self._report)

    def keep(self, case: Case, step: Step, predicting: bool) -> None:
        """Put a step on its way to disk; what a prediction wrote goes with it, once it is done."""
        if self._journal is None:
            return
        self._journal.append(step)
        if self._model_wrote and not predicting:
            self.keep_whole(case)
        if not self._scan_asked:
            self._scan_asked = True
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
