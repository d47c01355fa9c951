"""A good mask made wrong in a known way, and where each smart tool is pointed at to mend it.

Used by correction_pictures.py; no window. Structure 1 is looked at, 2 is any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage as ndi
from skimage.measure import find_contours

ONE, OTHER = 1, 2
ENDS = 3  # slices
GAP = 6  # slices between two that are drawn, where the ones between them are missing
SPECKS = 0.12  # of the voxels at the edge, where it is rough

Bools: TypeAlias = npt.NDArray[np.bool_]
Labels: TypeAlias = npt.NDArray[np.uint8]
Voxel: TypeAlias = tuple[int, int, int]
Strokes: TypeAlias = list[tuple[int, list[Voxel]]]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is right, uint8 (Z, Y, X), and the slice in which it is looked at."""

    labels: Labels
    spacing_mm: tuple[float, float, float]

    @cached_property
    def one(self) -> Bools:
        return np.asarray(self.labels == ONE)

    @cached_property
    def index(self) -> int:
        """The axial slice with most of the structure, not at the scan's end if it can be helped."""
        areas = self.one.sum(axis=(1, 2))
        inner = areas[ENDS:-ENDS]
        return int(inner.argmax()) + ENDS if inner.any() else int(areas.argmax())

    @cached_property
    def _depth_mm(self) -> npt.NDArray[np.float64]:
        sampling = self.spacing_mm[1:]
        inside = np.pad(self.one[self.index], 1)
        return np.asarray(ndi.distance_transform_edt(inside, sampling)[1:-1, 1:-1])

    @cached_property
    def middle(self) -> Voxel:
        """The voxel that lies deepest."""
        y, x = np.unravel_index(self._depth_mm.argmax(), self._depth_mm.shape)
        return self.index, int(y), int(x)

    @property
    def radius_mm(self) -> float:
        return float(self._depth_mm.max())

    def edge(self) -> int:
        """From the middle to the right, the last column of the structure."""
        _, y, x = self.middle
        return x + int(np.argmin(np.append(self.one[self.index, y, x:], False))) - 1

    def line(self, share: float, shift_mm: float = 0.0) -> list[Voxel]:
        """Across the middle, so much of the radius to either side, or as much further right."""
        z, y, x = self.middle
        far, shift = share * self.radius_mm / self.spacing_mm[2], shift_mm / self.spacing_mm[2]
        return [self._inside((z, y, x + shift + step)) for step in np.linspace(-far, far, 9)]

    def around(self, mm: float) -> list[Voxel]:
        """A circle about the middle."""
        z, y, x = self.middle
        turns = np.linspace(0, 2 * np.pi, 40)
        dy, dx = mm / self.spacing_mm[1], mm / self.spacing_mm[2]
        return [self._inside((z, y + dy * np.sin(t), x + dx * np.cos(t))) for t in turns]

    def _inside(self, place: tuple[float, ...]) -> Voxel:
        last = np.array(self.labels.shape) - 1
        z, y, x = (int(n) for n in np.clip(np.rint(place), 0, last))
        return z, y, x

    def ball(self, at: tuple[float, ...], mm: float) -> Bools:
        """A ball about a voxel, bool (Z, Y, X)."""
        grids = np.ogrid[tuple(slice(0, n) for n in self.labels.shape)]
        parts = zip(grids, at, self.spacing_mm, strict=True)
        return np.asarray(sum(((g - v) * mm_) ** 2 for g, v, mm_ in parts) <= mm**2)

    def within_mm(self, mm: float) -> Bools:
        """What lies deeper than that, or, where negative, no farther outside."""
        if mm > 0:
            return np.asarray(ndi.distance_transform_edt(self.one, self.spacing_mm) > mm)
        return np.asarray(ndi.distance_transform_edt(~self.one, self.spacing_mm) <= -mm)


def clean(truth: Truth) -> Labels:
    return truth.labels.copy()


def empty(truth: Truth) -> Labels:
    return np.zeros_like(truth.labels)


def missing(truth: Truth) -> Labels:
    """The structure is not there, the other is."""
    return np.where(truth.one, 0, truth.labels).astype(np.uint8)


