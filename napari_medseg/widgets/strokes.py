"""What a person paints on one Labels layer, told as boxes of voxels."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.correction.record import Box

SETTLE_MS = 150  # undo and redo tell only "the slice was set": look when the hand is still
BRUSHES = ("paint", "erase")
OURS = "pick"  # the mode behind our own tools, which note what they do themselves
UNDO_STEPS = 100  # napari keeps as many


class Strokes(QObject):
    """Watches a layer; it never writes.

    napari tells of a stroke once, on release; of a single fill or polygon just *before* it writes;
    and of undo and redo not at all: those show only as a redraw. So boxes are told when the event
    loop comes round, and after each redraw the boxes of the last strokes are told again.

    Signals
    -------
    painted
        A box that holds all voxels of a stroke, fill or polygon.
    edited
        What napari keeps to undo it, before `painted`, and while nothing else is written.
    pressed, released
        The brush, with the number of its structure, meets the image; any tool left it.
    """

    painted = Signal(object)
    edited = Signal(object)
    pressed = Signal(int)
    released = Signal()

    def __init__(self, layer: Labels, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.layer = layer
        self.down = False  # whether a button is held on the image
        self._recent: deque[Box] = deque(maxlen=UNDO_STEPS)
        self._new: list[Box] = []
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._tell_new)
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._tell_recent)
        layer.mouse_drag_callbacks.insert(0, self._follow)  # before the tool itself
        layer.events.paint.connect(self._on_paint)
        layer.events.set_data.connect(self._on_redraw)

    def close(self) -> None:
        """Stop watching; strokes that are not told yet are told."""
        self._settle.stop()
        self._soon.stop()
        self._tell_new()
        if self._follow in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._follow)
        self.layer.events.paint.disconnect(self._on_paint)
        self.layer.events.set_data.disconnect(self._on_redraw)

    def _follow(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        if self._settle.isActive():  # an undo a moment ago: note it before the next stroke
            self._settle.stop()
            self._tell_recent()
        if str(layer.mode) == OURS:
            return
        self.down = True
        if str(layer.mode) in BRUSHES:
            erases = str(layer.mode) == "erase"
            self.pressed.emit(0 if erases else int(layer.selected_label))
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            self.down = False
            self.released.emit()

    def _on_paint(self, event: Any) -> None:
        box = box_of(event.value)
        if box is not None:
            self.edited.emit(event.value)
            self._new.append(box)
            self._soon.start()

    def _on_redraw(self, event: Any = None) -> None:
        if self._recent:
            self._settle.start()

    def _tell_new(self) -> None:
        new, self._new = self._new, []
        self._recent.extend(new)
        for box in new:
            self.painted.emit(box)

    def _tell_recent(self) -> None:
        if self.down:
            self._settle.start()
            return
        for box in dict.fromkeys(_plain(box) for box in self._recent):
            z, y, x = (slice(*ends) for ends in box)
            self.painted.emit((z, y, x))


def _plain(box: Box) -> tuple[tuple[int, int], ...]:
    return tuple((part.start, part.stop) for part in box)


def box_of(atoms: Iterable[Any]) -> Box | None:
    """The box around all atoms of a paint event; None if nothing changed.

    An atom of napari 0.9 has a `slice_key`; those of `data_setitem` are (indices, old, new).
    """
    ends = [found for atom in atoms if (found := _ends(atom)) is not None]
    if not ends:
        return None
    low = np.min([[start for start, _ in one] for one in ends], axis=0)
    high = np.max([[stop for _, stop in one] for one in ends], axis=0)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x


def _ends(atom: Any) -> list[tuple[int, int]] | None:
    if hasattr(atom, "slice_key"):
        return [(int(part.start), int(part.stop)) for part in atom.slice_key]
    indices = atom[0]
    if any(np.size(index) == 0 for index in indices):
        return None
    return [(int(np.min(index)), int(np.max(index)) + 1) for index in indices]
