"""The mask as surfaces in 3-D, made apart from the window's thread and never at each stroke."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.jobs import Job
from napari_medseg.volume import Label

CELLS = 96  # along the longest side of a structure's box: finer costs seconds and shows no more
SMOOTH = 0.8  # cells, Gaussian: a staircase of slices becomes a surface
MOST_LABELS = 60


@dataclass(frozen=True, eq=False)
class Surface:
    """One structure: `vertices` (N, 3) in voxels (z, y, x), `faces` (M, 3) of them."""

    label: Label
    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int64]


def surfaces(labels: npt.NDArray[Any], names: Sequence[Label]) -> Job[list[Surface]]:
    """A surface of each structure that some voxel has; an event after each."""
    made: list[Surface] = []
    boxes = ndimage.find_objects(labels)
    yield len(boxes)
    present = [one for one in names if 0 < one.value <= len(boxes) and boxes[one.value - 1]]
    for label in present[:MOST_LABELS]:
        found = surface(labels, label, boxes[label.value - 1])
        if found is not None:
            made.append(found)
        yield len(made)
    return made


def surface(labels: npt.NDArray[Any], label: Label, box: tuple[slice, ...]) -> Surface | None:
    """Where a structure ends, within its box; None if it is too small to have an inside."""
    from skimage.measure import marching_cubes

    step = [max(1, -(-(part.stop - part.start) // CELLS)) for part in box]
    coarse = labels[tuple(slice(p.start, p.stop, n) for p, n in zip(box, step, strict=True))]
    inside = np.pad((coarse == label.value).astype(np.float32), 2)
    soft = ndimage.gaussian_filter(inside, SMOOTH)
    level = 0.5 if soft.max() > 0.5 else float(soft.max()) / 2
    if level <= 0:
        return None
    vertices, faces, _, _ = marching_cubes(soft, level)
    start = np.array([part.start for part in box])
    points = (vertices - 2) * np.array(step) + start
    return Surface(label, points.astype(np.float32), faces.astype(np.int64))
