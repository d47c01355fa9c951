"""One marked voxel through every format and all 48 axis orientations: the same place in mm."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from napari_medseg import io
from napari_medseg.volume import Geometry, Mask, Volume, mask_to_canonical

ORIENTATIONS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
MARK = (3, 1, 4)  # z, y, x: in no plane of symmetry
EXACT_MM = 1e-4


def oriented(order: tuple[int, ...], signs: tuple[int, ...]) -> Geometry:
    affine = np.zeros((4, 4))
    for axis, (way, sign) in enumerate(zip(order, signs, strict=True)):
        affine[way, axis] = sign * (0.7, 0.9, 3.0)[axis]
    affine[:, 3] = (-123.456, 78.9, 1024.5, 1)
    return Geometry((5, 4, 6), affine)


def marked(geometry: Geometry) -> Mask:
    labels = np.zeros(geometry.shape, np.uint8)
    labels[MARK] = 7
    return Mask(labels, geometry)


def place_of_mark(mask: Mask) -> npt.NDArray[np.float64]:
    return mask.geometry.world(np.argwhere(mask.labels == 7))


@pytest.mark.parametrize("ending", io.WRITABLE)
@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_a_marked_voxel_stays_at_its_place(
    order: tuple[int, ...], signs: tuple[int, ...], ending: str, tmp_path: Path
) -> None:
    mask = marked(oriented(order, signs))
    io.write_mask(mask, tmp_path / f"mask{ending}")
    back = io.read_mask(tmp_path / f"mask{ending}")
    np.testing.assert_array_equal(back.labels, mask.labels)
    np.testing.assert_allclose(place_of_mark(back), place_of_mark(mask), atol=EXACT_MM)
    assert back.geometry.same_grid(mask.geometry, EXACT_MM)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_a_mask_drawn_on_canonical_axes_is_saved_on_the_scans_own(
    order: tuple[int, ...], signs: tuple[int, ...], tmp_path: Path
) -> None:
    mask = marked(oriented(order, signs))
    seen, turn = mask_to_canonical(mask)
    np.testing.assert_allclose(place_of_mark(seen), place_of_mark(mask), atol=EXACT_MM)
    undone = Mask(np.ascontiguousarray(turn.undo(seen.labels)), mask.geometry)
    io.write_mask(undone, tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(io.read_mask(tmp_path / "mask.nii.gz").labels, mask.labels)


@pytest.mark.parametrize("ending", io.WRITABLE)
def test_an_oblique_scan_keeps_its_grid_and_numbers(
    ending: str, ramp: npt.NDArray[np.int16], slanted: Geometry, tmp_path: Path
) -> None:
    io.write_volume(Volume(ramp, slanted), tmp_path / f"scan{ending}")
    back = io.read(tmp_path / f"scan{ending}")
    np.testing.assert_array_equal(back.array, ramp)
    assert back.geometry.same_grid(slanted, EXACT_MM)
    assert back.warnings == ()


@pytest.mark.parametrize("ending", io.WRITABLE)
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_number_type_comes_back_as_it_was(ending: str, dtype: str, tmp_path: Path) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    io.write_volume(Volume(array, Geometry.from_spacing((2, 3, 4))), tmp_path / f"scan{ending}")
    back = io.read(tmp_path / f"scan{ending}").array
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("ending", io.WRITABLE)
def test_channels_come_back_in_their_order(ending: str, tmp_path: Path) -> None:
    array = np.arange(3 * 2 * 4 * 5, dtype=np.float32).reshape(3, 2, 4, 5)
    io.write_volume(Volume(array, Geometry.from_spacing((2, 4, 5))), tmp_path / f"scan{ending}")
    np.testing.assert_array_equal(io.read(tmp_path / f"scan{ending}").array, array)


@pytest.mark.parametrize("ending", io.WRITABLE)
def test_another_library_sees_the_scan_at_the_same_place(
    ending: str, ramp: npt.NDArray[np.int16], slanted: Geometry, tmp_path: Path
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    io.write_volume(Volume(ramp, slanted), tmp_path / f"scan{ending}")
    image = sitk.ReadImage(str(tmp_path / f"scan{ending}"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), ramp)
    corner = image.TransformIndexToPhysicalPoint((3, 4, 5))
    np.testing.assert_allclose(corner, slanted.world([(5, 4, 3)])[0], atol=1e-3)
