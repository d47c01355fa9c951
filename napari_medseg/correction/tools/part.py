"""The part of a scene that a tool works in: the viewed slice or a box, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import edt
import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene, edit_of
from napari_medseg.correction.record import Box, Labels
from napari_medseg.correction.tools.place import field_of, structure_box
from napari_medseg.errors import InputError

Floats = npt.NDArray[np.float32]
Points = npt.NDArray[np.int64]
Voxel = tuple[int, int, int]
TO_SIGMA = 0.6745 * 2**0.5  # median of |difference of two normal numbers|, in their deviations


@dataclass(frozen=True, eq=False)
class Part:
    """A box of a scene, as tools compute on it; one voxel thick where only a slice is asked for.

    Attributes
    ----------
    image
        float32, shape of the box.
    labels
        Shape of the box.
    """

    scene: Scene
    box: Box
    image: Floats
    labels: Labels

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return self.scene.spacing_mm

    def inner(self, voxel: Sequence[int]) -> Voxel:
        """A voxel of the scene, counted from the corner of the box."""
        z, y, x = (int(v) - part.start for v, part in zip(voxel, self.box, strict=True))
        return z, y, x

    def points(self, points: Points) -> Points:
        """Those of some voxels of the scene that lie in the box, counted from its corner."""
        corner = np.array([part.start for part in self.box])
        inner = points - corner
        inside = ((inner >= 0) & (inner < np.array(self.labels.shape))).all(axis=1)
        return np.asarray(inner[inside])

    def chances(self, label: int) -> Floats | None:
        """A model's probability of a structure, or None."""
        found = self.scene.chances.get(label)
        return None if found is None else found[self.box].astype(np.float32)


def part_of(scene: Scene, box: Box) -> Part:
    """The part of a scene within a box."""
    return Part(scene, box, scene.image[box].astype(np.float32), scene.labels[box])


def box_around(
    scene: Scene, aim: Aim, reach: Reach, low: Sequence[int], high: Sequence[int], margin_mm: float
) -> Box:
    """From the voxel `low` to the voxel `high`, both within, and a margin."""
    z, y, x = (
        slice(max(0, int(a) - more), min(size, int(b) + 1 + more))
        for a, b, size, more in zip(
            low, high, scene.shape, voxels_of(margin_mm, scene.spacing_mm), strict=True
        )
    )
    return _flat((z, y, x), scene, aim, reach)


def _flat(box: Box, scene: Scene, aim: Aim, reach: Reach) -> Box:
    field = field_of(scene, aim, reach)
    z, y, x = (
        one if reach is Reach.SLICE and axis == aim.axis else part
        for axis, (one, part) in enumerate(zip(field, box, strict=True))
    )
    return z, y, x


def structure_part(scene: Scene, aim: Aim, reach: Reach, margin_mm: float) -> Part | None:
    """The part around the chosen structure; None where there is nothing of it."""
    found = structure_box(scene, field_of(scene, aim, reach), aim.label)
    if found is None:
        return None
    low, high = [one.start for one in found], [one.stop - 1 for one in found]
    return part_of(scene, box_around(scene, aim, reach, low, high, margin_mm))


def chosen(aim: Aim) -> int:
    """The number of the chosen structure.

    Raises
    ------
    InputError
        Where background is chosen.
    """
    if aim.label == 0:
        raise InputError("a structure must be chosen, got the background; pick a label first")
    return aim.label


def clicked(scene: Scene, aim: Aim) -> Voxel:
    """The voxel that was clicked last.

    Raises
    ------
    InputError
        Without a click, or where it is outside the scan.
    """
    if len(aim.points) == 0:
        raise InputError("this tool starts from a click, got none; click on the scan")
    z, y, x = (int(v) for v in aim.points[-1])
    if not all(0 <= v < size for v, size in zip((z, y, x), scene.shape, strict=True)):
        raise InputError(f"a click must lie within the scan {scene.shape}, got {(z, y, x)}")
    return z, y, x


def seen_click(scene: Scene, aim: Aim, reach: Reach) -> tuple[Voxel, Aim]:
    """The clicked voxel, and an aim at the slice that holds it."""
    voxel = clicked(scene, aim)
    if reach is Reach.SLICE and voxel[aim.axis] != aim.index:
        return voxel, Aim(aim.label, aim.axis, voxel[aim.axis], aim.points, aim.seeds)
    return voxel, aim


def box_of(where: Bools) -> Box | None:
    """The smallest box that holds every true voxel; None without any."""
    found = []
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        hits = np.flatnonzero(where.any(axis=others))
        if len(hits) == 0:
            return None
        found.append(slice(int(hits[0]), int(hits[-1]) + 1))
    return found[0], found[1], found[2]


