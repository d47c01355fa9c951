"""The line of one grey value through a click, and its inside."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from tool_phantoms import after, aim_at, ball, overlap, scene_of

from napari_medseg.correction.edit import Scene
from napari_medseg.correction.tools.tracing import TraceKnobs, trace
from napari_medseg.errors import InputError

TRUTH = ball((10, 32, 32), 15)


def soft(dark: bool = False) -> Scene:
    scene = scene_of(TRUTH, noise=3)
    image = gaussian_filter(100.0 * TRUTH, (0, 1.5, 1.5)) + 0.3 * scene.image * ~TRUTH
    return Scene(-image if dark else image, scene.labels, scene.spacing_mm)


@pytest.mark.parametrize("dark", [False, True])
def test_a_click_on_the_edge_fills_the_disc(dark: bool) -> None:
    scene = soft(dark)
    edge = 32 + int(np.flatnonzero(TRUTH[10, 32, 32:])[-1])
    found = after(scene, trace(scene, aim_at((10, 32, edge)), TraceKnobs()))
    assert overlap(found[10] == 1, TRUTH[10]) >= 0.95
    assert not np.delete(found, 10, axis=0).any()


def test_tracing_fills_what_the_line_encloses() -> None:
    ring = TRUTH & ~ball((10, 32, 32), 7)
    scene = scene_of(ring, noise=0)
    found = after(scene, trace(scene, aim_at((10, 32, 45)), TraceKnobs(smooth_mm=0)))
    assert overlap(found[10] == 1, TRUTH[10]) >= 0.99


def test_tracing_works_in_a_sagittal_slice() -> None:
    scene = soft()
    found = after(scene, trace(scene, aim_at((10, 18, 32), axis=2), TraceKnobs()))
    assert overlap(found[:, :, 32] == 1, TRUTH[:, :, 32]) >= 0.9


def test_a_line_that_leaves_the_slice_is_refused() -> None:
    image = np.broadcast_to(np.arange(64.0), (4, 64, 64))
    scene = Scene(image, np.zeros(image.shape, np.uint8), (1.0, 1.0, 1.0))
    with pytest.raises(InputError, match="must close within the slice"):
        trace(scene, aim_at((2, 30, 30)), TraceKnobs())
