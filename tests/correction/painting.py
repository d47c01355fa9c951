"""A person at work: strokes whose every state is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.disk import DISK, Disk
from napari_medseg.correction.record import Box
from napari_medseg.correction.state import Marked, State, Vouched
from napari_medseg.correction.store import Recovered, Store
from napari_medseg.correction.tracker import Tracker

SHAPE = (6, 20, 20)
KEY = "0123456789abcdef0123456789abcdef"


class Session:
    """Paints into a case of a store and remembers the labels after each stroke."""

    def __init__(self, folder: Path, disk: Disk = DISK) -> None:
        self.store = Store(folder / "cases", disk)
        self.files = self.store.files(KEY)
        self.reports: list[str] = []
        self.random = np.random.default_rng(0)
        self.open()
        self.history = [self.tracker.labels.copy()]

    def open(self) -> Recovered:
        """Open the case as the store knows it."""
        recovered = self.store.recover(KEY, self.blank())
        self.tracker: Tracker = (recovered.state or self.blank()).tracker()
        self.journal = self.store.journal(KEY, recovered, self.state, self.reports.append)
        return recovered

    def blank(self) -> State:
        return State(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8))

    def state(self) -> State:
        vouched = self.tracker.vouched.copy()
        return State(*self.tracker.copies(), self.tracker.marks, family="root", vouched=vouched)

    def paint(self, strokes: int = 1) -> None:
        """Strokes at random places, each on its way to disk."""
        for _ in range(strokes):
            z, y, x = (int(self.random.integers(0, n - 3)) for n in SHAPE)
            self.tracker.labels[z : z + 2, y : y + 3, x : x + 3] = self.random.integers(1, 4)
            correction = self.tracker.commit()
            if correction is not None:
                self.journal.append(correction)
            self.history.append(self.tracker.labels.copy())

    def mark(self, axis: int, index: int, on: bool = True) -> None:
        (self.tracker.confirm if on else self.tracker.unconfirm)(axis, index)
        box = self.tracker.slice_box(axis, index)
        labels, baseline = self.tracker.labels[box].copy(), self.tracker.baseline[box].copy()
        self.journal.append(Marked(axis, index, on, labels, baseline))

    def vouch(self, box: Box, on: bool = True) -> None:
        where = np.ones(self.tracker.labels[box].shape, bool)
        self.tracker.vouch(box, where, on)
        seen = self.tracker.labels[box].ravel().copy(), self.tracker.baseline[box].ravel().copy()
        self.journal.append(Vouched(box, where, on, *seen))

    def close(self) -> None:
        assert self.journal.close(20)


def same(found: State | None, labels: npt.NDArray[np.uint8]) -> bool:
    """Whether a state has these labels."""
    return found is not None and np.array_equal(found.labels, labels)
