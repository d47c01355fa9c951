"""Who is behind each voxel: the net difference of the labels against what the model gave.

Nothing listens to strokes, for undo, redo and direct writes tell nothing. Three arrays say it all:
the labels, which anybody may write; the baseline, which is what the model gave; and the labels as
they were at the last commit. From them, the confirmed slices and the voxels that are vouched for
one by one (a piece, a whole structure), `source` follows:

- CONFIRMED in a slice, or where a voxel, is vouched for;
- PAINTED where the committed labels differ from the baseline;
- MODEL everywhere else.

So a stroke that is undone leaves no trace, and un-confirming a slice gives back exactly what was
there. One thing cannot be told apart: a voxel that a person paints back *by hand* to the model's
value looks like an undone one and is MODEL again; to vouch for it, confirm its slice.
The baseline of a voxel that is not MODEL stays as the person found it: later predictions neither
overwrite the voxel nor change what undoing its stroke means.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.bits import Bits
from napari_medseg.correction.record import Box, Correction, Labels, Source
from napari_medseg.errors import GridError, InputError

Marks = tuple[frozenset[int], frozenset[int], frozenset[int]]
NO_MARKS: Marks = (frozenset(), frozenset(), frozenset())
FEW_LABELS = 16  # up to here, comparing with each is up to eight times faster than bincount


class Tracker:
    """Follows one array of labels that a person and a model both write.

    Attributes
    ----------
    labels
        Shape (Z, Y, X), uint8 or uint16; shared with whoever paints, never replaced.
    baseline
        Shape and type of `labels`: what the model gave.
    source
        Shape (Z, Y, X), uint8 of `Source`; as of the last commit.
    counts
        int64 voxels of each label value; as of the last commit.
    painted
        Voxels that differ from the baseline; as of the last commit.
    marks
        Confirmed slices along Z, Y and X.
    vouched
        Voxels that a person vouches for besides; whatever is painted there later is vouched for
        too, as in a confirmed slice.
    """

    def __init__(
        self,
        labels: Labels,
        baseline: Labels | None = None,
        marks: Marks = NO_MARKS,
        vouched: Bits | None = None,
    ) -> None:
        self.labels = labels
        self.baseline = labels.copy() if baseline is None else baseline
        if self.baseline.shape != labels.shape or self.baseline.dtype != labels.dtype:
            raise GridError(
                f"a baseline must be {labels.shape} {labels.dtype}, "
                f"got {self.baseline.shape} {self.baseline.dtype}"
            )
        self.source = np.zeros(labels.shape, np.uint8)
        self.counts = _count(labels)
        self.marks = marks
        self.vouched = Bits(labels.shape) if vouched is None else vouched
        self.painted = int(np.count_nonzero(labels != self.baseline))
        self._committed = labels.copy()
        self._lock = threading.Lock()  # around writing `_committed` and `baseline`
        self._derive(whole(labels.shape))

    def commit(self, box: Box | None = None) -> Correction | None:
        """What changed since the last commit, or None.

        Parameters
        ----------
        box
            Where to look; None looks everywhere (30 ms for 512 x 512 x 512).
        """
        changed = changed_box(self.labels, self._committed, clip(box, self.labels.shape))
        if changed is None:
            return None
        old, new = self._committed[changed].copy(), self.labels[changed].copy()
        self._recount(old, new)
        with self._lock:
            self._committed[changed] = new
        self._derive(changed)
        baseline = self.baseline[changed].copy()
        self.painted += int(np.count_nonzero(new != baseline) - np.count_nonzero(old != baseline))
        return Correction(changed, old, new, baseline, self.source[changed] != Source.MODEL)

    def revert(self, box: Box | None = None) -> Box | None:
        """Give back what was there at the last commit; where that was needed, or None."""
        changed = changed_box(self.labels, self._committed, clip(box, self.labels.shape))
        if changed is not None:
            self.labels[changed] = self._committed[changed]
        return changed

    def receive(self, box: Box, values: Labels) -> bool:
        """Write a prediction where nobody painted or confirmed; whether a voxel changed."""
        now, committed = self.labels[box], self._committed[box]
        change = values != committed
        change &= self.source[box] == Source.MODEL
        change &= now == committed  # else: painted a moment ago, not yet committed
        if not change.any():
            return False
        self._recount(committed[change], values[change])
        with self._lock:
            for array in (self.labels, self.baseline, self._committed):
                np.copyto(array[box], values, where=change, casting="same_kind")
        return True

    def rebase(
        self, box: Box, values: Labels, before: Labels, where: npt.NDArray[np.bool_]
    ) -> None:
        """Say anew what the model gives under a person's strokes; they keep their labels.

        For strokes on what a model gave only in passing. Where a stroke says the same as `values`,
        what was there `before` counts, so that it stays the person's if it changed that.
        """
        now, baseline = self._committed[box], self.baseline[box]
        change = where & (self.source[box] != Source.MODEL)
        differed = int(np.count_nonzero(now != baseline))
        with self._lock:
            np.copyto(baseline, values, where=change & (values != now), casting="same_kind")
            np.copyto(baseline, before, where=change & (values == now), casting="same_kind")
        self.painted += int(np.count_nonzero(now != baseline)) - differed
        self._derive(box)

    def copies(self) -> tuple[Labels, Labels]:
        """Copies of the committed labels and of the baseline; may be called from any thread.

        Slice by slice, so that nobody waits: a commit meanwhile is in it, or not, or in part, but
        each voxel goes with its baseline. Whoever plays later steps onto it gets it right.
        """
        labels, baseline = np.empty_like(self._committed), np.empty_like(self.baseline)
        for z in range(len(labels)):
            with self._lock:
                labels[z], baseline[z] = self._committed[z], self.baseline[z]
        return labels, baseline

    def confirm(self, axis: int, index: int) -> None:
        """Vouch for a slice as it was at the last commit."""
        self._mark(axis, index, self.marks[self._checked(axis, index)] | {index})

    def unconfirm(self, axis: int, index: int) -> None:
        """Take a slice's mark back; its voxels are PAINTED or MODEL as before."""
        self._mark(axis, index, self.marks[self._checked(axis, index)] - {index})

    def vouch(self, box: Box, where: npt.NDArray[np.bool_], on: bool) -> None:
        """Vouch for some voxels of a box, bool of its shape, as of the last commit; or no more."""
        self.vouched.put(box, where, on)
        self._derive(box)

    @property
    def touched(self) -> bool:
        """Whether a person painted or confirmed anything, as of the last commit."""
        return any(self.marks) or self.painted > 0 or bool(self.vouched)

    def slice_box(self, axis: int, index: int) -> Box:
        """The box of one slice."""
        box = list(whole(self.labels.shape))
        box[self._checked(axis, index)] = slice(index, index + 1)
        return box[0], box[1], box[2]

    def _mark(self, axis: int, index: int, marks: Iterable[int]) -> None:
        kept = list(self.marks)
        kept[axis] = frozenset(marks)
        self.marks = (kept[0], kept[1], kept[2])
        self._derive(self.slice_box(axis, index))

    def _derive(self, box: Box) -> None:
        source = self.source[box]
        source[...] = self._committed[box] != self.baseline[box]  # 0 MODEL, 1 PAINTED
        for axis, marks in enumerate(self.marks):
            inside = [i - box[axis].start for i in marks if box[axis].start <= i < box[axis].stop]
            np.moveaxis(source, axis, 0)[inside] = Source.CONFIRMED
        if self.vouched:
            z, y, x = box
            for plane, index in zip(source, range(z.start, z.stop), strict=True):
                one = self.vouched[slice(index, index + 1), y, x]
                plane[one[0]] = Source.CONFIRMED

    def _recount(self, old: Labels, new: Labels) -> None:
        size = len(self.counts)
        self.counts += _histogram(new, size) - _histogram(old, size)

    def _checked(self, axis: int, index: int) -> int:
        if axis not in (0, 1, 2) or not 0 <= index < self.labels.shape[axis]:
            raise InputError(
                f"a slice must lie inside {self.labels.shape} (Z, Y, X), "
                f"got {index} along axis {axis}; choose a slice of the scan"
            )
        return axis


