from __future__ import annotations

from itertools import permutations, product

import nibabel.orientations as orientations
import numpy as np
import pytest

from napari_medseg.errors import GridError
from napari_medseg.volume import Geometry, Mask
from napari_medseg.volume.resample import mask_on

AXES = ["".join(letters) for sides in product("RL", "AP", "SI") for letters in permutations(sides)]


def turned(mask: Mask, axcodes: str) -> Mask:
    """The same mask stored in another axes order, by nibabel's own arithmetic."""
    ras = mask.geometry.affine_ras
    change = orientations.ornt_transform(
        orientations.io_orientation(ras), orientations.axcodes2ornt(tuple(axcodes))
    )
    array = orientations.apply_orientation(mask.labels.T, change).T
    affine = ras @ orientations.inv_ornt_aff(change, mask.labels.T.shape)
    return Mask(np.ascontiguousarray(array), Geometry.from_ras(array.shape, affine))


@pytest.fixture
def marked() -> Mask:
    labels = np.random.default_rng(1).integers(0, 3, (4, 5, 6)).astype(np.uint8)
    return Mask(labels, Geometry.from_ras((4, 5, 6), np.array(
        [[0.8, 0.1, 0, -5], [-0.1, 0.8, 0, 7], [0, 0, 3, 9], [0, 0, 0, 1]]
    )))  # fmt: skip


@pytest.mark.parametrize("axcodes", AXES)
def test_a_mask_stored_in_any_axes_order_is_turned_back_exactly(marked: Mask, axcodes: str) -> None:
    back = mask_on(turned(marked, axcodes), marked.geometry)
    np.testing.assert_array_equal(back.labels, marked.labels)
    assert back.geometry == marked.geometry


def test_a_mask_on_the_same_grid_is_left_as_it_is(marked: Mask) -> None:
    assert mask_on(marked, marked.geometry) is marked


def test_rounding_of_another_tool_does_not_matter(marked: Mask) -> None:
    rounded = Geometry(marked.geometry.shape, marked.geometry.affine * (1 + 1e-5))
    assert mask_on(Mask(marked.labels, rounded), marked.geometry).labels is marked.labels


def test_a_mask_of_another_shape_is_refused_with_both_shapes(marked: Mask) -> None:
    small = Mask(marked.labels[:3], Geometry((3, 5, 6), marked.geometry.affine))
    with pytest.raises(GridError, match=r"\(4, 5, 6\).*\(3, 5, 6\)"):
        mask_on(small, marked.geometry)


def test_a_mask_of_another_spacing_is_refused_with_both_spacings(marked: Mask) -> None:
    other = Mask(marked.labels, Geometry.from_spacing((4, 5, 6), (5, 1, 1)))
    with pytest.raises(GridError, match=r"\(3, 0.806, 0.806\) mm.*\(5, 1, 1\) mm"):
        mask_on(other, marked.geometry)


def test_a_shifted_mask_is_refused_with_how_far_it_is(marked: Mask) -> None:
    affine = marked.geometry.affine.copy()
    affine[0, 3] += 4.0
    with pytest.raises(GridError, match=r"4\.00 mm away"):
        mask_on(Mask(marked.labels, Geometry((4, 5, 6), affine)), marked.geometry)


def test_a_mask_turned_by_45_degrees_is_refused(marked: Mask) -> None:
    c = np.sqrt(0.5)
    turn = np.array([[c, -c, 0, 0], [c, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    with pytest.raises(GridError):
        mask_on(Mask(marked.labels, Geometry((4, 5, 6), turn)), marked.geometry)
