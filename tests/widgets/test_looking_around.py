"""What a view shows where, windows of grey values, two masks: all that needs no window."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_medseg.errors import GridError
from napari_medseg.jobs import finish
from napari_medseg.volume import Geometry, Label, Volume, to_canonical
from napari_medseg.widgets import layers, readout, view_state, windowing
from napari_medseg.widgets.compare import BOTH, EVERY, ONLY_A, ONLY_B, Comparison
from napari_medseg.widgets.look import Look, look_of, upright, words
from napari_medseg.widgets.sharing import Sharing
from napari_medseg.widgets.solid import surfaces
from napari_medseg.widgets.twins import Twins

CODES = ["LPS", "RAS", "LAI", "PSR", "IRA", "SLP", "ALS"]


def scan_of(codes: str) -> Volume:
    """A scan of (2, 3, 4) mm on these axes; the corner at Left, Anterior, Superior is bright."""
    shown = Volume(np.zeros((6, 7, 8), np.int16), Geometry.from_spacing((6, 7, 8), (2, 3, 4)))
    shown.array[-1, 0, -1] = 1000
    from napari_medseg.volume import Reorientation

    turn = Reorientation.to(shown.geometry, codes)
    return Volume(np.ascontiguousarray(turn.apply(shown.array)), turn.target)


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (0, 2, 1), (2, 1, 0)])
def test_each_view_says_the_sides_of_the_patient(codes, order):
    viewer = ViewerModel()
    (layer,) = layers.show(viewer, scan_of(codes))
    viewer.dims.order = order
    upright(viewer)
    look = look_of(viewer, (200, 100))
    corner = np.argwhere(np.asarray(layer.data) == 1000)[0]
    x, y = look.pixel(np.asarray(layer.data_to_world(corner)))
    top, right, bottom, left = look.letters()
    seen = {top if y < 50 else bottom, right if x > 100 else left}
    assert seen <= set("LAS")
    assert {frozenset((top, bottom)), frozenset((left, right))} <= {
        frozenset("IS"), frozenset("AP"), frozenset("RL")
    }  # fmt: skip


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 0, 1)])
def test_the_head_is_at_the_top(order):
    viewer = ViewerModel()
    layers.show(viewer, scan_of("RAS"))
    viewer.dims.order = order
    upright(viewer)
    assert look_of(viewer, (10, 10)).letters()[0] == "S"


def test_a_pixel_and_its_place_are_there_and_back():
    look = Look((1, 0, 2), True, False, (12.0, -3.0), 2.5, (300, 200), 7.0)
    at = look.place(40, 170)
    assert at[1] == 7.0
    assert look.pixel(at) == pytest.approx((40, 170))


def test_a_place_is_said_with_the_sides_of_the_patient():
    assert words(np.array([-23.04, 80.0, -1.5])) == "R 23.0  P 80.0  I 1.5 mm"


def test_a_3d_view_has_no_letters():
    viewer = ViewerModel(ndisplay=3)
    layers.show(viewer, scan_of("LPS"))
    assert look_of(viewer, (10, 10)) is None


def ct(unit: str = "HU") -> Volume:
    array = np.linspace(-1000, 1500, 1000).reshape(10, 10, 10).astype(np.int16)
    return Volume(array, Geometry.from_spacing((10, 10, 10)), unit=unit)


def test_a_ct_has_the_windows_of_the_reading_room():
    by_name = {one.name: one for one in windowing.presets(ct())}
    assert (by_name["Lung"].low, by_name["Lung"].high) == (-1350, 150)
    assert {"Bone", "Brain", "Liver", "Mediastinum", "Soft tissue"} <= by_name.keys()


def test_a_pet_has_windows_in_suv_and_an_mr_in_percentiles():
    assert windowing.presets(ct("SUVbw"))[0].high == 5
    noise = np.random.default_rng(0).normal(500, 100, (10, 10, 10)).astype(np.float32)
    mr = Volume(noise, Geometry.from_spacing((10, 10, 10)), modality="MR")
    by_name = {one.name: one for one in windowing.presets(mr)}
    assert by_name["90 %"].low == pytest.approx(np.percentile(noise, 5))
    assert "Lung" not in by_name


def test_dragging_right_widens_and_dragging_down_brightens_without_the_other():
    low, high = windowing.dragged((0, 100), 100, 0)
    assert high - low > 100
    assert low + high == pytest.approx(100)
    low, high = windowing.dragged((0, 100), 0, 40)
    assert high - low == pytest.approx(100)
    assert low < 0
    assert windowing.dragged((0, 100), -1e4, 0)[1] > windowing.dragged((0, 100), -1e4, 0)[0]


def test_a_window_knows_its_name():
    among = windowing.presets(ct())
    assert windowing.name_of((-1350, 150), among) == "Lung"
    assert windowing.name_of((-1300, 150), among) == ""


def test_the_difference_of_two_masks_is_counted_and_follows_a_stroke():
    a, b = np.zeros((2, 4, 4, 4), np.uint8)
    a[0, 0, :3], b[0, 0, 1:] = 1, 1
    found = Comparison(a, b, 1, voxel_ml=0.5)
    assert [int((found.difference == key).sum()) for key in (ONLY_A, ONLY_B, BOTH)] == [1, 1, 2]
    assert found.dice == pytest.approx(2 / 3)
    assert found.ml(BOTH) == 1.0
    a[0, 0, 3] = 1
    found.update((slice(0, 1), slice(0, 1), slice(2, 4)))
    assert found.dice == pytest.approx(6 / 7)
    np.testing.assert_array_equal(found.counts, np.bincount(found.difference.ravel(), minlength=4))


def test_all_structures_are_compared_as_one():
    a, b = np.full((2, 2, 2), 1, np.uint8), np.full((2, 2, 2), 2, np.uint8)
    assert Comparison(a, b, EVERY, 1).dice == 1.0
    assert Comparison(a, b, 1, 1).dice == 0.0


def test_masks_of_two_grids_are_refused():
    with pytest.raises(GridError, match="share a grid"):
        Comparison(np.zeros((2, 2, 2)), np.zeros((2, 2, 3)), 1, 1)


@pytest.fixture
def case():
    """A case of one voxel row; -87 HU, a liver at x = 1."""
    array = np.full((1, 1, 3), -87, np.int16)
    labels = np.array([[[0, 1, 0]]], np.uint8)
    shown, _ = to_canonical(Volume(array, Geometry.from_spacing((1, 1, 3)), unit="HU"))
    return SimpleNamespace(volume=shown, labels=labels, names=(Label(1, "liver"),))


def test_what_is_under_the_cursor_is_said_with_unit_structure_and_chance(case):
    chances = {1: np.array([[[0.4, 0.93, 0.001]]], np.float16)}
    place = "L 1.0  P 0.0  S 0.0 mm"
    assert (
        readout.reading(case, (0, 0, 1), chances, "HU") == f"−87 HU   ·   liver 93%   ·   {place}"
    )
    assert "background (liver 40%)" in readout.reading(case, (0, 0, 0), chances, "HU")
    assert "liver" not in readout.reading(case, (0, 0, 2), chances, "HU")
    assert readout.reading(case, (0, 0, 3), chances, "HU") == ""


def test_the_state_of_the_views_comes_back_and_a_broken_file_is_none(tmp_path):
    state = view_state.ViewState(four=True, enlarged=2, linked=True)
    assert view_state.keep(state, tmp_path)
    assert view_state.load(tmp_path) == state
    (tmp_path / view_state.FILE).write_text('{"four": "yes", "linked": true, "what": 1}')
    assert view_state.load(tmp_path) == view_state.ViewState(linked=True)
    (tmp_path / view_state.FILE).write_text("[")
    assert view_state.load(tmp_path) == view_state.ViewState()


def test_a_surface_lies_around_its_structure():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 6:14, 7:13] = 3
    (found,) = finish(surfaces(labels, [Label(1, "none"), Label(3, "box")]))
    assert found.label.name == "box"
    np.testing.assert_allclose(found.vertices.min(0), (4.5, 5.5, 6.5), atol=0.3)
    np.testing.assert_allclose(found.vertices.max(0), (14.5, 13.5, 12.5), atol=0.3)


@pytest.fixture
def pair(qtbot):
    """A viewer with a scan and a mask, its coronal twin, and what keeps them alike."""
    main, other = ViewerModel(), ViewerModel()
    main.add_layer(Image(np.random.default_rng(0).random((4, 5, 6)), units=("mm",) * 3))
    mask = Labels(np.zeros((4, 5, 6), np.uint8), units=("mm",) * 3)
    main.add_layer(mask)
    other.dims.ndim = 3
    other.dims.order = (1, 0, 2)
    made: dict[object, Sharing] = {}

    def sharing(layer):
        if layer not in made:
            made[layer] = Sharing()
            made[layer].add(layer, main, lambda: True)
        return made[layer]

    twins = Twins(main, other, sharing, lambda: True)
    yield main, other, twins, sharing
    twins.close()
    for one in made.values():
        one.close()


def test_twins_share_the_array_and_look_alike(pair):
    main, other, *_ = pair
    mask, copy = main.layers[1], other.layers[1]
    assert copy.data is mask.data
    mask.opacity, mask.contour, mask.selected_label = 0.3, 2, 3
    main.layers[0].contrast_limits = (0.1, 0.4)
    assert (copy.opacity, copy.contour, copy.selected_label) == (0.3, 2, 3)
    assert list(other.layers[0].contrast_limits) == [0.1, 0.4]
    copy.selected_label = 2
    assert mask.selected_label == 2
    main.layers.move(1, 0)
    assert other.layers[0] is copy
    main.layers.remove(mask)
    assert copy not in other.layers


def test_a_twin_is_drawn_again_only_where_the_stroke_is_seen(pair):
    main, other, _, sharing = pair
    mask, copy = main.layers[1], other.layers[1]
    other.dims.set_point(1, 2)
    drawn = []
    copy.events.set_data.connect(lambda: drawn.append(1))
    mask.brush_size = 1
    mask.paint((0, 4, 4), 1)
    sharing(mask).draw()
    assert drawn == []
    mask.paint((0, 2, 4), 1)
    sharing(mask).draw()
    assert drawn == [1]
    main.dims.set_point(0, 3)
    sharing(mask).draw()
    assert drawn == [1], "another slice in one view is no change of the mask"
    mask.data[:] = 2
    mask.refresh()
    sharing(mask).draw()
    assert drawn == [1, 1]
