"""Masks whose true shape is known, and what an edit makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Bools, Edit, Scene

SPACING = (3.0, 0.8, 1.0)
SHAPE = (24, 64, 60)
MIDDLE = (12, 32, 30)


def away_mm(
    at: tuple[float, ...] = MIDDLE,
    shape: tuple[int, ...] = SHAPE,
    spacing: tuple[float, ...] = SPACING,
) -> npt.NDArray[np.float64]:
    """Distance of each voxel's centre from a voxel's, mm."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    parts = zip(axes, at, spacing, strict=True)
    return np.sqrt(sum(((axis - centre) * mm) ** 2 for axis, centre, mm in parts))


def scene_of(
    labels: npt.NDArray[Any],
    spacing: tuple[float, float, float] = SPACING,
    image: npt.NDArray[Any] | None = None,
    dtype: type = np.uint8,
) -> Scene:
    """A scene of a mask; the image is 0 unless given. Nobody can write into it."""
    labels = labels.astype(dtype)
    grey = np.zeros(labels.shape, np.float32) if image is None else image
    labels.flags.writeable = grey.flags.writeable = False
    return Scene(grey, labels, spacing)


def applied(scene: Scene, edit: Edit | None) -> npt.NDArray[Any]:
    """The mask after an edit; it has the mask's type and changes something."""
    assert edit is not None
    assert edit.labels.dtype == scene.labels.dtype
    assert edit.said
    labels = scene.labels.copy()
    assert (labels[edit.box] != edit.labels).any()
    labels[edit.box] = edit.labels
    return labels


def ball_voxels(radius_mm: float, spacing: tuple[float, ...] = SPACING) -> Bools:
    """A structuring element: voxels within a radius."""
    half = tuple(int(radius_mm / mm + 1e-6) for mm in spacing)
    shape = tuple(2 * n + 1 for n in half)
    return np.asarray(away_mm(half, shape, spacing) <= radius_mm + 1e-6)


def overlap(a: Bools, b: Bools) -> float:
    """Dice."""
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def _ball_scene() -> Scene:
    ball = away_mm() <= 14
    image = 100 * ball + np.random.default_rng(0).normal(0, 10, SHAPE)
    ball[12, 32, 30] = False
    return scene_of(ball, image=image.astype(np.float32))


BALL_SCENE = _ball_scene()
