"""From a look at the cases to a recipe, a network and a batch that fit them and the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_medseg.errors import TrainingError
from napari_medseg.models.config import NetworkConfig
from napari_medseg.preprocess.recipe import Normalise, Recipe
from napari_medseg.training.config import Plane, TrainConfig
from napari_medseg.volume import Label

Extent = tuple[int, int, int]
Spacing = tuple[float, float, float]

SMALLEST_MAP = 4  # voxels along an axis of the coarsest feature map, as in nnU-Net
MOST_STAGES = 6
WIDEST = {2: 512, 3: 320}
THICK = 3.0  # axes this much coarser than the finest take a low percentile of the spacings
BYTES = 90  # per voxel and finest feature map: what a step keeps for its way back, measured
PATCH_CPU = 80**3  # voxels; a larger patch makes a step on a processor take tens of seconds
PATCH_GPU = 128**3
SCOUT, SCOUT_PAYS = 2.0, 12  # voxels so much larger, where a scan holds so many patches
ROOM = 0.4  # of the free memory: the rest is for the cases and for others


@dataclass(frozen=True)
class Fingerprint:
    """What the cases have in common.

    Attributes
    ----------
    shapes
        (Z, Y, X) of each case on the axes of `orientation_of`.
    spacings_mm
        (Z, Y, X) of each, likewise.
    channels
        What each channel is.
    ct
        Whether all are CT, in HU.
    """

    shapes: tuple[Extent, ...]
    spacings_mm: tuple[Spacing, ...]
    channels: tuple[str, ...]
    labels: tuple[Label, ...]
    ct: bool = False


@dataclass(frozen=True)
class Plan:
    """What is trained and on how much at once."""

    recipe: Recipe
    network: NetworkConfig
    batch: int


def plan(found: Fingerprint, config: TrainConfig, free_bytes: float, gpu: bool = False) -> Plan:
    """The plan for these cases; what the config states stays as it is.

    Raises
    ------
    TrainingError
        What the config states does not fit together.
    """
    spacing = _spacing(found, config)
    shape = _median_shape(found, spacing)
    flat = shape[0] == 1 or config.plane is not Plane.VOLUME
    if flat:
        shape = (1, *shape[1:])
    width = config.features[0] if config.features else (32 if gpu else 16)
    most = min(PATCH_GPU if gpu else PATCH_CPU, int(ROOM * free_bytes / (2 * BYTES * width)))
    patch = _given_patch(config) or largest_patch(shape, spacing, most)
    if flat != (patch[0] == 1):
        raise TrainingError(
            f"must have Z = 1 for slices only, got {patch}; choose a plane to train slice by slice",
            "patch",
        )
    if config.neighbours and not flat:
        raise TrainingError("are for slices, of volumes choose a plane too", "neighbours")
    network = fitting_network(patch, spacing, config, width)
    patch = _rounded(patch, network)
    recipe = Recipe(
        labels=found.labels,
        channels=found.channels,
        spacing_mm=spacing,
        patch=patch,
        denoise=config.denoise,
        normalise=config.normalise or (Normalise.CT_WINDOW if found.ct else Normalise.Z_SCORE),
        window=config.window,
        mirror_axes=_mirror_axes(config, flat),
        orientation=orientation_of(config),
        neighbours=config.neighbours,
        scout=1.0 if flat else config.scout or _scout(shape, patch),
    )
    return Plan(recipe, network, config.batch or _batch(patch, width, free_bytes, gpu))


def _scout(shape: Extent, patch: Extent) -> float:
    """How many times coarser the network learns to look at the whole; 1 where a scan is small."""
    whole = math.prod(max(1.0, n / size) for n, size in zip(shape, patch, strict=True))
    return SCOUT if whole >= SCOUT_PAYS else 1.0


def orientation_of(config: TrainConfig) -> str:
    """The sides that x, y and z of the network's grid grow to; z runs across the slices."""
    return {Plane.CORONAL: "LIP", Plane.SAGITTAL: "PIL"}.get(config.plane, "LPS")


def _mirror_axes(config: TrainConfig, flat: bool) -> tuple[int, ...]:
    """The config's canonical axes as those of the network; a slice has no Z."""
    canonical = {"S": 0, "I": 0, "P": 1, "A": 1, "L": 2, "R": 2}
    own = enumerate(reversed(orientation_of(config)))
    return tuple(
        axis
        for axis, side in own
        if canonical[side] in config.mirror_axes and not (flat and axis == 0)
    )


