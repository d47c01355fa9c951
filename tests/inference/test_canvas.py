"""Blending tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_medseg.inference.canvas import Canvas
from napari_medseg.inference.tiles import Box, Tiling

SHAPE = (20, 9, 14)
CPU = torch.device("cpu")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_tiles_of_one_image_blend_to_the_image(axis: int) -> None:
    image = torch.rand(2, *SHAPE)
    canvas = painted(image, axis, tuple(slice(0, n) for n in SHAPE))  # type: ignore[arg-type]
    assert canvas.done.all()
    torch.testing.assert_close(canvas.read(0, SHAPE[axis]), image, atol=1e-6, rtol=0)


def test_a_box_holds_its_own_part_only() -> None:
    image, box = torch.rand(2, *SHAPE), (slice(3, 17), slice(0, 9), slice(5, 9))
    canvas = painted(image, 0, box)
    torch.testing.assert_close(canvas.read(4, 12), image[:, 4:12, 0:9, 5:9], atol=1e-6, rtol=0)
    assert np.flatnonzero(canvas.done).tolist() == list(range(3, 17))


def painted(image: torch.Tensor, axis: int, box: Box) -> Canvas:
    tiling = Tiling.over(SHAPE, (8, 8, 8), 0.5)
    canvas = Canvas(tiling, box, axis, 2, CPU)
    for z, y, x in tiling.touching(box):
        canvas.add((z, y, x), image[:, z : z + 8, y : y + 8, x : x + 8])
    return canvas


def test_a_glance_at_what_is_not_done_is_as_bright_as_what_is() -> None:
    image = torch.rand(2, *SHAPE) + 1
    tiling, whole = Tiling.over(SHAPE, (8, 8, 8), 0.5), (slice(0, 20), slice(0, 9), slice(0, 14))
    canvas = Canvas(tiling, whole, 0, 2, CPU)
    canvas.add((0, 0, 0), image[:, :8, :8, :8])
    seen = canvas.peek((slice(5, 6), slice(0, 9), slice(0, 14)))
    torch.testing.assert_close(seen[:, :, :8, :8], image[:, 5:6, :8, :8])
    assert not seen[:, :, 8:].any()
    assert not seen[..., 8:].any()


def test_planes_are_done_when_their_last_tile_is_in() -> None:
    tiling = Tiling.over((12, 8, 8), (8, 8, 8), 0.5)
    canvas = Canvas(tiling, (slice(0, 12), slice(0, 8), slice(0, 8)), 0, 1, CPU)
    canvas.add((0, 0, 0), torch.ones(1, 8, 8, 8))
    assert np.flatnonzero(canvas.done).tolist() == [0, 1, 2, 3]


def test_forgotten_planes_cannot_be_read() -> None:
    canvas = painted(torch.rand(2, *SHAPE), 0, (slice(0, 20), slice(0, 9), slice(0, 14)))
    canvas.forget(np.arange(20) >= 4)
    assert canvas.read(4, 20).shape[1] == 16
    with pytest.raises(AssertionError, match="forgotten"):
        canvas.read(0, 4)