def whole(shape: tuple[int, ...]) -> Box:
    """The box of everything."""
    return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])


def clip(box: Box | None, shape: tuple[int, ...]) -> Box:
    """The box with both ends stated and inside the shape; None is everything."""
    if box is None:
        return whole(shape)
    z, y, x = (slice(*part.indices(n)[:2]) for part, n in zip(box, shape, strict=True))
    return z, y, x


def changed_box(now: Labels, before: Labels, box: Box) -> Box | None:
    """The smallest box inside `box` that holds every difference, or None.

    Slice by slice, so that nothing of the volume's size is allocated and most slices cost one
    pass through the cache.
    """
    z, y, x = box
    differ = [
        i for i in range(z.start, z.stop) if not np.array_equal(now[i, y, x], before[i, y, x])
    ]
    if not differ:
        return None
    seen = np.zeros((y.stop - y.start, x.stop - x.start), bool)
    for i in differ:
        seen |= now[i, y, x] != before[i, y, x]
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return (
        slice(differ[0], differ[-1] + 1),
        slice(y.start + int(rows[0]), y.start + int(rows[-1]) + 1),
        slice(x.start + int(columns[0]), x.start + int(columns[-1]) + 1),
    )


def _count(labels: Labels) -> npt.NDArray[np.int64]:
    """Voxels of each label value; slice by slice, for bincount widens to 8 bytes a voxel."""
    counts = np.zeros(int(np.iinfo(labels.dtype).max) + 1, np.int64)
    for plane in labels:
        counts += _histogram(plane, len(counts))
    return counts


def _histogram(values: Labels, size: int) -> npt.NDArray[np.int64]:
    """How often each value below `size` occurs, int64 (size,)."""
    top = int(values.max(initial=0))
    if top >= FEW_LABELS:
        return np.bincount(values.ravel(), minlength=size)
    counts = np.zeros(size, np.int64)
    counts[: top + 1] = [np.count_nonzero(values == value) for value in range(top + 1)]
    return counts
