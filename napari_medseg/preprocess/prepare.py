"""A scan on the network's grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import ndimage

from napari_medseg.errors import GridError, InputError
from napari_medseg.preprocess.corner import (
    at_corner_grid,
    corner_grid,
    nearest_at_corner_grid,
    nearest_slices,
)
from napari_medseg.preprocess.intensity import Floats, finite, normalised
from napari_medseg.preprocess.nnunet import Box, as_nnunet, part_of
from napari_medseg.preprocess.recipe import Grid, Recipe
from napari_medseg.volume import Geometry, Mask, Reorientation, Volume
from napari_medseg.volume.volume import COLOURS

IGNORE = 255  # teaches nothing and is scored nowhere


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan as a network wants to see it.

    Attributes
    ----------
    tensor
        float32 (C, Z, Y, X) on `geometry`; a network that sees neighbouring slices gets those of
        each channel as channels, from the lowest to the highest.
    turn
        From the scan's own axes to those of the recipe, LPS for our own models.
    geometry
        The tensor's grid: these axes, at the recipe's spacing.
    box
        The part of the turned scan that the tensor covers, beyond which all is background; None:
        all of it.
    nearest
        The axis along which the way back takes the nearest plane; None: linear along all.
    zeros
        Whether a tensor smaller than a tile is padded by zeros, not mirrored.
    """

    tensor: torch.Tensor
    turn: Reorientation
    geometry: Geometry
    box: Box | None = None
    nearest: int | None = None
    zeros: bool = False


def prepare(volume: Volume, recipe: Recipe, previous: Mask | None = None) -> Prepared:
    """The scan's tensor, and how to go back; `previous` is the mask of a cascade's first stage.

    Raises
    ------
    InputError
        The scan has not the channels that the recipe names.
    """
    volume = as_read(volume, recipe)
    if recipe.nnunet is not None:
        return _prepared_as_nnunet(volume, recipe, previous)
    turn = Reorientation.to(volume.geometry, recipe.orientation)
    channels = np.ascontiguousarray(turn.apply(volume.array)).reshape(-1, *turn.target.shape)
    geometry = network_grid(turn.target, recipe)
    tensors = [_tensor(one, recipe, turn.target, geometry) for one in channels]
    return Prepared(with_neighbours(torch.stack(tensors), recipe.neighbours), turn, geometry)


def as_read(volume: Volume, recipe: Recipe) -> Volume:
    """The scan with the channels that the recipe names, a grey picture as one in colour.

    Raises
    ------
    InputError
        It has others.
    """
    if recipe.channels == COLOURS:
        volume = volume.in_colour()
    if volume.n_channels != len(recipe.channels):
        raise InputError(
            f"this model reads {len(recipe.channels)} channel(s) ({', '.join(recipe.channels)}), "
            f"the scan has {volume.n_channels}; choose a scan or channel that fits",
            volume.name,
        )
    return volume


def _prepared_as_nnunet(volume: Volume, recipe: Recipe, previous: Mask | None) -> Prepared:
    assert recipe.nnunet is not None, "the caller asked"
    if (previous is None) != (recipe.nnunet.previous == 0):
        raise InputError(
            "the second stage of a cascade must get the mask of the first", volume.name
        )
    spacing_mm = recipe.spacing_mm or volume.geometry.spacing_mm
    tensor, turn, box, nearest = as_nnunet(
        volume,
        recipe.nnunet,
        recipe.orientation,
        spacing_mm[1:] if recipe.patch[0] == 1 else spacing_mm,
        None if previous is None else previous.labels,
    )
    z, y, x = tensor.shape[1:]
    geometry = resized(part_of(turn.target, box), (z, y, x))
    return Prepared(tensor, turn, geometry, box, nearest, zeros=True)


def with_neighbours(tensor: torch.Tensor, reach: int) -> torch.Tensor:
    """(C, Z, Y, X) with `reach` slices on either side as channels: (C * (2 reach + 1), Z, Y, X).

    Beyond the ends the first and the last slice are repeated. Of one channel it is a view, which
    takes no memory, and which nobody may write into.
    """
    if reach == 0:
        return tensor
    depth = tensor.shape[1]
    wide = tensor[:, torch.arange(-reach, depth + reach).clamp(0, depth - 1)]
    windows = wide.unfold(1, depth, 1)  # (C, 2 reach + 1, Y, X, Z)
    return windows.permute(0, 1, 4, 2, 3).flatten(0, 1)


def _tensor(
    image: npt.NDArray[Any], recipe: Recipe, source: Geometry, grid: Geometry
) -> torch.Tensor:
    """One channel on the network's grid; other programs resample before they normalise."""
    if recipe.grid is Grid.EDGES:
        return resampled(normalised(image, recipe, source.spacing_mm), grid.shape)
    raw = torch.from_numpy(np.ascontiguousarray(finite(image), dtype=np.float32))
    moved = at_corner_grid(raw, source, grid).numpy()
    return torch.from_numpy(np.ascontiguousarray(normalised(moved, recipe, grid.spacing_mm)))