def largest_patch(shape: Extent, spacing: Spacing, most: int) -> Extent:
    """The median case's shape, shrunk along its physically longest axis to `most` voxels."""
    patch = list(shape)
    while math.prod(patch) > max(most, 4**3):
        longest = max(
            (n * mm, axis) for axis, (n, mm) in enumerate(zip(patch, spacing, strict=True))
        )[1]
        patch[longest] = math.ceil(patch[longest] * 0.9) - 1 or 1
    return patch[0], patch[1], patch[2]


def fitting_network(
    patch: Extent, spacing: Spacing, config: TrainConfig, width: int
) -> NetworkConfig:
    """As deep as the patch allows; an axis is halved once the others have caught up with it."""
    flat = patch[0] == 1
    axes = (1, 2) if flat else (0, 1, 2)
    size, mm = [patch[axis] for axis in axes], [spacing[axis] for axis in axes]
    strides = [tuple(1 for _ in axes)]
    limit = len(config.features) or MOST_STAGES
    while len(strides) < limit:
        step = _next_stride(size, mm)
        if max(step) == 1:
            break
        size = [math.ceil(n / s) for n, s in zip(size, step, strict=True)]
        mm = [one * s for one, s in zip(mm, step, strict=True)]
        strides.append(step)
    if len(strides) < max(2, len(config.features)):
        raise TrainingError(
            f"must allow {limit if config.features else 2} stages of halving, got {patch}; "
            "give a larger one or fewer features",
            "patch",
        )
    widest = WIDEST[len(axes)]
    features = config.features or tuple(min(widest, width * 2**n) for n in range(len(strides)))
    return NetworkConfig(
        family=config.family,
        dims=len(axes),
        features=features,
        strides=tuple(strides),
        convs_per_stage=config.convs_per_stage,
        deep_supervision=config.deep_supervision,
    )


def _next_stride(size: Sequence[int], mm: Sequence[float]) -> tuple[int, ...]:
    """2 along the axes that are large enough and not much coarser than the finest of those."""
    able = [n >= 2 * SMALLEST_MAP for n in size]
    if not any(able):
        return tuple(1 for _ in size)
    finest = min(one for one, can in zip(mm, able, strict=True) if can)
    return tuple(2 if can and one <= 2 * finest else 1 for one, can in zip(mm, able, strict=True))


def _spacing(found: Fingerprint, config: TrainConfig) -> Spacing:
    """The config's, else the median; the 10th percentile where slices are thick, as in nnU-Net."""
    if config.spacing_mm:
        z, y, x = config.spacing_mm
        return z, y, x
    every = np.array(found.spacings_mm)
    median = np.median(every, axis=0)
    low = np.percentile(every, 10, axis=0)
    z, y, x = np.where(median > THICK * median.min(), np.maximum(low, median.min()), median)
    return float(z), float(y), float(x)


def _median_shape(found: Fingerprint, spacing: Spacing) -> Extent:
    if all(shape[0] == 1 for shape in found.shapes):
        spacing = (1.0, *spacing[1:])
        sizes = [(1.0, s[1] * mm[1], s[2] * mm[2]) for s, mm in _pairs(found)]
    else:
        sizes = [(s[0] * mm[0], s[1] * mm[1], s[2] * mm[2]) for s, mm in _pairs(found)]
    z, y, x = (round(float(n)) for n in np.median(np.array(sizes) / np.array(spacing), axis=0))
    return max(1, z), max(1, y), max(1, x)


def _pairs(found: Fingerprint) -> list[tuple[Extent, Spacing]]:
    return list(zip(found.shapes, found.spacings_mm, strict=True))


def _given_patch(config: TrainConfig) -> Extent | None:
    if not config.patch:
        return None
    z, y, x = config.patch
    return z, y, x


def _rounded(patch: Extent, network: NetworkConfig) -> Extent:
    """Up to a multiple of what the network halves."""
    stride = (1, *network.total_stride) if network.dims == 2 else network.total_stride
    z, y, x = (math.ceil(n / s) * s for n, s in zip(patch, stride, strict=True))
    return z, y, x


def _batch(patch: Extent, width: int, free_bytes: float, gpu: bool) -> int:
    """2 at least, as the batch Dice wants; more where a step stays small."""
    fits = int(ROOM * free_bytes / (math.prod(patch) * BYTES * width))
    most = 12 if gpu or patch[0] == 1 else 2
    return max(1, min(most, fits))