def voxels_of(mm: float, spacing_mm: Sequence[float]) -> list[int]:
    """How many voxels a length spans along each axis, rounded up."""
    return [int(np.ceil(mm / one - 1e-6)) for one in spacing_mm]


def sigmas_of(mm: float, part: Part) -> list[float]:
    """A Gaussian's width in voxels along each axis, 0 across a slice."""
    pairs = zip(part.spacing_mm, part.labels.shape, strict=True)
    return [0.0 if size == 1 else mm / one for one, size in pairs]


def depth_mm(where: Bools, spacing_mm: Sequence[float]) -> Floats:
    """How deep each true voxel lies in its region, in mm; 0 elsewhere.

    The scan's border is no edge: what lies beyond is not known. Full of true, it is inf.
    """
    # across a slice there is nothing to go: in 2-D it takes a twentieth of the time
    wide = [axis for axis in range(3) if where.shape[axis] > 1]
    if not wide:
        return np.where(where, np.float32(np.inf), np.float32(0))
    seen = np.ascontiguousarray(where.reshape([where.shape[axis] for axis in wide]))
    sides = tuple(spacing_mm[axis] for axis in wide)
    found: Floats = edt.edt(
        seen, anisotropy=sides if len(wide) > 1 else sides[0], black_border=False, parallel=1
    )
    return found.reshape(where.shape)


def piece_at(where: Bools, voxel: Voxel) -> Bools:
    """The connected region that holds a voxel (faces touch), empty where it is not in any."""
    if not where[voxel]:
        return np.zeros_like(where)
    pieces = cc3d.connected_components(np.ascontiguousarray(where), connectivity=6)
    return np.asarray(pieces == pieces[voxel])


def without_pinholes(where: Bools, largest: int = 8) -> Bools:
    """A region with the small gaps that noise leaves filled, of up to `largest` voxels."""
    box = box_of(where)
    if box is None:
        return where
    gaps = cc3d.connected_components(~np.ascontiguousarray(where[box]), connectivity=6)
    sizes = np.bincount(gaps.ravel())
    sizes[0] = 0
    filled = where.copy()
    filled[box] |= ((sizes > 0) & (sizes <= largest))[gaps] & _enclosed(gaps)
    return filled


def _enclosed(gaps: npt.NDArray[np.integer[Any]]) -> Bools:
    """Which gaps do not touch the border of the box, bool of its shape."""
    open_ = np.zeros(int(gaps.max()) + 1, bool)
    for axis in range(3):
        if gaps.shape[axis] > 1:
            open_[np.take(gaps, (0, -1), axis=axis)] = True
    return np.asarray(~open_[gaps])


def noise_of(image: Floats) -> float:
    """Deviation of the noise, from differences of neighbours, in the image's units."""
    steps = [
        np.abs(np.diff(image, axis=axis)).ravel() for axis in range(3) if image.shape[axis] > 2
    ]
    if not steps:
        return 0.0
    # edges are rare and large: the median does not see them
    return float(np.median(np.concatenate(steps))) / TO_SIGMA


def counted(where: Bools, spacing_mm: Sequence[float], verb: str) -> str:
    """What is said of a change: "adds 214 voxels (1.23 ml)"."""
    voxels = int(np.count_nonzero(where))
    ml = voxels * float(np.prod(spacing_mm)) / 1000
    return f"{verb} {voxels} voxel{'s' if voxels != 1 else ''} ({ml:.3g} ml)"


def setting(part: Part, where: Bools, value: int, verb: str = "adds") -> Edit | None:
    """An edit that sets a region of a part, in the smallest box; None if it is so already."""
    changed = where & (part.labels != value)
    box = box_of(changed)
    if box is None:
        return None
    z, y, x = (
        slice(outer.start + one.start, outer.start + one.stop)
        for outer, one in zip(part.box, box, strict=True)
    )
    said = counted(changed, part.spacing_mm, verb)
    return edit_of(part.scene, (z, y, x), changed[box], value, said)


def replacing(part: Part, where: Bools, label: int) -> Edit | None:
    """An edit after which a region is all that a structure has in a part."""
    added, removed = where & (part.labels != label), ~where & (part.labels == label)
    labels = part.labels.copy()
    labels[added], labels[removed] = label, 0
    if not added.any() and not removed.any():
        return None
    said = (
        f"{counted(added, part.spacing_mm, 'adds')}, {counted(removed, part.spacing_mm, 'takes')}"
    )
    return Edit(part.box, labels, said)


def whole_edit(part: Part, labels: Labels, said: str) -> Edit | None:
    """An edit to new labels of a part; None if they are so already."""
    if np.array_equal(labels, part.labels):
        return None
    return Edit(part.box, labels.astype(part.labels.dtype, copy=False), said)
