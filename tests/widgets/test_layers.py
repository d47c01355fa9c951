"""Scans and masks as layers: where they lie, how they look, and the way back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_medseg.errors import InputError
from napari_medseg.volume import Geometry, Label, Mask, Volume
from napari_medseg.widgets import contrast, layers

SHAPE, SPACING = (3, 4, 5), (5.0, 0.7, 0.8)
TURNS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def turned(order: tuple[int, ...], signs: tuple[int, ...]) -> Geometry:
    """A grid whose axes x, y, z run along world axes `order`, forwards or backwards."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * SPACING[2 - axis]
    affine[:3, 3] = (10, -20, 30)
    return Geometry(SHAPE, affine)


def world_of_voxel(layer: Image | Labels, index: tuple[int, ...]) -> np.ndarray:
    return np.asarray(layer.data_to_world(index))[::-1]  # x, y, z


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_a_voxel_is_shown_at_its_world_position_whatever_the_axes(order, signs):
    geometry = turned(order, signs)
    array = np.zeros(SHAPE, np.int16)
    array[1, 2, 4] = 7
    (layer,) = layers.show(ViewerModel(), Volume(array, geometry))
    (index,) = np.argwhere(layer.data == 7)
    np.testing.assert_allclose(
        world_of_voxel(layer, tuple(index)), geometry.world((1, 2, 4))[0], atol=1e-4
    )


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_a_painted_voxel_goes_back_to_the_grid_of_the_file(order, signs):
    mask = Mask(np.zeros(SHAPE, np.uint8), turned(order, signs), header={"from": "file"})
    (layer,) = layers.show(ViewerModel(), mask)
    layer.data_setitem((np.array([1]), np.array([1]), np.array([2])), 3)
    world = world_of_voxel(layer, (1, 1, 2))
    back = layers.mask_of(layer)
    assert back.geometry == mask.geometry
    assert back.header == mask.header
    (index,) = np.argwhere(back.labels == 3)
    np.testing.assert_allclose(back.geometry.world(index)[0], world, atol=1e-4)


def test_volume_of_gives_the_scan_as_it_was_without_a_copy_of_its_values():
    volume = Volume(np.arange(60).reshape(SHAPE), turned((1, 0, 2), (1, -1, -1)), name="a")
    layer = layers.show(ViewerModel(), volume)[0]
    back = layers.volume_of(layer)
    assert back.geometry == volume.geometry
    assert back.name == "a"
    np.testing.assert_array_equal(back.array, volume.array)
    assert np.shares_memory(back.array, layer.data)


def test_spacing_is_in_scale_in_mm_on_named_axes(ball):
    (layer,) = layers.show(ViewerModel(), ball[0])
    assert tuple(layer.scale) == (2.0, 1.0, 1.0)
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert layer.axis_labels == ("z", "y", "x")


def test_a_tilted_scan_keeps_its_middle_and_its_own_grid():
    turn = np.eye(4)
    cos, sin = np.cos(0.5), np.sin(0.5)
    turn[:2, :2] = [[cos, -sin], [sin, cos]]
    geometry = Geometry((4, 6, 8), turn)
    (layer,) = layers.show(ViewerModel(), Mask(np.zeros((4, 6, 8), np.uint8), geometry))
    np.testing.assert_allclose(
        world_of_voxel(layer, (1.5, 2.5, 3.5)), geometry.world((1.5, 2.5, 3.5))[0], atol=1e-4
    )
    assert layers.mask_of(layer).geometry == geometry


def test_each_channel_is_a_layer_and_the_first_is_visible():
    volume = Volume(
        np.zeros((2, *SHAPE)), Geometry.from_spacing(SHAPE), name="a", channels=("T1", "FLAIR")
    )
    made = layers.show(ViewerModel(), volume)
    assert [layer.name for layer in made] == ["a · T1", "a · FLAIR"]
    assert [layer.visible for layer in made] == [True, False]
    assert layers.volume_of(made[1]).array.shape == (2, *SHAPE)


def test_an_inverted_scan_shows_low_values_white():
    volume = Volume(np.zeros(SHAPE), Geometry.from_spacing(SHAPE), inverted=True)
    assert layers.show(ViewerModel(), volume)[0].colormap.name == "gray_r"


def test_structures_have_their_names_and_colours(ball):
    liver = Label(1, "liver", "#00ff00")
    mask = Mask(ball[1].labels, ball[1].geometry, names=(liver,))
    (layer,) = layers.show(ViewerModel(), mask)
    assert layer.opacity == 0.5
    np.testing.assert_allclose(layer.colormap.map(1), (0, 1, 0, 1))
    assert layer.colormap.map(0)[3] == 0
    assert list(layer.features["name"]) == ["background", "liver"]


def test_numbers_without_a_name_get_a_plain_one_and_different_colours():
    names = layers.named((Label(2, "kidney"),), (1, 2, 9, 255))
    assert [label.name for label in names] == ["label 1", "kidney", "label 9", "ignore"]
    assert len({label.color for label in names}) == 4


