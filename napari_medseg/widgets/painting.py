"""A person's hand on the mask of the open case, also where the mask shows a quick look.

A stroke on a quick look counts as one on what comes in its place: nothing of it is lost where the
quick look said the same, and undoing it gives back the final label, or the one of before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_medseg.correction.record import Box
from napari_medseg.widgets.strokes import UNDO_STEPS, Strokes, box_of
from napari_medseg.workbench import Case, Workbench
from napari_medseg.workbench.previews import Replaced

Integers = npt.NDArray[np.integer[Any]]


class Painting(QObject):
    """Strokes on a layer that shares its array with a case; close it before another is watched.

    Signals
    -------
    painted
        A box that holds all voxels of a stroke, fill or polygon.
    """

    painted = Signal(object)

    def __init__(self, layer: Labels, case: Case, bench: Workbench, parent: QObject) -> None:
        super().__init__(parent)
        self._case, self._bench = case, bench
        self._covering: deque[Covering] = deque(maxlen=UNDO_STEPS)
        self._strokes: dict[Labels, Strokes] = {}
        self.watch(layer)
        bench.look_replaced.connect(self._on_replaced)

    @property
    def down(self) -> bool:
        """Whether a button is held on the image, in any view."""
        return any(one.down for one in self._strokes.values())

    def watch(self, layer: Labels) -> None:
        """Note also what is painted on this layer, which shows the same array in another view."""
        strokes = self._strokes[layer] = Strokes(layer, self)
        strokes.pressed.connect(self._on_pressed)
        strokes.released.connect(self._on_released)
        strokes.edited.connect(self._on_edited)
        strokes.painted.connect(self.painted)

    def watch_no_more(self, layer: Labels) -> None:
        """The view is gone; strokes that are not told yet are told."""
        strokes = self._strokes.pop(layer, None)
        if strokes is not None:
            strokes.close()
            strokes.deleteLater()

    def close(self) -> None:
        """Stop watching; strokes that are not told yet are told."""
        self._bench.look_replaced.disconnect(self._on_replaced)
        for layer in list(self._strokes):
            self.watch_no_more(layer)

    def _on_pressed(self, value: int) -> None:
        self._case.previews.step_aside(self._case.tracker, value)

    def _on_released(self) -> None:
        self._case.previews.come_back(self._case.tracker)

    def _on_edited(self, atoms: Iterable[Any]) -> None:
        if self._case.previews:
            found = (covering(self._case, atom) for atom in atoms)
            self._covering.extend(one for one in found if one is not None)

    def _on_replaced(self, gone: Replaced) -> None:
        for one in self._covering:
            one.replace(gone)


@dataclass(frozen=True, eq=False)
class Covering:
    """Voxels of a stroke that lay on a quick look.

    `voxels` are int (3, N); `before` is napari's own array of what undoing gives back, flat, and
    `places` int (N,) where in it the voxels are.
    """

    voxels: Integers
    before: Integers
    places: Integers

    def replace(self, gone: Replaced) -> None:
        """Let undoing give what came in place of the quick look."""
        low = np.array([[part.start] for part in gone.box])
        high = np.array([[part.stop] for part in gone.box])
        inside = ((self.voxels >= low) & (self.voxels < high)).all(axis=0)
        at = tuple((self.voxels - low)[:, inside])
        where = gone.where[at]
        self.before[self.places[inside][where]] = gone.values[at][where]


def covering(case: Case, atom: Any) -> Covering | None:
    """What of a stroke's atom lies on a quick look; None for nothing.

    To be asked before the stroke is committed: the tracker still knows what was there.
    """
    box = box_of([atom])
    if box is None:
        return None
    voxels, before = _contents(atom)
    low = [[part.start] for part in box]
    on_look = case.previews.shown(case.tracker, box)[tuple(voxels - low)]
    on_look &= before == case.baseline[tuple(voxels)]  # else a stroke not committed yet lay there
    places = np.flatnonzero(on_look)
    return Covering(voxels[:, places], before, places) if places.size else None


def _contents(atom: Any) -> tuple[Integers, Integers]:
    """Voxels (3, N) of an atom, and its values before (N,): a view of what napari keeps."""
    if not hasattr(atom, "slice_key"):
        voxels = np.stack([np.ravel(index) for index in atom[0]])
        return voxels, atom[1].reshape(-1)
    box: Box = atom.slice_key
    low = np.array([[int(part.start)] for part in box])
    mask = atom.mask
    if mask is None:
        mask = np.ones([int(part.stop) - int(part.start) for part in box], bool)
    return np.stack(np.nonzero(mask)) + low, atom.old_values.reshape(-1)
