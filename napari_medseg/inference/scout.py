"""A coarse look at the whole scan, which says where the full resolution is worth its time."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from napari_medseg.inference.canvas import Canvas
from napari_medseg.inference.forward import Forward, ahead, cut
from napari_medseg.inference.regions import Bools, boxes_around, n_tiles
from napari_medseg.inference.regrid import winners
from napari_medseg.inference.tiles import Box, Extent, Tiling
from napari_medseg.preprocess.pad import margin, padded
from napari_medseg.preprocess.prepare import Prepared, coarser
from napari_medseg.preprocess.recipe import Normalise, Recipe

OVERLAP = 0.25
LEAST_CHANCE = 0.1  # of a voxel to hold a label, for it to be looked at closely
MARGIN_SHARE = 1 / 8  # of a tile around what was found: the network wants to see some context
PAYS = 0.75  # of the tiles of the whole; for less saved, the whole is computed
BODY_HU = -300.0  # between air or a thin blanket and skin
BODY_STEP = 4  # every n-th voxel tells where the body is


@dataclass(frozen=True, eq=False)
class Scouted:
    """What a coarse look found.

    Attributes
    ----------
    outputs
        int16 (z, y, x): the likeliest network output, on the coarse grid.
    found
        bool (z, y, x): where a label may be.
    """

    outputs: npt.NDArray[np.int16]
    found: Bools


def scout(
    prepared: Prepared, recipe: Recipe, tile: Extent, forward: Forward
) -> Generator[None, object, Scouted]:
    """Look at the scan `recipe.scout` times coarser; yields after each tile."""
    coarse = coarser(prepared, recipe.scout)
    tensor = padded(coarse.tensor, tile)
    tiling = Tiling.over(_extent(tensor.shape[1:]), tile, OVERLAP)
    everything: Box = tuple(slice(0, n) for n in tiling.shape)  # type: ignore[assignment]
    canvas = Canvas(tiling, everything, 0, recipe.n_outputs, torch.device("cpu"))
    done = ahead(
        lambda origin: forward(cut(tensor, origin, tile)), iter(tiling.touching(everything))
    )
    for origin, logits in done:
        canvas.add(origin, logits)
        yield None
    inner = tuple(
        slice(m, m + n)
        for n, m in zip(
            coarse.geometry.shape,
            map(margin, coarse.geometry.shape, tile),
            strict=True,
        )
    )
    logits = canvas.read(0, tiling.shape[0])[(slice(None), *inner)]
    chance = 1 - logits.softmax(0)[0]
    return Scouted(winners(logits).numpy(), (chance >= LEAST_CHANCE).numpy())


def scout_tiles(prepared: Prepared, recipe: Recipe, tile: Extent) -> int:
    """How many tiles a coarse look takes."""
    shape = [
        max(t, round(n / recipe.scout)) for n, t in zip(_grid(prepared, tile), tile, strict=True)
    ]
    tiling = Tiling.over(_extent(shape), tile, OVERLAP)
    return math.prod(len(starts) for starts in tiling.starts)


def worth_looking(
    found: Bools, prepared: Prepared, tile: Extent, overlap: float, always: bool
) -> list[Box] | None:
    """Boxes of the padded grid that hold what was found; None where the whole costs little more."""
    grid = _grid(prepared, tile)
    z, y, x = (math.ceil(t * MARGIN_SHARE) for t in tile)
    boxes = boxes_around(_padded(found, prepared, grid), grid, tile, (z, y, x))
    whole = (slice(0, grid[0]), slice(0, grid[1]), slice(0, grid[2]))
    limit = PAYS * n_tiles([whole], tile, overlap)
    return boxes if always or n_tiles(boxes, tile, overlap) <= limit else None


def body(prepared: Prepared, recipe: Recipe) -> Bools | None:
    """Where the patient is, bool on a coarse grid; None if the scan is no CT that shows air."""
    low, high = recipe.window
    if recipe.normalise is not Normalise.CT_WINDOW or low >= BODY_HU or high <= BODY_HU:
        return None
    level = (BODY_HU - low) / (high - low) * 2 - 1
    solid = (prepared.tensor[0, ::BODY_STEP, ::BODY_STEP, ::BODY_STEP] > level).numpy()
    if not solid.any():
        return None
    pieces, _ = ndimage.label(ndimage.binary_opening(solid) if min(solid.shape) > 2 else solid)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest = pieces == int(sizes.argmax())
    return np.asarray(largest) if largest.any() and sizes.any() else None


def _grid(prepared: Prepared, tile: Extent) -> Extent:
    """Shape of the prepared scan once it is padded to a tile."""
    return _extent([max(n, t) for n, t in zip(prepared.geometry.shape, tile, strict=True)])


def _padded(found: Bools, prepared: Prepared, grid: Extent) -> Bools:
    """What was found, with room for what padding adds on either side."""
    before = [margin(n, t) for n, t in zip(prepared.geometry.shape, grid, strict=True)]
    if not any(before):
        return found
    scale = [n / c for n, c in zip(prepared.geometry.shape, found.shape, strict=True)]
    widths = [
        (round(b / s), round((g - n - b) / s))
        for b, g, n, s in zip(before, grid, prepared.geometry.shape, scale, strict=True)
    ]
    return np.pad(found, widths)


def _extent(shape: object) -> Extent:
    z, y, x = (int(n) for n in shape)  # type: ignore[attr-defined]
    return z, y, x
