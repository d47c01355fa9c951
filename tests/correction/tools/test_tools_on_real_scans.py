"""The assisted brush, click to fix and next error on real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tool_phantoms import after, overlap

from napari_medseg import io
from napari_medseg.correction.edit import Aim, Reach, Scene
from napari_medseg.correction.tools.assisted import AssistedKnobs, assisted
from napari_medseg.correction.tools.doubts import Doubtful, doubts
from napari_medseg.correction.tools.probable import FixKnobs, click_to_fix
from napari_medseg.correction.tools.regions import FloodKnobs, flood
from napari_medseg.volume.orient import mask_to_canonical, to_canonical


def read(image: Path, label: Path) -> Scene:
    scan, _ = to_canonical(io.read(image))
    mask, _ = mask_to_canonical(io.read_mask(label))
    z, y, x = scan.geometry.spacing_mm
    return Scene(scan.array, (mask.labels > 0).astype(np.uint8), (z, y, x))


@pytest.fixture(scope="module")
def nodule(kit: Path) -> Scene:
    return read(kit / "nrrd_cases/lung1_image.nrrd", kit / "nrrd_cases/lung1_label.nrrd")


def empty(scene: Scene) -> Scene:
    return Scene(scene.image, np.zeros_like(scene.labels), scene.spacing_mm)


def middle_of(scene: Scene) -> Aim:
    z = int(np.argmax(scene.labels.sum(axis=(1, 2))))
    y, x = np.argwhere(scene.labels[z]).mean(axis=0).round().astype(int)
    return Aim(1, 0, z, np.array([[z, y, x]]))


def test_one_rough_stroke_finds_a_lung_nodule(nodule: Scene) -> None:
    bare, aim = empty(nodule), middle_of(nodule)
    plane = assisted(bare, aim, AssistedKnobs(radius_mm=12))
    assert overlap(after(bare, plane)[aim.index] == 1, nodule.labels[aim.index] == 1) >= 0.85
    ball = assisted(bare, aim, AssistedKnobs(radius_mm=14, reach=Reach.VOLUME))
    assert overlap(after(bare, ball) == 1, nodule.labels == 1) >= 0.8


@pytest.mark.parametrize("reach", list(Reach))
def test_one_click_on_a_missed_nodule_adds_it(nodule: Scene, reach: Reach) -> None:
    bare, aim = empty(nodule), middle_of(nodule)
    found = after(bare, click_to_fix(bare, aim, FixKnobs(30.0, reach=reach))) == 1
    where = slice(None) if reach is Reach.VOLUME else slice(aim.index, aim.index + 1)
    assert overlap(found[where], nodule.labels[where] == 1) >= 0.65


def test_a_flood_with_a_tolerance_finds_a_nodule(nodule: Scene) -> None:
    bare, aim = empty(nodule), middle_of(nodule)
    edit = flood(bare, aim, FloodKnobs(tolerance=300, farthest_mm=25))
    found = after(bare, edit)[aim.index] == 1
    assert overlap(found, nodule.labels[aim.index] == 1) >= 0.8


def test_a_slice_erased_from_a_hippocampus_is_the_first_doubt(kit: Path) -> None:
    name = "hippocampus_001.nii.gz"
    scene = read(kit / "hippocampus/images" / name, kit / "hippocampus/labels" / name)
    truth = scene.labels.copy()
    scene.labels[15] = 0
    scene = Scene(scene.image, scene.labels, (1.5, 1.0, 1.0))  # slices along Z are the thick ones
    first = doubts(scene)[0]
    assert (first.kind, first.index) == (Doubtful.JUMP, 15)
    assert overlap(after(scene, first.edit)[15] == 1, truth[15] == 1) >= 0.85
