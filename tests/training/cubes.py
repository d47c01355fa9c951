"""Scans of two cubes, whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg import io
from napari_medseg.correction.record import Example
from napari_medseg.volume import Geometry, Mask, Volume

SIDE = 16


def phantom(seed: int, spacing_mm: tuple[float, float, float] = (1, 1, 1)) -> tuple[Volume, Mask]:
    """A bright cube (1) on a dim cube (2) in noise, somewhere in 16³ voxels."""
    rng = np.random.default_rng(seed)
    z, y, x = rng.integers(2, 6, 3)
    labels = np.zeros((SIDE,) * 3, np.uint8)
    labels[z : z + 5, y : y + 8, x : x + 8] = 1
    labels[z + 5 : z + 9, y : y + 8, x : x + 8] = 2
    image = rng.normal(0, 40, labels.shape) + np.array([0, 200, 100])[labels]
    geometry = Geometry.from_spacing(labels.shape, spacing_mm)
    return Volume(image.astype(np.float32), geometry, name=f"scan_{seed:03}"), Mask(
        labels, geometry
    )


def write_case(folder: Path, name: str, volume: Volume, mask: Mask) -> None:
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    io.write_volume(volume, folder / "images" / f"{name}.nii.gz")
    io.write_mask(mask, folder / "labels" / f"{name}.nii.gz")


def example_of(seed: int) -> Example:
    volume, mask = phantom(seed)
    return Example(volume, mask, np.ones(mask.labels.shape, bool), f"subject {seed}")
