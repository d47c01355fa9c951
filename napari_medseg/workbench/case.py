"""The scan that is open, its labels, and who is behind each voxel."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass, field, replace
from itertools import chain, count

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Box, Example, Labels
from napari_medseg.correction.state import State
from napari_medseg.correction.tracker import Tracker
from napari_medseg.errors import InputError
from napari_medseg.inference.events import BoxDone
from napari_medseg.volume import Label, Mask, Reorientation, Volume
from napari_medseg.workbench.previews import Previews

IGNORE = 255  # the mask value that teaches nothing; no structure may have it
CLASHES_TOLD = 3
READ_ONLY = (
    "a scan must be open in one window only to be corrected, this one is open in another window "
    "or its record cannot be read; close it there and open it again here"
)
COLORS = (
    "#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0",
    "#f032e6", "#bcf60c", "#fabebe", "#008080", "#e6beff", "#9a6324",
)  # fmt: skip  # twelve that are told apart on grey
GOLDEN = 0.618034


@dataclass(eq=False)
class Case:
    """One open scan; its arrays lie on canonical axes (Z to Superior, Y to Posterior, X to Left).

    Attributes
    ----------
    volume
        The scan on canonical axes.
    turn
        From the scan's own grid to the canonical one and back.
    tracker
        Labels, baseline, source and confirmed slices.
    names
        The structures that can be painted.
    subject
        Whom the scan shows; cases of one subject are never split between teaching and checking.
    key
        Hash of the scan's voxels and grid: the same scan has the same key in any file format.
    family
        Which model the labels belong to: the version of its oldest ancestor; "" for none.
    previews
        Where the labels are a quick look of the prediction that runs.
    writable
        Whether it may be corrected: another window that has it open would lose its corrections.
    """

    volume: Volume
    turn: Reorientation
    tracker: Tracker
    names: tuple[Label, ...]
    subject: str
    key: str
    family: str = ""
    previews: Previews = field(default_factory=Previews)
    writable: bool = True

    @property
    def labels(self) -> Labels:
        """Shape (Z, Y, X), uint8 or uint16; the array that the Labels layer shows and paints."""
        return self.tracker.labels

    @property
    def baseline(self) -> Labels:
        """Shape (Z, Y, X): what the model gave."""
        return self.tracker.baseline

    @property
    def source(self) -> npt.NDArray[np.uint8]:
        """Shape (Z, Y, X), uint8 of `Source`, as of the last commit."""
        return self.tracker.source

    @property
    def scan(self) -> Volume:
        """The scan on its own grid; its array is a view."""
        array = self.turn.undo(self.volume.array)
        return replace(self.volume, array=array, geometry=self.turn.source)

    def own_slice(self, axis: int, index: int) -> tuple[int, int]:
        """(axis, index) on the scan's own grid of a slice on canonical axes."""
        last = self.turn.target.shape[axis] - 1
        return self.turn.axes[axis], last - index if self.turn.flips[axis] else index

    def canonical(self, event: BoxDone) -> tuple[Box, Labels]:
        """Where a box of the scan's own grid lies on canonical axes, and its labels there."""
        own = event.slices
        box = [
            slice(n - own[axis].stop, n - own[axis].start) if flip else own[axis]
            for axis, flip, n in zip(
                self.turn.axes, self.turn.flips, self.turn.target.shape, strict=True
            )
        ]
        return (box[0], box[1], box[2]), self.turn.apply(event.labels)

    def mask(self) -> Mask:
        """The labels as they are now but for quick looks, on the scan's own grid; a copy."""
        labels = np.array(self.turn.undo(self.without_looks()), order="C")
        return Mask(labels, self.turn.source, self.names, header=self.volume.header)

    def without_looks(self) -> Labels:
        """A copy of the labels with what lies under the quick looks in their place."""
        return self.previews.without(self.tracker)

    def example(self) -> Example:
        """The case as a teacher, on canonical axes; its masks are copies."""
        mask = Mask(self.without_looks(), self.volume.geometry, self.names)
        return Example(self.volume, mask, self.source != 0, self.subject)

    def check_writable(self) -> None:
        """Refuse, by an InputError, to correct a case that is only shown."""
        if not self.writable:
            raise InputError(READ_ONLY)

    def state(self) -> State:
        """What is to be kept of the case, as of its last commit; may be called on any thread."""
        marks, names = self.tracker.marks, self.names
        vouched = self.tracker.vouched.copy()
        return State(*self.tracker.copies(), marks, names, self.subject, self.family, vouched)

    def present(self) -> list[int]:
        """The numbers above 0 that some voxel has, as of the last commit."""
        return [int(value) for value in np.flatnonzero(self.tracker.counts) if value]

    def top_label(self) -> int:
        """The largest number that a voxel can hold."""
        return int(np.iinfo(self.labels.dtype).max)

    def free_label(self, name: str, color: str = "") -> Label:
        """A structure of this name with the lowest number and the next colour that are free."""
        taken = {label.value for label in self.names} | {IGNORE}
        value = next((v for v in range(1, self.top_label() + 1) if v not in taken), 0)
        if not value:
            raise InputError(f"a mask of this kind holds {self.top_label()} structures, not more")
        first, used = (value - 1) % len(COLORS), {label.color for label in self.names}
        colors = chain(COLORS[first:], COLORS[:first], _more_colors())
        return Label(value, name, color or next(one for one in colors if one not in used))


