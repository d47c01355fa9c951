"""The line that follows edges from click to click, and its inside."""

from __future__ import annotations

import numpy as np
import pytest
from tool_phantoms import after, aim_at, ball, overlap, scene_of

from napari_medseg.correction.edit import Rules, Scene
from napari_medseg.correction.tools.tool import ADDED, OTHER, proposal_of
from napari_medseg.correction.tools.wire import WireKnobs, wire
from napari_medseg.errors import InputError

MIDDLE, RADIUS = (5, 60, 60), 40.0
SPACING = (3.0, 1.0, 1.0)
DISC = ball(MIDDLE, RADIUS, (10, 120, 120), SPACING)


def around(count: int, off: float, turn: float = 0.3) -> list[tuple[int, int, int]]:
    """Clicks about the disc, by turns so far outside and inside of its edge."""
    angles = turn + 2 * np.pi * np.arange(count) / count
    radii = RADIUS + off * (-1.0) ** np.arange(count)
    rows, columns = 60 + radii * np.sin(angles), 60 + radii * np.cos(angles)
    return [(5, round(y), round(x)) for y, x in zip(rows, columns, strict=True)]


@pytest.mark.parametrize("noise", [2.0, 25.0])
@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_clicks_a_few_voxels_off_the_edge_give_the_disc(count: int, noise: float) -> None:
    scene = scene_of(DISC, noise=noise)
    found = after(scene, wire(scene, aim_at(*around(count, 2.0)), WireKnobs()))
    assert overlap(found[5] == 1, DISC[5]) >= 0.97
    assert not np.delete(found, 5, axis=0).any()


def test_in_a_sagittal_slice_with_thick_slices_it_follows_the_edge_too() -> None:
    truth = ball((20, 32, 32), 24, (40, 64, 64), (2.0, 1.0, 1.0))
    scene = scene_of(truth, noise=10, spacing_mm=(2.0, 1.0, 1.0))
    clicks = [(20, 9, 32), (9, 32, 32), (20, 55, 32), (31, 32, 32)]
    found = after(scene, wire(scene, aim_at(*clicks, axis=2), WireKnobs()))
    assert overlap(found[:, :, 32] == 1, truth[:, :, 32]) >= 0.95


def test_on_noise_alone_the_line_goes_through_the_clicks_and_closes() -> None:
    scene = scene_of(np.zeros_like(DISC), noise=20)
    clicks = around(6, 0.0)
    edit = wire(scene, aim_at(*clicks), WireKnobs(snap_mm=0))
    found = after(scene, edit)[5] == 1
    assert all(found[y, x] for _, y, x in clicks)
    assert found[60, 60]
    assert overlap(found, DISC[5]) >= 0.8


def test_the_line_so_far_and_its_closing_are_what_is_drawn_before_it_is_applied() -> None:
    scene = scene_of(DISC, noise=5)
    edit = wire(scene, aim_at(*around(4, 1.0)[:3]), WireKnobs())
    assert edit is not None
    assert edit.drawn is not None
    voxels, kinds = edit.drawn[:, :3], edit.drawn[:, 3]
    far = np.abs(np.hypot(*(voxels[:, 1:] - 60).T) - RADIUS)
    assert far.max() < 3
    assert {int(kind) for kind in kinds} == {ADDED, OTHER}
    steps = np.abs(np.diff(voxels[kinds == ADDED], axis=0)).max(1)
    assert steps.max() == 1


def test_inside_what_is_painted_already_the_line_is_shown_all_the_same() -> None:
    blank = scene_of(DISC, noise=5)
    scene = Scene(blank.image, np.ones(DISC.shape, np.uint8), blank.spacing_mm)
    found = proposal_of(wire(scene, aim_at(*around(3, 0.0)), WireKnobs()), scene, 1, Rules())
    assert found is not None
    assert found.voxels == 0
    assert found.edit.drawn is not None


def test_the_first_click_is_a_line_of_one_voxel() -> None:
    scene = scene_of(DISC, noise=5)
    found = after(scene, wire(scene, aim_at((5, 60, 98)), WireKnobs()))
    assert np.count_nonzero(found) == 1


def test_without_a_structure_it_refuses() -> None:
    with pytest.raises(InputError, match="a structure must be chosen"):
        wire(scene_of(DISC), aim_at((5, 60, 98), label=0), WireKnobs())


def test_clicks_on_a_third_of_the_edge_are_closed_round_the_rest_of_it() -> None:
    scene = scene_of(DISC, noise=15)
    found = after(scene, wire(scene, aim_at(*around(9, 1.0)[:4]), WireKnobs()))
    assert overlap(found[5] == 1, DISC[5]) >= 0.97
