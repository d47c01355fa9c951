"""Scans whose truth is known, for tools that read grey values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Aim, Bools, Edit, Scene

SPACING = (3.0, 1.0, 1.0)
SHAPE = (20, 64, 64)


def ball(
    middle: Sequence[float],
    radius_mm: float,
    shape: tuple[int, int, int] = SHAPE,
    spacing_mm: tuple[float, float, float] = SPACING,
) -> Bools:
    """A ball about a voxel, round in mm."""
    grids = np.ogrid[tuple(slice(0, size) for size in shape)]
    pairs = zip(grids, middle, spacing_mm, strict=True)
    return np.asarray(sum(((grid - v) * one) ** 2 for grid, v, one in pairs) <= radius_mm**2)


def scene_of(
    bright: Bools,
    labels: npt.NDArray[np.uint8] | None = None,
    noise: float = 20.0,
    chances: dict[int, npt.NDArray[np.floating]] | None = None,
    spacing_mm: tuple[float, float, float] = SPACING,
) -> Scene:
    """100 within the bright region, 0 outside, and noise."""
    random = np.random.default_rng(0)
    image = (100 * bright + random.normal(0, noise, bright.shape)).astype(np.float32)
    if labels is None:
        labels = np.zeros(bright.shape, np.uint8)
    return Scene(image, labels, spacing_mm, chances or {})


def aim_at(*points: Sequence[int], label: int = 1, axis: int = 0) -> Aim:
    """A click or a stroke, in the slice of its last point."""
    return Aim(label, axis, points[-1][axis], np.array(points, np.int64))


def after(scene: Scene, edit: Edit | None) -> npt.NDArray[np.integer]:
    """The mask after an edit."""
    assert edit is not None
    labels = scene.labels.copy()
    labels[edit.box] = edit.labels
    return labels


def overlap(found: Bools, truth: Bools) -> float:
    """Dice."""
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))