def bitten(truth: Truth) -> Labels:
    """The right half is missing in some slices."""
    labels, (z, _, x) = clean(truth), truth.middle
    part = (slice(max(0, z - 2), z + 3), slice(None), slice(x, None))
    labels[part][truth.one[part]] = 0
    return labels


def leaking(truth: Truth) -> Labels:
    """It goes on beyond its right edge."""
    z, y, _ = truth.middle
    spill = truth.ball((z, y, truth.edge() + 1), 0.6 * truth.radius_mm)
    return np.where(spill, ONE, truth.labels).astype(np.uint8)


def islands(truth: Truth) -> Labels:
    """Three islands around it, the last one tiny."""
    labels, (z, y, _) = clean(truth), truth.middle
    far = (truth.edge() - truth.middle[2]) * truth.spacing_mm[2] + 0.9 * truth.radius_mm
    for turn, mm in ((0.4, 0.35), (-1.2, 0.25), (2.5, 0.12)):
        dy, dx = far * np.sin(turn), far * np.cos(turn)
        at = (z, y + dy / truth.spacing_mm[1], truth.middle[2] + dx / truth.spacing_mm[2])
        ball = truth.ball(truth._inside(at), max(mm * truth.radius_mm, 2.0))
        labels[ball & (labels == 0)] = ONE
    return labels


def holed(truth: Truth) -> Labels:
    """A hole in its middle."""
    labels = clean(truth)
    hole = truth.ball(truth.middle, 0.35 * truth.radius_mm)
    labels[hole & truth.within_mm(max(truth.spacing_mm[1:]))] = 0
    return labels


def rough(truth: Truth) -> Labels:
    """Specks at its edge, inside and outside."""
    near = truth.within_mm(-3.0) & ~truth.within_mm(3.0)
    specks = near & (np.random.default_rng(0).random(near.shape) < SPECKS)
    labels = clean(truth)
    labels[specks & truth.one] = 0
    labels[specks & (truth.labels == 0)] = ONE
    return labels


def small(truth: Truth) -> Labels:
    """A third of its radius is missing all around."""
    labels = missing(truth)
    labels[truth.within_mm(truth.radius_mm / 3)] = ONE
    return labels


def large(truth: Truth) -> Labels:
    """2 mm too large all around."""
    labels = clean(truth)
    labels[truth.within_mm(-2.0) & (labels == 0)] = ONE
    return labels


def sparse(truth: Truth) -> Labels:
    """In every sixth slice only, and not in the one that is looked at."""
    labels = clean(truth)
    drawn = (np.arange(len(labels)) - truth.index) % GAP == GAP // 2
    labels[~drawn] = 0
    return labels


def alone(truth: Truth) -> Labels:
    """In the one slice only."""
    labels = empty(truth)
    labels[truth.index] = truth.labels[truth.index]
    return labels


def touching(truth: Truth) -> Labels:
    """Another round thing of the same number stands on its right edge."""
    z, y, _ = truth.middle
    shift = 0.75 * truth.radius_mm / truth.spacing_mm[2]
    ball = truth.ball((z, y, truth.edge() + shift), 0.8 * truth.radius_mm)
    return np.where(ball, ONE, truth.labels).astype(np.uint8)


def nothing(truth: Truth) -> Strokes:
    return []


def middle(truth: Truth) -> Strokes:
    return [(ONE, [truth.middle])]


def edge(truth: Truth) -> Strokes:
    z, y, _ = truth.middle
    return [(ONE, [(z, y, truth.edge())])]