def test_the_layer_of_a_byte_mask_needs_no_conversion():
    mask = Mask(np.zeros(SHAPE, np.uint8), Geometry.from_spacing(SHAPE))
    (layer,) = layers.show(ViewerModel(), mask)
    assert np.shares_memory(layer.data, mask.labels)


def test_a_mask_of_a_wide_type_becomes_small():
    mask = Mask(np.full(SHAPE, 300, np.uint64), Geometry.from_spacing(SHAPE))
    assert layers.show(ViewerModel(), mask)[0].data.dtype == np.uint16


def test_a_layer_drawn_in_napari_is_a_mask_on_the_grid_it_lies_on():
    layer = Labels(np.ones(SHAPE, int), scale=SPACING, translate=(1, 2, 3))
    mask = layers.mask_of(layer)
    assert mask.labels.dtype == np.uint8
    assert mask.geometry.spacing_mm == pytest.approx(SPACING)
    np.testing.assert_allclose(mask.geometry.world((0, 0, 0))[0], (3, 2, 1))


def test_a_layer_in_micrometres_is_taken_in_mm():
    layer = Image(np.zeros(SHAPE), scale=(500, 250, 250), units=("um",) * 3)
    assert layers.volume_of(layer).geometry.spacing_mm == pytest.approx((0.5, 0.25, 0.25))


def test_a_2d_layer_is_a_stack_of_one():
    volume = layers.volume_of(Image(np.zeros((6, 7)), scale=(0.5, 0.25), translate=(3, 4)))
    assert volume.geometry.spacing_mm == pytest.approx((1.0, 0.5, 0.25))
    np.testing.assert_allclose(volume.geometry.world((0, 0, 0))[0], (4, 3, 0))


@pytest.mark.parametrize(
    "layer",
    [Image(np.zeros((4, 4, 3)), rgb=True), Image(np.zeros((2, 2, 3, 3)))],
    ids=["colour", "4-D"],
)
def test_what_is_no_grey_scan_is_refused_with_a_way_out(layer):
    with pytest.raises(InputError, match="split its channels"):
        layers.volume_of(layer)


def test_a_mask_with_negative_numbers_is_refused():
    with pytest.raises(InputError, match="whole numbers from 0, got -1 to 0"):
        layers.mask_of(Labels(np.full(SHAPE, -1) * (np.arange(5) > 2)))


def test_a_layer_whose_shape_was_changed_is_no_longer_on_the_file_grid():
    (layer,) = layers.show(
        ViewerModel(), Mask(np.zeros(SHAPE, np.uint8), turned((0, 1, 2), (1, 1, 1)))
    )
    layer.data = np.zeros((3, 4, 4), np.uint8)
    assert layers.mask_of(layer).geometry.shape == (3, 4, 4)


def scan(array, **facts) -> Volume:
    array = np.asarray(array).reshape(1, 1, -1)
    return Volume(array, Geometry.from_spacing(array.shape), **facts)


def test_the_window_that_a_file_states_wins():
    assert contrast.window_of(scan([0, 9], modality="CT", window=(-5, 5))) == (-5, 5)


def test_a_chest_ct_opens_in_the_lung_window_and_an_abdomen_in_soft_tissue():
    chest = scan([-800] * 30 + [40] * 70, modality="CT")
    abdomen = scan([-1000] * 30 + [40] * 70, modality="CT")
    assert contrast.window_of(chest) == contrast.LUNG
    assert contrast.window_of(abdomen) == contrast.SOFT_TISSUE


def test_whole_numbers_with_air_and_bone_are_taken_for_a_ct():
    array = np.array([-1000] * 40 + [40] * 50 + [1000] * 10, np.int16)
    assert contrast.window_of(scan(array)) == contrast.SOFT_TISSUE
    assert contrast.window_of(scan(array, modality="MR")) != contrast.SOFT_TISSUE


def test_padding_and_nan_do_not_darken_a_scan():
    values = np.concatenate([np.full(500, -32768.0), np.linspace(100, 200, 500), [np.nan, np.inf]])
    low, high = contrast.window_of(scan(values))
    assert 99 <= low <= 102
    assert 198 <= high <= 201


@pytest.mark.parametrize("values", [[0, 0], [np.nan, np.nan], [5, 5, 5]])
def test_a_flat_scan_still_has_a_window(values):
    low, high = contrast.window_of(scan(np.array(values, float)))
    assert low < high


def test_the_contrast_slider_reaches_all_values():
    volume = scan(np.arange(-1000, 1000), window=(-160, 240))
    (layer,) = layers.show(ViewerModel(), volume)
    assert layer.contrast_limits == [-160, 240]
    assert layer.contrast_limits_range == [-1000, 999]


def test_a_scan_that_was_filtered_in_napari_counts_as_it_is_seen():
    volume = Volume(np.zeros((2, *SHAPE)), Geometry.from_spacing(SHAPE), channels=("T1", "T2"))
    layer = layers.show(ViewerModel(), volume)[1]
    layer.data = layer.data + 1
    back = layers.volume_of(layer)
    assert back.channels == ("T2",)
    assert back.array.shape == SHAPE
    assert back.array.min() == 1