def merged(first: Iterable[Label], second: Iterable[Label]) -> tuple[Label, ...]:
    """All structures of both, by number; where both know a number the first names it."""
    by_value = {label.value: label for label in second}
    by_value.update({label.value: label for label in first})
    return tuple(by_value[value] for value in sorted(by_value))


def clash(names: Iterable[Label], others: Iterable[Label]) -> str:
    """A sentence on the numbers by which a model means another structure; "" if there are none."""
    theirs = {label.value: label.name for label in others}
    differ = [one for one in names if theirs.get(one.value, one.name) != one.name]
    told = [f"{one.value} is {one.name} here, {theirs[one.value]} in that model" for one in differ]
    more = f"; and {len(told) - CLASHES_TOLD} more" if len(told) > CLASHES_TOLD else ""
    return f"{'; '.join(told[:CLASHES_TOLD])}{more}"


def unnamed(values: Iterable[int]) -> tuple[Label, ...]:
    """Structures of which only the number is known."""
    return tuple(Label(v, f"label {v}", COLORS[(v - 1) % len(COLORS)]) for v in values)


def offspring(names: Sequence[Label], values: Iterable[int], parent: Label) -> tuple[Label, ...]:
    """New structures cut off a named one: "liver 2", "liver 3", in colours that none has yet."""
    taken, used = {one.name for one in names}, {one.color for one in names}
    stem = re.sub(r" \d+$", "", parent.name)
    stem = stem if stem in taken else parent.name
    calls = (name for n in count(2) if (name := f"{stem} {n}") not in taken)
    colors = (color for color in chain(COLORS, _more_colors()) if color not in used)
    return tuple(map(Label, values, calls, colors))


def _more_colors() -> Iterator[str]:
    """Hues a golden section apart: no two are alike, however many there are."""
    for number in count():
        red, green, blue = hsv_to_rgb(number * GOLDEN % 1, 0.6, 0.95)
        yield f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def blank_state(shape: tuple[int, ...], names: tuple[Label, ...]) -> State:
    """A case that nobody touched; uint16 where a structure's number needs it."""
    return State(np.zeros(shape, _dtype(names)), np.zeros(shape, _dtype(names)))


def tracker_of(state: State, names: tuple[Label, ...]) -> Tracker:
    """A tracker that goes on from a state, wide enough for all structures."""
    dtype = np.result_type(state.labels.dtype, _dtype(names))
    labels, baseline = (a.astype(dtype, copy=False) for a in (state.labels, state.baseline))
    return Tracker(labels, baseline, state.marks, state.vouched)


def anonymous(subject: str) -> str:
    """A hash that says no name; "" for nobody."""
    return hashlib.sha256(subject.encode()).hexdigest()[:16] if subject else ""


def _dtype(names: tuple[Label, ...]) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if max([0, *(label.value for label in names)]) <= IGNORE else np.uint16
