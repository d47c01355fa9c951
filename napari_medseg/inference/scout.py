"""A coarse look at the whole scan, which says where the full resolution is worth its time."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import cc3d
import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from napari_medseg.inference.canvas import Canvas
from napari_medseg.inference.forward import Forward, ahead, cut
from napari_medseg.inference.regions import Bools, boxes_around, n_tiles
from napari_medseg.inference.regrid import painted, winners
from napari_medseg.inference.tiles import Box, Extent, Tiling
from napari_medseg.preprocess.pad import margin, padded
from napari_medseg.preprocess.prepare import coarser
from napari_medseg.preprocess.recipe import Normalise, Recipe

OVERLAP = 0.25
LEAST_CHANCE = 0.1  # of a voxel to hold a label, for it to be looked at closely
MARGIN_SHARE = 1 / 8  # of a tile around what was found: the network wants to see some context
SURE = 0.95  # chance from which on a voxel's label needs no closer look
PAYS = 0.75  # of the tiles of the whole; for less saved, the whole is computed
BODY_HU = -300.0  # between air or a thin blanket and skin
BODY_MM = 3.0  # this far apart are the voxels that tell where the body is
SMALL_PIECE_ML = 5.0  # a smaller piece is no part of a patient


@dataclass(frozen=True, eq=False)
class Scouted:
    """What a coarse look found.

    Attributes
    ----------
    outputs
        int16 (z, y, x): the likeliest network output, on the coarse grid.
    found
        bool (z, y, x): where a label may be.
    unsure
        bool (z, y, x): where the likeliest output is not that of all 26 neighbours, or not sure.
    maps
        float32 (F, z, y, x): the blended logits, or the feature maps that they are made of.
    """

    outputs: npt.NDArray[np.int16]
    found: Bools
    unsure: Bools
    maps: torch.Tensor


def scout(
    prepared: torch.Tensor, recipe: Recipe, tile: Extent, forward: Forward
) -> Generator[None, object, Scouted]:
    """Look at a scan (C, Z, Y, X) `recipe.scout` times coarser; yields after each tile."""
    coarse = coarser(prepared, recipe.scout)
    tensor = padded(coarse, tile)
    d, h, w = tensor.shape[1:]
    tiling = Tiling.over((d, h, w), tile, OVERLAP)
    everything = (slice(0, d), slice(0, h), slice(0, w))
    canvas = Canvas(tiling, everything, 0, forward.n_maps(recipe.n_outputs), torch.device("cpu"))
    done = ahead(
        lambda origin: forward(cut(tensor, origin, tile)), iter(tiling.touching(everything))
    )
    for origin, logits in done:
        canvas.add(origin, logits)
        yield None
    z, y, x = (
        slice(margin(n, t), margin(n, t) + n) for n, t in zip(coarse.shape[1:], tile, strict=True)
    )
    return _seen(canvas.read(0, tiling.shape[0])[:, z, y, x], forward, bool(recipe.regions))


def _seen(maps: torch.Tensor, forward: Forward, regions: bool) -> Scouted:
    """What blended maps (F, z, y, x) show, plane by plane: the chances of all need not fit."""
    outputs = np.empty(maps.shape[1:], np.int16)
    label, least = (np.empty(maps.shape[1:], np.float32) for _ in range(2))
    for plane in range(maps.shape[1]):
        logits = forward.logits(maps[:, plane : plane + 1])[:, 0]
        chances = logits.sigmoid() if regions else logits.softmax(0)
        outputs[plane] = (painted if regions else winners)(logits).numpy()
        label[plane] = (chances.amax(0) if regions else 1 - chances[0]).numpy()
        surest = torch.maximum(chances, 1 - chances).amin(0) if regions else chances.amax(0)
        least[plane] = surest.numpy()
    same = ndimage.maximum_filter(outputs, 3) == ndimage.minimum_filter(outputs, 3)
    return Scouted(outputs, label >= LEAST_CHANCE, (least < SURE) | ~same, maps)


def scout_tiles(shape: Extent, recipe: Recipe, tile: Extent) -> int:
    """How many tiles a coarse look takes."""
    z, y, x = (max(t, round(n / recipe.scout)) for n, t in zip(shape, tile, strict=True))
    tiling = Tiling.over((z, y, x), tile, OVERLAP)
    return math.prod(len(starts) for starts in tiling.starts)


def worth_looking(
    found: Bools, shape: Extent, tile: Extent, overlap: float, always: bool
) -> list[Box] | None:
    """Boxes that hold what was found; None where the whole costs little more.

    Their voxels are those of the scan of this shape once it is padded to a tile.
    """
    d, h, w = (max(n, t) for n, t in zip(shape, tile, strict=True))
    grid = (d, h, w)
    z, y, x = (math.ceil(t * MARGIN_SHARE) for t in tile)
    boxes = boxes_around(_padded(found, shape, grid), grid, tile, (z, y, x))
    whole = (slice(0, grid[0]), slice(0, grid[1]), slice(0, grid[2]))
    limit = PAYS * n_tiles([whole], tile, overlap)
    return boxes if always or n_tiles(boxes, tile, overlap) <= limit else None


def body(
    tensor: torch.Tensor, recipe: Recipe, spacing_mm: tuple[float, float, float]
) -> Bools | None:
    """Where the patient is, bool on a coarse grid; None if the scan is no CT that shows air.

    All pieces that are not small and nowhere as thin as a table or a blanket: two legs are two.
    """
    low, high = recipe.window
    if recipe.normalise is not Normalise.CT_WINDOW or low >= BODY_HU or high <= BODY_HU:
        return None
    level = (BODY_HU - low) / (high - low) * 2 - 1
    steps = [max(1, round(BODY_MM / mm)) for mm in spacing_mm]
    z, y, x = (slice(None, None, step) for step in steps)
    own = recipe.neighbours  # of the channels, that of the slice itself
    solid = (tensor[own, z, y, x] > level).numpy()
    thick = ndimage.binary_opening(np.pad(solid, 1, mode="edge"))[1:-1, 1:-1, 1:-1]
    pieces = cc3d.connected_components(thick, connectivity=26)
    ml = math.prod(step * mm for step, mm in zip(steps, spacing_mm, strict=True)) / 1000
    large = np.bincount(pieces.ravel()) * ml >= SMALL_PIECE_ML
    large[0] = False
    return np.asarray(large[pieces]) if large.any() else None


def _padded(found: Bools, shape: Extent, grid: Extent) -> Bools:
    """What was found, with room for what padding adds on either side."""
    widths = []
    for n, c, g in zip(shape, found.shape, grid, strict=True):
        before = margin(n, g)
        widths.append((round(before * c / n), round((g - n - before) * c / n)))
    return np.pad(found, widths) if any(map(any, widths)) else found
