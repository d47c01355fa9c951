"""Quick looks in a mask, and the labels that lie under them until a better answer comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Box, Labels, Source
from napari_medseg.correction.tracker import Tracker


@dataclass(frozen=True, eq=False)
class _Look:
    """One quick look: where it lies, what it covered, and where it is still to be seen."""

    box: Box
    under: Labels
    shown: npt.NDArray[np.bool_]

    def inside(self, box: Box) -> tuple[Box, Box] | None:
        """What lies in a box too, as a part of the scan and of this look; None for nothing."""
        parts = [
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(self.box, box, strict=True)
        ]
        if any(part.start >= part.stop for part in parts):
            return None
        z, y, x = parts
        k, j, i = (
            slice(part.start - own.start, part.stop - own.start)
            for part, own in zip(parts, self.box, strict=True)
        )
        return (z, y, x), (k, j, i)


class Previews:
    """The quick looks of one case, the oldest first; takes as much memory as they cover."""

    def __init__(self) -> None:
        self._looks: list[_Look] = []

    def write(self, tracker: Tracker, box: Box, values: Labels) -> bool:
        """Write a quick look where nobody painted or confirmed; whether a voxel changed."""
        under = tracker.labels[box].copy()
        changed = tracker.receive(box, values)
        shown = (tracker.source[box] == Source.MODEL) & (tracker.labels[box] == values)
        self._looks.append(_Look(box, under, shown))
        return changed

    def settle(self, box: Box) -> None:
        """The better answer for a box is in the mask."""
        for look in self._looks:
            if (both := look.inside(box)) is not None:
                look.shown[both[1]] = False
        self._looks = [look for look in self._looks if look.shown.any()]

    def seen(self, tracker: Tracker, box: Box) -> bool:
        """Whether a voxel of a box shows a quick look that nobody painted over."""
        common = [(look, look.inside(box)) for look in self._looks]
        return any(
            bool((look.shown[both[1]] & (tracker.source[both[0]] == Source.MODEL)).any())
            for look, both in common
            if both is not None
        )

    def take_back(self, tracker: Tracker) -> list[Box]:
        """Put back what lay under, the youngest look first; the boxes that changed.

        What a person painted or confirmed meanwhile stays.
        """
        changed = []
        for look in reversed(self._looks):
            values = np.where(look.shown, look.under, tracker.labels[look.box])
            if tracker.receive(look.box, values):
                changed.append(look.box)
        self.forget()
        return changed

    def forget(self) -> None:
        """All that is shown is final."""
        self._looks = []
