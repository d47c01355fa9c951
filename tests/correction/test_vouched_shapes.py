"""Which voxels a person vouches for by "this piece is right" and "this structure is right"."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.correction import vouching
from napari_medseg.correction.bits import Bits
from napari_medseg.correction.edit import Scene
from napari_medseg.correction.tracker import whole
from napari_medseg.correction.vouching import AROUND_MM, is_vouched, piece, structure, with_border
from napari_medseg.errors import InputError

SHAPE = (10, 40, 40)
SPACING = (3.0, 1.0, 1.0)


@pytest.fixture
def scene() -> Scene:
    """Two pieces of 1, six voxels apart, and 2 right beside the first."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:6, 10:14, 10:14] = 1
    labels[4:6, 10:14, 20:24] = 1
    labels[4:6, 14:16, 10:14] = 2
    return Scene(np.zeros(SHAPE, np.float32), labels, SPACING)


def full(shape: vouching.Shape) -> np.ndarray:
    found = np.zeros(SHAPE, bool)
    found[shape.box] = shape.where
    return found


def within(where: np.ndarray) -> np.ndarray:
    """All within `AROUND_MM` of some voxels, by asking each pair."""
    scale = np.array(SPACING)
    here, there = np.argwhere(where) * scale, np.argwhere(np.ones(SHAPE, bool)) * scale
    near = np.zeros(len(there), bool)
    for one in here:
        near |= ((there - one) ** 2).sum(1) <= AROUND_MM**2 + 1e-6
    return near.reshape(SHAPE)


def test_a_piece_is_what_touches_the_voxel_in_3d(scene: Scene) -> None:
    found = full(piece(scene, (5, 12, 12)))
    truth = scene.labels == 1
    truth[:, :, 20:] = False
    np.testing.assert_array_equal(found, truth)


def test_a_structure_is_all_its_pieces(scene: Scene) -> None:
    np.testing.assert_array_equal(full(structure(scene, 1)), scene.labels == 1)


@pytest.mark.parametrize("slab", [1, 1 << 24])
def test_its_border_is_the_background_within_some_mm_and_no_other_structure(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, slab: int
) -> None:
    monkeypatch.setattr(vouching, "SLAB_VOXELS", slab)
    found = full(with_border(scene, structure(scene, 1)))
    truth = within(scene.labels == 1) & (scene.labels != 2)
    np.testing.assert_array_equal(found, truth)


def test_taking_one_back_leaves_the_border_that_another_has_too(scene: Scene) -> None:
    bits, both = Bits(SHAPE), [piece(scene, (5, 12, x)) for x in (12, 22)]
    for one in both:
        area = with_border(scene, one)
        bits.put(area.box, area.where, True)
    gone = vouching.to_take_back(scene, both[0], bits)
    bits.put(gone.box, gone.where, False)
    np.testing.assert_array_equal(bits[whole(SHAPE)], full(with_border(scene, both[1])))
    assert (is_vouched(both[0], bits), is_vouched(both[1], bits)) == (False, True)


def test_background_and_structures_without_voxels_cannot_be_confirmed(scene: Scene) -> None:
    with pytest.raises(InputError, match="pointed at"):
        piece(scene, (0, 0, 0))
    with pytest.raises(InputError, match="pointed at"):
        piece(scene, (0, 0, 99))
    for label in (0, 7):
        with pytest.raises(InputError, match="must"):
            structure(scene, label)
