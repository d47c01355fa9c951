"""What a person does to the open case's mask, step by step, back and forth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from psygnal import Signal

from napari_medseg.correction.edit import Edit, Rules, Scene, ruled
from napari_medseg.correction.history import History
from napari_medseg.correction.record import Box, Correction
from napari_medseg.workbench.case import Case

Commit = Callable[[Box, str], Correction | None]
OPEN = Rules()


class Editor:
    """Writes into one case, and knows how to take it back.

    Signals
    -------
    history_changed
        A step was done, taken back or done again.

    Parameters
    ----------
    commit
        Takes note of what changed in a box, as a step of that name; "" is no step of its own.
    repaint
        Tells the layers that the labels of a box are others.
    """

    history_changed = Signal()

    def __init__(self, case: Case, commit: Commit, repaint: Callable[[Box], None]) -> None:
        self._case, self._commit, self._repaint = case, commit, repaint
        self.history = History()
        self.rules = OPEN
        self.chances: Mapping[int, npt.NDArray[np.floating[Any]]] = {}

    def scene(self) -> Scene:
        """The case as a tool sees it; `labels` is the mask itself, not a copy."""
        case = self._case
        return Scene(
            case.volume.channel(0).array,
            case.labels,
            case.volume.geometry.spacing_mm,
            self.chances,
        )

    def apply(self, edit: Edit, name: str, chosen: int) -> Correction | None:
        """Write what the rules allow of an edit, as one step; None where nothing changes."""
        allowed = ruled(edit, self.scene(), self.rules, chosen)
        self._case.labels[allowed.box] = allowed.labels
        correction = self._commit(allowed.box, name)
        self._repaint(allowed.box)
        return correction

    def note(self, correction: Correction, name: str) -> None:
        """A step was done, by whatever wrote into the mask."""
        self.history.add(correction, name)
        self.history_changed.emit()

    def undo(self) -> bool:
        """Take the last step back; False at the beginning."""
        step = self.history.back()
        if step is not None:
            step.undo(self._case.labels, self._case.tracker.baseline)
            self._written(step.box)
        return step is not None

    def redo(self) -> bool:
        """Do again what was taken back last; False where there is nothing."""
        step = self.history.forth()
        if step is not None:
            step.redo(self._case.labels)
            self._written(step.box)
        return step is not None

    def go_to(self, at: int) -> None:
        """Step to where so many steps are done, in either direction."""
        while self.history.at > at and self.undo():
            pass
        while self.history.at < at and self.redo():
            pass

    def _written(self, box: Box) -> None:
        self._commit(box, "")
        self._repaint(box)
        self.history_changed.emit()
