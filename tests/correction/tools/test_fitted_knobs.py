"""The tools' first sizes on coarse grids."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.correction.edit import Aim, Scene
from napari_medseg.correction.tools.catalogue import catalogue
from napari_medseg.correction.tools.margins import GrowKnobs
from napari_medseg.correction.tools.tool import fitted

BY_NAME = {tool.name: tool for tool in catalogue()}
COARSE_MM = (3.0, 3.0, 3.0)


def cube_with_a_speck() -> Scene:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:15, 5:15, 5:15] = 1
    labels[9, 9, 15] = 1  # sticks out of one side
    return Scene(np.zeros(labels.shape, np.float32), labels, COARSE_MM)


@pytest.mark.parametrize("name", ["Grow", "Shrink", "Smooth: median", "Smooth: opening"])
def test_on_a_grid_coarser_than_its_size_a_tool_does_something_as_it_is_taken_up(name):
    tool, scene = BY_NAME[name], cube_with_a_speck()
    edit = tool.run(scene, Aim(1, 0, 9), fitted(tool.knobs, COARSE_MM))
    assert edit is not None
    assert (edit.labels != scene.labels[edit.box]).any()


@pytest.mark.parametrize(
    ("spacing_mm", "by_mm"),
    [((1.0, 1.0, 1.0), 2.0), ((3.2, 3.2, 3.2), 3.5), ((8.0, 0.7, 0.7), 2.0), ((0.7, 0.7, 8), 2.0)],
)
def test_a_size_is_a_voxel_of_the_finest_plane_at_least(spacing_mm, by_mm):
    assert fitted(GrowKnobs(), spacing_mm) == GrowKnobs(by_mm=by_mm)


def test_knobs_without_sizes_stay_as_they_are():
    for tool in catalogue():
        assert type(fitted(tool.knobs, COARSE_MM)) is type(tool.knobs)
        assert fitted(tool.knobs, (0.1, 0.1, 0.1)) == tool.knobs