def right_half(truth: Truth) -> Strokes:
    z, y, x = truth.middle
    return [(ONE, [(z, y, (x + truth.edge() + 1) // 2)])]


def along(truth: Truth) -> Strokes:
    return [(ONE, truth.line(0.6))]


def beyond(truth: Truth) -> Strokes:
    """Through what leaks."""
    wide = (truth.edge() + 1 - truth.middle[2]) * truth.spacing_mm[2]
    return [(ONE, truth.line(0.15, wide + 0.3 * truth.radius_mm))]


def circle(truth: Truth) -> Strokes:
    far = float(np.sqrt(truth.one[truth.index].sum() * np.prod(truth.spacing_mm[1:]) / np.pi))
    return [(ONE, truth.around(1.4 * far))]


def on_the_edge(truth: Truth) -> Strokes:
    """Six clicks around it."""
    inside = truth.one[truth.index]
    parts, _ = ndi.label(inside)
    _, y, x = truth.middle
    line = max(find_contours(np.pad(parts == parts[y, x], 1).astype(float), 0.5), key=len) - 1
    chosen = line[np.linspace(0, len(line) - 1, 6, endpoint=False).astype(int)]
    return [(ONE, [truth._inside((truth.index, *place))]) for place in chosen]


def an_island(truth: Truth) -> Strokes:
    """The middle of the largest of `islands`."""
    extra = (islands(truth) == ONE)[truth.index] & ~truth.one[truth.index]
    parts, _ = ndi.label(extra)
    largest = np.bincount(parts.ravel())[1:].argmax() + 1
    y, x = (round(float(n)) for n in ndi.center_of_mass(parts == largest))
    return [(ONE, [(truth.index, y, x)])]


def the_piece(truth: Truth) -> Strokes:
    z, y, _ = truth.middle
    shift = 0.75 * truth.radius_mm / truth.spacing_mm[2]
    return [(ONE, [truth._inside((z, y, truth.edge() + shift))])]


def seeds(truth: Truth) -> Strokes:
    """In the structure, in the other where the slice has it, and around both."""
    other = Truth(np.where(truth.labels == OTHER, ONE, 0).astype(np.uint8), truth.spacing_mm)
    strokes: Strokes = [(ONE, truth.line(0.5))]
    if other.one[truth.index].any():
        same = Truth(other.labels[truth.index][None], truth.spacing_mm)
        strokes.append((OTHER, [(truth.index, y, x) for _, y, x in same.line(0.5)]))
    else:
        ((_, ring),) = circle(truth)
        strokes.append((0, ring))
    return strokes


@dataclass(frozen=True)
class Case:
    """The mask that a tool finds, and what a person shows it.

    Attributes
    ----------
    mask
        Before.
    strokes
        Structure and voxels of each stroke.
    goal
        Whether its answer is to be like the truth, so that it may be measured.
    """

    mask: Callable[[Truth], Labels]
    strokes: Callable[[Truth], Strokes] = nothing
    goal: bool = True
    knobs: dict[str, Any] = field(default_factory=dict)


CASES = {
    "Assisted brush": Case(missing, along),
    "Assisted eraser": Case(leaking, beyond),
    "Snap": Case(small, along),
    "Click to fix": Case(bitten, right_half),
    "Flood": Case(missing, middle),
    "Threshold": Case(missing, goal=False),
    "Threshold in outline": Case(missing, circle),
    "Grow from seeds": Case(empty, seeds),
    "Level tracing": Case(missing, edge),
    "Live wire": Case(missing, on_the_edge),
    "Active contour": Case(small),
    "Keep largest": Case(islands),
    "Remove small": Case(islands),
    "Split into instances": Case(islands, goal=False),
    "Keep clicked": Case(islands, middle),
    "Remove clicked": Case(islands, an_island),
    "Fill holes": Case(holed),
    "Split touching": Case(touching, goal=False),
    "Split off clicked": Case(touching, the_piece, goal=False),
    "Smooth: median": Case(rough),
    "Smooth: Gaussian": Case(rough),
    "Smooth: closing": Case(rough),
    "Smooth: opening": Case(rough),
    "Smooth: all structures": Case(rough),
    "Grow": Case(clean, goal=False),
    "Shrink": Case(large),
    "Hollow": Case(clean, goal=False),
    "Add another": Case(clean, goal=False),
    "Subtract another": Case(large, goal=False),
    "Intersect with another": Case(clean, goal=False),
    "Move to another": Case(clean, goal=False),
    "Swap": Case(clean, goal=False),
    "Invert": Case(clean, goal=False),
    "Mirror left–right": Case(clean, goal=False),
    "Fill between slices": Case(sparse),
    "Copy to next slice": Case(alone, goal=False),
    "Copy to previous slice": Case(alone, goal=False),
    "Propagate": Case(alone),
}
