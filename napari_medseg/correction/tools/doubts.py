"""Next error: the most doubtful places of a mask, each with a fix where one is plain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.ndimage import find_objects

from napari_medseg.correction.edit import Bools, Edit, Scene, edit_of
from napari_medseg.correction.record import Box, Labels
from napari_medseg.correction.tools.jumps import Jump, jumps
from napari_medseg.correction.tools.part import Floats, Voxel

# a structure's pieces by number, how large each is, and which are islands
Pieces = tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.int64], Bools]
BLOCK_MM = 6.0  # side of the blocks in which a model's doubt is summed: more than an edge is wide


class Doubtful(StrEnum):
    """What makes a place doubtful."""

    ISLAND = "island"
    HOLE = "hole"
    JUMP = "jump between slices"
    BORDER = "touches the border"
    CONTACT = "touches another structure"
    UNSURE = "the model is unsure"


# how often such a place is an error, roughly: the order in which they are shown
WEIGHTS = {
    Doubtful.JUMP: 1.0,
    Doubtful.ISLAND: 0.9,
    Doubtful.HOLE: 0.8,
    Doubtful.UNSURE: 0.7,
    Doubtful.CONTACT: 0.5,
    Doubtful.BORDER: 0.3,
}


@dataclass(frozen=True, eq=False)
class Doubt:
    """A place to look at.

    Attributes
    ----------
    axis, index
        The slice that shows it.
    voxel
        Where in it.
    size
        Voxels that it is about.
    score
        In (0, 1]; higher comes first.
    edit
        What would put it right, where that is plain; else None.
    """

    kind: Doubtful
    label: int
    voxel: Voxel
    size: int
    score: float
    why: str
    axis: int = 0
    edit: Edit | None = None

    @property
    def index(self) -> int:
        return self.voxel[self.axis]


@dataclass(frozen=True)
class DoubtKnobs:
    """What counts as doubtful.

    Attributes
    ----------
    island
        Pieces smaller than this part of the largest of their structure.
    jump
        By how much a slice differs from what its neighbours let expect, as a part of it.
    most
        No more places than this.
    """

    island: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.1
    jump: Annotated[float, {"min": 0.05, "max": 5.0}] = 0.35
    most: Annotated[int, {"min": 1, "max": 1000}] = 100


def doubts(
    scene: Scene, names: Mapping[int, str] | None = None, knobs: DoubtKnobs | None = None
) -> tuple[Doubt, ...]:
    """The most doubtful places of a mask, the worst first; `names` of structures for the words."""
    knobs = knobs or DoubtKnobs()
    boxes = _boxes(scene.labels)
    if not boxes:
        return ()
    found: list[Doubt] = []
    for label, box in boxes.items():
        name = (names or {}).get(label, f"structure {label}")
        ours = scene.labels[box] == label
        pieces = cc3d.connected_components(ours, connectivity=26)
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        small = (sizes > 0) & (sizes < knobs.island * sizes.max())
        found += _islands(scene, label, name, box, (pieces, sizes, small), knobs)
        found += _holes(scene, label, name, box, ours)
        # an island makes no slice jump: it has its own entry
        main = ours & ~small[pieces] if small.any() else ours
        found += _jumps(scene, label, name, box, main, knobs)
        found += _borders(scene, label, name, box, ours)
        found += _unsure(scene, label, name, box)
    found += _contacts(scene, names or {}, boxes)
    found.sort(key=lambda one: (-one.score, one.label, one.voxel))
    return tuple(found[: knobs.most])


def _boxes(labels: Labels) -> dict[int, Box]:
    """The smallest box of each structure, by its number."""
    found = enumerate(find_objects(labels), start=1)
    return {label: box for label, box in found if box is not None}


def _islands(
    scene: Scene, label: int, name: str, box: Box, found: Pieces, knobs: DoubtKnobs
) -> Iterator[Doubt]:
    """Pieces far smaller than the main one; the fix removes them."""
    pieces, sizes, small = found
    if not small.any():
        return
    main = int(sizes.max())
    numbers = cc3d.statistics(pieces)
    order = np.flatnonzero(small)
    for piece in order[np.argsort(-sizes[order], kind="stable")][: knobs.most]:
        inner = numbers["bounding_boxes"][int(piece)]
        where = pieces[inner] == piece
        size, place = int(sizes[piece]), _outer(box, inner)
        # a crumb is surely noise, but matters less: the middle sizes come first
        score = WEIGHTS[Doubtful.ISLAND] * (0.6 + 0.4 * (size / main / max(knobs.island, 1e-6)))
        why = f"{name}: a piece of {size} voxels apart from the main one of {main}"
        edit = edit_of(scene, place, where, 0, f"removes an island of {size} voxels")
        yield Doubt(Doubtful.ISLAND, label, _middle(place, where), size, score, why, edit=edit)


def _holes(scene: Scene, label: int, name: str, box: Box, ours: Bools) -> Iterator[Doubt]:
    """Background enclosed by one structure; the fix fills it."""
    gaps = cc3d.connected_components(~ours, connectivity=6)
    if gaps.max() < 2 and _reaches_out(gaps):
        return
    numbers = cc3d.statistics(gaps)
    for gap in range(1, len(numbers["voxel_counts"])):
        inner = numbers["bounding_boxes"][gap]
        if _at_rim(inner, ours.shape):
            continue
        where, place = gaps[inner] == gap, _outer(box, inner)
        if (scene.labels[place][where] != 0).any():
            continue  # another structure lies within: that is anatomy
        size = int(numbers["voxel_counts"][gap])
        score = WEIGHTS[Doubtful.HOLE] * (0.6 + 0.4 * min(1.0, size / 100))
        why = f"{name}: a hole of {size} voxels"
        edit = edit_of(scene, place, where, label, f"fills a hole of {size} voxels")
        yield Doubt(Doubtful.HOLE, label, _middle(place, where), size, score, why, edit=edit)


def _reaches_out(gaps: Labels) -> bool:
    """Whether the only gap is the outside."""
    return bool(gaps.max() == 0 or any(np.take(gaps, (0, -1), axis=a).any() for a in range(3)))


def _at_rim(inner: Box, shape: tuple[int, ...]) -> bool:
    return any(one.start == 0 or one.stop == size for one, size in zip(inner, shape, strict=True))


def _jumps(
    scene: Scene, label: int, name: str, box: Box, ours: Bools, knobs: DoubtKnobs
) -> Iterator[Doubt]:
    """Slices that do not fit between their neighbours, along the thickest axis."""
    axis = int(np.argmax(scene.spacing_mm))
    for jump in jumps(ours, axis, scene.spacing_mm, knobs.jump):
        yield _jump(scene, label, name, box, axis, jump)


def _jump(scene: Scene, label: int, name: str, box: Box, axis: int, jump: Jump) -> Doubt:
    z, y, x = (
        slice(part.start + jump.index, part.start + jump.index + 1) if one == axis else part
        for one, part in enumerate(box)
    )
    place = (z, y, x)
    now, new = scene.labels[place], np.expand_dims(jump.between, axis)
    labels = np.where(new & (now == 0), label, np.where(~new & (now == label), 0, now))
    size = int(np.count_nonzero(labels != now))
    said = f"sets {size} voxels as between the neighbouring slices"
    edit = Edit(place, labels.astype(now.dtype), said) if size else None
    score = WEIGHTS[Doubtful.JUMP] * min(1.0, 0.5 + 0.5 * jump.by)
    changed = labels != now if size else now == label
    at = _middle(place, changed)
    return Doubt(Doubtful.JUMP, label, at, size, score, f"{name}: {jump.why}", axis, edit)


def _borders(scene: Scene, label: int, name: str, box: Box, ours: Bools) -> Iterator[Doubt]:
    """Structures that the scan cuts off, or a mask that runs along its border."""
    for axis in range(3):
        if scene.shape[axis] == 1:
            continue
        for at_end in (False, True):
            edge = scene.shape[axis] if at_end else 0
            if (box[axis].stop if at_end else box[axis].start) != edge:
                continue
            face = slice(edge - 1, edge) if at_end else slice(0, 1)
            z, y, x = (face if one == axis else part for one, part in enumerate(box))
            where = np.take(ours, [-1 if at_end else 0], axis=axis)
            size = int(np.count_nonzero(where))
            score = WEIGHTS[Doubtful.BORDER] * (0.5 + 0.5 * size / where.size)
            why = f"{name}: {size} voxels at the scan's border"
            yield Doubt(Doubtful.BORDER, label, _middle((z, y, x), where), size, score, why)


def _contacts(scene: Scene, names: Mapping[int, str], boxes: dict[int, Box]) -> Iterator[Doubt]:
    """Pairs of structures that touch in a few voxels only: neighbours by mistake.

    What normally touches does so broadly; 2 % of the smaller one's box is where that begins.
    """
    labels = sorted(boxes)
    for at, first in enumerate(labels):
        for second in labels[at + 1 :]:
            shared = _shared(boxes[first], boxes[second], scene.shape)
            if shared is None:
                continue
            seen = scene.labels[shared]
            touching = _touching(seen == first, seen == second)
            size = int(np.count_nonzero(touching))
            if not 0 < size <= _broad(boxes[first], boxes[second]):
                continue
            one, other = (names.get(v, f"structure {v}") for v in (first, second))
            why = f"{one} and {other} touch in {size} voxels only"
            score = WEIGHTS[Doubtful.CONTACT]
            yield Doubt(Doubtful.CONTACT, first, _middle(shared, touching), size, score, why)


def _shared(first: Box, second: Box, shape: tuple[int, ...]) -> Box | None:
    """Where two structures can touch: one box grown by a voxel, cut with the other."""
    found = [
        slice(max(a.start - 1, b.start - 1, 0), min(a.stop + 1, b.stop + 1, size))
        for a, b, size in zip(first, second, shape, strict=True)
    ]
    if any(one.start >= one.stop for one in found):
        return None
    return found[0], found[1], found[2]


def _touching(first: Bools, second: Bools) -> Bools:
    """Voxels of the first whose face touches the second."""
    if not first.any() or not second.any():
        return np.zeros_like(first)
    found = np.zeros_like(first)
    for axis in range(3):
        lower = tuple(slice(0, -1) if one == axis else slice(None) for one in range(3))
        upper = tuple(slice(1, None) if one == axis else slice(None) for one in range(3))
        found[lower] |= first[lower] & second[upper]
        found[upper] |= first[upper] & second[lower]
    return found


def _broad(first: Box, second: Box) -> float:
    """Voxels from which on a contact is no accident, by the smaller structure's face."""
    faces = [np.prod([one.stop - one.start for one in box]) ** (2 / 3) for box in (first, second)]
    return float(0.02 * min(faces))


