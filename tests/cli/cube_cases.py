"""Labelled cases on disk whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg import io
from napari_medseg.volume import Geometry, Mask, Volume

GRID = Geometry.from_spacing((16, 16, 16), (1.0, 1.0, 1.0))


def save_case(folder: Path, name: str, seed: int) -> None:
    """A bright cube of 6 mm somewhere in noise, and its mask."""
    random = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, np.uint8)
    z, y, x = random.integers(2, 8, 3)
    labels[z : z + 6, y : y + 6, x : x + 6] = 1
    image = (random.normal(0, 5, GRID.shape) + 100.0 * labels).astype(np.float32)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    io.write_volume(Volume(image, GRID), folder / "images" / f"{name}.nii.gz")
    io.write_mask(Mask(labels, GRID), folder / "labels" / f"{name}.nii.gz")
