from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.errors import GridError, InputError
from napari_medseg.volume import Geometry, Mask, Volume, mask_to_canonical, to_canonical
from napari_medseg.volume.volume import label_counts


def test_spacing_and_shape_go_z_y_x() -> None:
    geometry = Geometry.from_spacing((10, 20, 30), (5.0, 0.7, 0.8))
    assert geometry.spacing_mm == (5.0, 0.7, 0.8)
    np.testing.assert_allclose(geometry.world([(1, 2, 3)]), [[2.4, 1.4, 5.0]])


def test_an_index_and_its_place_are_inverse() -> None:
    geometry = Geometry.from_ras(
        (4, 5, 6), [[0, -2, 0, 7], [1, 0, 0, 8], [0, 0, 3, 9], [0, 0, 0, 1]]
    )
    points = np.array([[0, 0, 0], [3, 4, 5], [1.5, 2.5, 0.25]])
    np.testing.assert_allclose(geometry.index(geometry.world(points)), points)


def test_ras_and_lps_differ_by_the_sign_of_x_and_y() -> None:
    geometry = Geometry.from_ras((2, 2, 2), np.diag([1, 1, 1, 1]))
    np.testing.assert_allclose(np.diag(geometry.affine), [-1, -1, 1, 1])
    assert geometry.axcodes == "RAS"


def test_a_voxels_volume_is_right_on_a_sheared_grid() -> None:
    affine = np.array([[1, 0.35, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    geometry = Geometry((2, 2, 2), affine)
    assert geometry.is_sheared
    assert geometry.voxel_ml == pytest.approx(0.002)


@pytest.mark.parametrize("broken", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3)])
def test_an_affine_that_places_nothing_is_refused(broken: np.ndarray) -> None:
    with pytest.raises(GridError):
        Geometry((2, 2, 2), broken)


def test_grids_are_equal_up_to_the_rounding_of_headers() -> None:
    one = Geometry.from_spacing((9, 9, 9))
    affine = one.affine.copy()
    affine[0, 3] += 1e-5
    assert one == Geometry((9, 9, 9), affine)
    affine[0, 3] += 0.1
    assert one != Geometry((9, 9, 9), affine)


def test_an_affine_cannot_be_changed_behind_a_grids_back() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Geometry.from_spacing((2, 2, 2)).affine[0, 0] = 7


def test_canonical_axes_are_lps_and_the_way_back_is_exact(ball: tuple[Volume, Mask]) -> None:
    image, mask = ball
    ras = Geometry.from_ras(image.geometry.shape, np.diag([1, 1, 2, 1]))
    scan, turn = to_canonical(Volume(image.array, ras))
    assert scan.geometry.axcodes == "LPS"
    np.testing.assert_array_equal(turn.undo(scan.array), image.array)
    labels, _ = mask_to_canonical(Mask(mask.labels, ras))
    assert labels.geometry == scan.geometry


def test_channels_turn_with_their_volume() -> None:
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    scan, turn = to_canonical(Volume(array, Geometry.from_ras((3, 4, 5), np.eye(4))))
    np.testing.assert_array_equal(scan.array[1], turn.apply(array[1]))


def test_a_volume_must_fit_its_grid() -> None:
    with pytest.raises(GridError, match="on its grid"):
        Volume(np.zeros((2, 3, 4)), Geometry.from_spacing((2, 3, 5)), name="scan")


def test_one_channel_of_several_can_be_taken_by_number() -> None:
    scan = Volume(
        np.arange(16).reshape(2, 2, 2, 2), Geometry.from_spacing((2, 2, 2)), channels=("a", "b")
    )
    assert scan.channel(1).channels == ("b",)
    assert scan.channel(1).array.max() == 15
    with pytest.raises(InputError, match="0 to 1"):
        scan.channel(2)


def test_a_mask_holds_unsigned_numbers_only() -> None:
    with pytest.raises(InputError, match="unsigned"):
        Mask(np.zeros((2, 2, 2), np.int16), Geometry.from_spacing((2, 2, 2)))  # type: ignore[arg-type]


def test_the_labels_of_a_mask_are_those_that_occur() -> None:
    labels = np.array([0, 3, 3, 200], np.uint8).reshape(1, 2, 2)
    assert Mask(labels, Geometry.from_spacing((1, 2, 2))).values() == (3, 200)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "i8", "u8"])
@pytest.mark.parametrize("values", [[0, 1, 7], [5], [0, 100], [3, 127]])
def test_labels_are_counted_as_numpy_counts_them(dtype: str, values: list[int]) -> None:
    array = np.random.default_rng(0).choice(np.array(values, dtype), (4, 5, 6))
    found, counts = np.unique(array, return_counts=True)
    assert label_counts(array) == dict(zip(found.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("values", [[-1, 0, 2], [-30000, 70000], [0, 2**40], [10**9, 10**9 + 3]])
def test_negative_and_huge_labels_are_counted_too(values: list[int]) -> None:
    array = np.array(values, np.int64).reshape(1, 1, -1)
    assert label_counts(array) == dict.fromkeys(values, 1)
