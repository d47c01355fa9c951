"""What a person vouches for by "this piece is right" and "this structure is right".

Its voxels, and the background within `AROUND_MM` of them. Without the background a network would
learn where the structure is and never where it ends: calling everything the structure would be
right. All the background of a scan would say more than a person looked at, and that no other
structure was missed anywhere; what lies beside a border is looked at with the border. Voxels of
other structures nearby are left out: that they are not this one says nothing about which they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_medseg.correction.bits import Bits
from napari_medseg.correction.edit import Bools, Scene
from napari_medseg.correction.record import Box
from napari_medseg.correction.tools.margins import dilated
from napari_medseg.correction.tools.part import box_of, piece_at, voxels_of
from napari_medseg.correction.tools.place import structure_box
from napari_medseg.correction.tracker import whole
from napari_medseg.errors import InputError

AROUND_MM = 5.0
SLAB_VOXELS = 1 << 24  # distances are computed on so many at a time, four bytes each

Voxel = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Shape:
    """Voxels of one structure: bool, shape of the box."""

    label: int
    box: Box
    where: Bools

    @property
    def voxels(self) -> int:
        return int(np.count_nonzero(self.where))


def structure(scene: Scene, label: int) -> Shape:
    """All of a structure.

    Raises
    ------
    InputError
        It is the background, or no voxel has it.
    """
    box = structure_box(scene, whole(scene.shape), label)
    if box is None:
        raise InputError(
            f"a structure must have voxels to be confirmed, {label} has none; paint it first"
        )
    return Shape(label, box, scene.labels[box] == label)


def piece(scene: Scene, voxel: Voxel) -> Shape:
    """The connected piece (faces touch) of a structure that holds a voxel.

    Raises
    ------
    InputError
        The voxel is background, or outside the scan.
    """
    inside = all(0 <= v < size for v, size in zip(voxel, scene.shape, strict=True))
    label = int(scene.labels[voxel]) if inside else 0
    if label == 0:
        raise InputError("a piece must be pointed at, here is only background; point at one")
    all_of_it = structure(scene, label)
    z, y, x = (v - part.start for v, part in zip(voxel, all_of_it.box, strict=True))
    where = piece_at(all_of_it.where, (z, y, x))
    small = box_of(where)
    assert small is not None  # the voxel is in it
    return Shape(label, _placed(small, all_of_it.box), where[small])


def is_vouched(shape: Shape, vouched: Bits) -> bool:
    """Whether all of its voxels are vouched for already."""
    return not (shape.where & ~vouched[shape.box]).any()


def with_border(scene: Scene, shape: Shape) -> Shape:
    """A shape and the background around it."""
    around = _around(scene, shape)
    around.where[...] &= scene.labels[around.box] == 0
    around.where[_inner(shape.box, around.box)] |= shape.where
    return around


def to_take_back(scene: Scene, shape: Shape, vouched: Bits) -> Shape:
    """What of a shape and its border is vouched for, but the border that others have there too."""
    own = with_border(scene, shape)
    box = _wider(own.box, scene)
    others = vouched[box] & (scene.labels[box] != 0)
    others[_inner(shape.box, box)] &= ~shape.where
    kept = others
    if others.any():
        kept = _near(others, scene.spacing_mm)
        kept[_inner(shape.box, box)] &= ~shape.where
    where = own.where & vouched[own.box] & ~kept[_inner(own.box, box)]
    return Shape(shape.label, own.box, where)


def _around(scene: Scene, shape: Shape) -> Shape:
    """All within `AROUND_MM` of a shape."""
    box = _wider(shape.box, scene)
    where = np.zeros([part.stop - part.start for part in box], bool)
    where[_inner(shape.box, box)] = shape.where
    return Shape(shape.label, box, _near(where, scene.spacing_mm))


def _near(where: Bools, spacing_mm: tuple[float, float, float]) -> Bools:
    """All within `AROUND_MM` of some voxels, slab by slab: distances take four bytes a voxel."""
    halo = voxels_of(AROUND_MM, spacing_mm)[0]
    thick = max(1, SLAB_VOXELS // max(1, where[0].size) - 2 * halo)
    near = np.empty_like(where)
    for start in range(0, len(where), thick):
        low, stop = max(0, start - halo), min(len(where), start + thick)
        wide = dilated(where[low : stop + halo], AROUND_MM, spacing_mm)
        near[start:stop] = wide[start - low : stop - low]
    return near


def _wider(box: Box, scene: Scene) -> Box:
    z, y, x = (
        slice(max(0, part.start - more), min(size, part.stop + more))
        for part, size, more in zip(
            box, scene.shape, voxels_of(AROUND_MM, scene.spacing_mm), strict=True
        )
    )
    return z, y, x


def _inner(part: Box, box: Box) -> Box:
    """A part of a box, counted from the box's own corner."""
    z, y, x = (
        slice(one.start - own.start, one.stop - own.start)
        for one, own in zip(part, box, strict=True)
    )
    return z, y, x


def _placed(part: Box, box: Box) -> Box:
    """A part that is counted from a box's corner, in the scan."""
    z, y, x = (
        slice(one.start + own.start, one.stop + own.start)
        for one, own in zip(part, box, strict=True)
    )
    return z, y, x