def prepare_mask(mask: Mask, prepared: Prepared, recipe: Recipe) -> torch.Tensor:
    """The mask as network outputs, uint8 (Z, Y, X) on the prepared grid.

    0 is background, n the recipe's n-th label, 255 what teaches nothing: voxels that hold 255 or a
    value that the recipe does not know.

    Raises
    ------
    GridError
        The mask is not on the scan's own grid.
    """
    if not mask.geometry.same_grid(prepared.turn.source):
        raise GridError(
            f"a mask must lie on its scan's grid, got {mask.geometry} "
            f"for {prepared.turn.source}; resample one first"
        )
    outputs = outputs_of(mask.labels, recipe)
    turned = torch.from_numpy(np.ascontiguousarray(prepared.turn.apply(outputs)))
    if prepared.box is not None:
        turned = turned[prepared.box]
    if recipe.grid is Grid.CORNER:
        return nearest_at_corner_grid(turned, prepared.turn.target, prepared.geometry)
    return voted(turned, prepared.geometry.shape)


def slices_of(prepared: Prepared, recipe: Recipe) -> list[range]:
    """The slices of the turned scan that each slice of a mask on the network's grid comes from."""
    source = prepared.turn.target
    if recipe.grid is Grid.CORNER:
        return [range(n, n + 1) for n in nearest_slices(source, prepared.geometry)]
    first, n, size = 0, source.shape[0], prepared.geometry.shape[0]
    if prepared.box is not None:
        first, n = prepared.box[0].start, prepared.box[0].stop - prepared.box[0].start
    return [range(first + z * n // size, first - (-(z + 1) * n // size)) for z in range(size)]


def voted(outputs: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Each new voxel takes the output that most of the known old ones in it have.

    255 only where none is known: a slice that a person corrected survives on thicker slices.
    """
    if tuple(outputs.shape) == shape:
        return outputs
    best = torch.zeros(shape)
    winner = torch.full(shape, IGNORE, dtype=torch.uint8)
    for output in present(outputs):
        share = F.interpolate(
            (outputs == output)[None, None].float(), size=list(shape), mode="area"
        )
        ahead = share[0, 0] > best
        winner[ahead] = output
        best = torch.maximum(best, share[0, 0])
    return winner


def present(outputs: torch.Tensor) -> list[int]:
    """The outputs that occur in a tensor uint8 of any shape, 255 left out; many times quicker than
    sorting them, as `torch.unique` does."""
    found = torch.bincount(outputs.flatten()).nonzero().flatten().tolist()
    return [output for output in found if output != IGNORE]


def outputs_of(
    labels: npt.NDArray[np.unsignedinteger[Any]], recipe: Recipe
) -> npt.NDArray[np.uint8]:
    """Mask values as numbers of network outputs; unknown ones and 255 become 255."""
    table = np.full(int(max(labels.max(initial=0), IGNORE)) + 1, IGNORE, dtype=np.uint8)
    for output, value in enumerate(recipe.values):
        if value < len(table):
            table[value] = output
    return np.asarray(table[labels])


def network_grid(canonical: Geometry, recipe: Recipe) -> Geometry:
    """The grid at the recipe's spacing, over the same field of view or from the first voxel on."""
    if recipe.spacing_mm is None:
        return canonical
    wanted = list(recipe.spacing_mm)
    if recipe.patch[0] == 1:
        wanted[0] = canonical.spacing_mm[0]  # a 2-D network sees the slices as they are
    if recipe.grid is Grid.CORNER:
        z, y, x = wanted
        return corner_grid(canonical, (z, y, x))
    shape = tuple(
        max(1, round(n * mm / new))
        for n, mm, new in zip(canonical.shape, canonical.spacing_mm, wanted, strict=True)
    )
    return resized(canonical, shape)  # type: ignore[arg-type]


def resized(geometry: Geometry, shape: tuple[int, int, int]) -> Geometry:
    """The same field of view in other voxels: edges stay, centres move by half a step."""
    if shape == geometry.shape:
        return geometry
    factor = np.array([n / m for n, m in zip(geometry.shape, shape, strict=True)])[::-1]
    to_old = np.diag([*factor, 1.0])
    to_old[:3, 3] = (factor - 1) / 2
    return Geometry(shape, geometry.affine @ to_old)


def coarser(tensor: torch.Tensor, factor: float) -> torch.Tensor:
    """A prepared scan (C, Z, Y, X) in voxels that are `factor` times larger, float32."""
    z, y, x = (max(1, round(n / factor)) for n in tensor.shape[1:])
    return torch.stack([resampled(one.float().numpy(), (z, y, x)) for one in tensor])


def resampled(image: Floats, shape: tuple[int, int, int]) -> torch.Tensor:
    """The image on another number of voxels over the same field of view, float32.

    Trilinear; smoothed first along axes that get coarser (sigma = (factor - 1) / 2, as
    `skimage.transform.resize`).
    """
    if image.shape == shape:
        return torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    sigma = [max(0.0, (n / m - 1) / 2) for n, m in zip(image.shape, shape, strict=True)]
    if max(sigma) > 0:
        image = ndimage.gaussian_filter(image, sigma, mode="nearest")
    tensor = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    return F.interpolate(tensor[None, None], size=list(shape), mode="trilinear")[0, 0]
