"""`medseg begin`: three painted slices in, a mask and a model out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg import io
from napari_medseg.volume import Geometry, Mask, Volume


def test_begin_gives_the_mask_and_a_model_from_painted_slices(medseg, tmp_path: Path) -> None:
    truth = np.zeros((20, 24, 24), np.uint8)
    truth[2:18, 6:18, 7:17] = 1
    geometry = Geometry.from_spacing(truth.shape, (1.0, 1.0, 1.0))
    painted = np.zeros_like(truth)
    painted[[5, 10, 15]] = truth[[5, 10, 15]]
    io.write_volume(Volume(truth * np.float32(100), geometry), tmp_path / "scan.nii.gz")
    io.write_mask(Mask(painted, geometry), tmp_path / "painted.nii.gz")
    out, whole = tmp_path / "new.safetensors", tmp_path / "all.nii.gz"
    words = [tmp_path / "scan.nii.gz", tmp_path / "painted.nii.gz", out, "--mask", whole]
    ended = medseg("begin", *words, "--seconds", 1)
    assert ended.code == 0, ended
    assert out.is_file()
    found = io.read_mask(whole).labels == 1
    assert 2 * (found & (truth == 1)).sum() / (found.sum() + truth.sum()) > 0.9
