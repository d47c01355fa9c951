"""Quick looks in a mask, and the labels that lie under them until a better answer comes.

A person may paint on a quick look. Such a stroke is theirs, but what lies under it is not: when the
quick look goes, what the model gave there becomes what came in its place, and so does what undoing
the stroke gives back (`Replaced` tells whoever keeps the history of strokes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Box, Labels, Source
from napari_medseg.correction.tracker import Tracker, whole

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Replaced:
    """A quick look is gone `where` it was, bool, in a box; `values` are its labels' successors."""

    box: Box
    values: Labels
    where: Bools


@dataclass(frozen=True, eq=False)
class _Look:
    """One quick look: where it lies, its labels, what it covered, and where it is still shown.

    It counts as shown under a stroke too. What it covered is never another quick look.
    """

    box: Box
    values: Labels
    under: Labels
    shown: Bools

    def inside(self, box: Box) -> tuple[Box, Box] | None:
        """What lies in a box too, as a part of the scan and of this look; None for nothing."""
        z, y, x = (
            slice(max(a.start, b.start), min(a.stop, b.stop))
            for a, b in zip(self.box, box, strict=True)
        )
        if any(part.start >= part.stop for part in (z, y, x)):
            return None
        return (z, y, x), _relative((z, y, x), self.box)

    def untouched(self, tracker: Tracker) -> Bools:
        """Where the mask shows it, as of now: nobody painted there."""
        mine: Bools = tracker.labels[self.box] == tracker.baseline[self.box]
        mine &= tracker.source[self.box] == Source.MODEL
        return self.shown & mine


class Previews:
    """The quick looks of one case, the oldest first; takes as much memory as they cover."""

    def __init__(self) -> None:
        self._looks: list[_Look] = []
        self.awaited = True
        self._aside: list[tuple[_Look, Bools]] = []

    def __bool__(self) -> bool:
        return bool(self._looks)

    def write(self, tracker: Tracker, box: Box, values: Labels, awaited: bool = True) -> bool:
        """Write a quick look where nobody painted or confirmed; whether a voxel changed.

        `awaited`: whether a better answer follows by itself.
        """
        self.awaited = awaited
        under = self._without(tracker, box)
        changed = tracker.receive(box, values)
        shown = (tracker.source[box] == Source.MODEL) & (tracker.labels[box] == values)
        for look in self._looks:
            if look.box == box:  # only what a person painted over is still of that one
                look.shown[tracker.source[box] == Source.MODEL] = False
        self._looks = [look for look in self._looks if look.shown.any()]
        self._looks.append(_Look(box, values.astype(under.dtype), under, shown))
        return changed

    def beneath(self, tracker: Tracker, box: Box) -> Labels:
        """A copy of a box of the mask with what lies under the quick looks in their place."""
        return self._without(tracker, box)

    def settle(self, tracker: Tracker, box: Box, values: Labels) -> list[Replaced]:
        """The better answer for a box is in the mask, but where a person painted."""
        gone = []
        for look in self._looks:
            if (both := look.inside(box)) is None or not look.shown[both[1]].any():
                continue
            better = values[_relative(both[0], box)].astype(look.under.dtype)
            where = look.shown[both[1]].copy()
            tracker.rebase(both[0], better, look.under[both[1]], where)
            gone.append(Replaced(both[0], better, where))
            look.shown[both[1]] = False
        self._looks = [look for look in self._looks if look.shown.any()]
        return gone

    def seen(self, tracker: Tracker, box: Box) -> bool:
        """Whether a voxel of a box shows a quick look that nobody painted over."""
        common = [(look, look.inside(box)) for look in self._looks]
        return any(
            bool((look.shown[both[1]] & (tracker.source[both[0]] == Source.MODEL)).any())
            for look, both in common
            if both is not None
        )

    def shown(self, tracker: Tracker, box: Box) -> Bools:
        """Where in a box the mask shows a quick look, or did until the last stroke."""
        found = np.zeros([part.stop - part.start for part in box], bool)
        for look in self._looks:
            if (both := look.inside(box)) is not None:
                model = tracker.source[both[0]] == Source.MODEL
                found[_relative(both[0], box)] |= look.shown[both[1]] & model
        return found

    def without(self, tracker: Tracker) -> Labels:
        """A copy of the mask with what lies under the quick looks in their place."""
        return self._without(tracker, whole(tracker.labels.shape))

    def _without(self, tracker: Tracker, box: Box) -> Labels:
        labels = tracker.labels[box].copy()
        for look in self._looks:
            if (both := look.inside(box)) is not None:
                part, own = labels[_relative(both[0], box)], both[1]
                np.copyto(part, look.under[own], where=look.untouched(tracker)[own])
        return labels

    def step_aside(self, tracker: Tracker, value: int) -> None:
        """Make room for a stroke of this label: where a quick look says the same, it goes.

        Else the stroke would change nothing there, and leave nothing when the quick look goes.
        """
        for look in reversed(self._looks):  # the youngest is the one that is seen
            same = look.untouched(tracker) & (look.under != value)
            same &= tracker.labels[look.box] == value
            if same.any():
                _write(tracker, look.box, look.under, same)
                self._aside.append((look, same))

    def come_back(self, tracker: Tracker) -> None:
        """The stroke is done: what it left over comes back."""
        for look, same in reversed(self._aside):
            _write(tracker, look.box, look.values, same & look.shown)
        self._aside = []

    def take_back(self, tracker: Tracker) -> list[Replaced]:
        """Put back what lay under.

        What a person painted or confirmed meanwhile stays.
        """
        gone = []
        for look in self._looks:
            _write(tracker, look.box, look.under, look.shown)
            tracker.rebase(look.box, look.under, look.under, look.shown)
            gone.append(Replaced(look.box, look.under, look.shown))
        self.forget()
        return gone

    def forget(self) -> None:
        """All that is shown is final."""
        self._looks, self._aside = [], []


def _relative(part: Box, box: Box) -> Box:
    """A part of a box, counted from the box's own corner."""
    z, y, x = (
        slice(one.start - own.start, one.stop - own.start)
        for one, own in zip(part, box, strict=True)
    )
    return z, y, x


def _write(tracker: Tracker, box: Box, values: Labels, where: Bools) -> bool:
    return tracker.receive(box, np.where(where, values, tracker.labels[box]))