def _unsure(scene: Scene, label: int, name: str, box: Box) -> Iterator[Doubt]:
    """Blocks where the model's probability stays near the decision, worst first."""
    given = scene.chances.get(label)
    if given is None:
        return
    blocks = [max(1, round(BLOCK_MM / one)) for one in scene.spacing_mm]
    wide = _grown(box, blocks, scene.shape)
    doubt = _block_means(1 - np.abs(2 * given[wide].astype(np.float32) - 1), blocks)
    taken = np.zeros(doubt.shape, bool)
    for flat in np.argsort(-doubt, axis=None)[:20]:
        cell = tuple(int(v) for v in np.unravel_index(int(flat), doubt.shape))
        if doubt[cell] < 0.5:
            return
        if taken[cell]:
            continue
        taken[tuple(slice(max(0, v - 1), v + 2) for v in cell)] = True
        z, y, x = (
            min(part.start + v * step + step // 2, part.stop - 1)
            for part, v, step in zip(wide, cell, blocks, strict=True)
        )
        score = WEIGHTS[Doubtful.UNSURE] * float(doubt[cell])
        percent = 100 * float(given[z, y, x])
        why = f"{name}: the model is unsure, {percent:.0f} % here"
        yield Doubt(Doubtful.UNSURE, label, (z, y, x), int(np.prod(blocks)), score, why)


def _grown(box: Box, blocks: list[int], shape: tuple[int, ...]) -> Box:
    z, y, x = (
        slice(max(0, one.start - more), min(size, one.stop + more))
        for one, more, size in zip(box, blocks, shape, strict=True)
    )
    return z, y, x


def _block_means(values: Floats, blocks: list[int]) -> Floats:
    """Means over blocks; the last ones are padded by 0."""
    sizes = [-(-size // step) for size, step in zip(values.shape, blocks, strict=True)]
    pad = [
        (0, one * step - size) for one, step, size in zip(sizes, blocks, values.shape, strict=True)
    ]
    full = np.pad(values, pad).reshape(
        sizes[0], blocks[0], sizes[1], blocks[1], sizes[2], blocks[2]
    )
    means: Floats = full.mean(axis=(1, 3, 5))
    return means


def _outer(box: Box, inner: Box) -> Box:
    """A box within a box, in the scene."""
    z, y, x = (
        slice(int(outer.start + one.start), int(outer.start + one.stop))
        for outer, one in zip(box, inner, strict=True)
    )
    return z, y, x


def _middle(box: Box, where: Bools) -> Voxel:
    """The true voxel nearest to the middle of all, in the scene."""
    points = np.argwhere(where)
    best = points[np.argmin(((points - points.mean(axis=0)) ** 2).sum(axis=1))]
    z, y, x = (int(part.start + v) for part, v in zip(box, best, strict=True))
    return z, y, x
