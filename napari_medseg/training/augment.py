"""Patches as the next scanner and the next patient would show them.

The transforms and their strengths are nnU-Net's (`batchgeneratorsv2`); `strength` scales how often
each of them is applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform

from napari_medseg.training.config import IGNORE

ROTATION = np.pi / 6  # either way, about each axis
SCALING = (0.7, 1.4)
THICK = 3.0  # patches whose axes differ more are turned in plane only
MARGIN = 1.4  # of the patch, read around it so that turning it brings in the scan, not padding


def augmentation(
    patch: tuple[int, ...], mirror_axes: tuple[int, ...], strength: float
) -> BasicTransform:
    """The chain for patches of this shape, (Z, Y, X) or (Y, X); 255 is unknown in their target."""
    chain = [_spatial(patch, strength)]
    if strength > 0:
        chain += [
            RandomTransform(transform, min(1.0, chance * strength))
            for transform, chance in _intensities()
        ]
        if mirror_axes:
            first = 3 - len(patch)  # axis 1 of the scan is axis 0 of a slice
            chain.append(MirrorTransform(tuple(axis - first for axis in mirror_axes)))
    return ComposeTransforms(chain)


def margin_of(patch: tuple[int, ...], strength: float) -> tuple[int, ...]:
    """Shape of the box to cut around a patch, so that it can be turned."""
    return tuple(n if n == 1 or strength == 0 else int(np.ceil(n * MARGIN)) for n in patch)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Make the global generators of numpy and torch start here; they go on as before afterwards.

    The transforms know no other source of chance.
    """
    before: Any = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


def _spatial(patch: tuple[int, ...], strength: float) -> BasicTransform:
    return SpatialTransform(
        patch,
        0,
        random_crop=False,
        p_elastic_deform=min(1.0, 0.1 * strength),
        elastic_deform_scale=(0.1, 0.25),
        elastic_deform_magnitude=(0.0, 0.06 * min(patch[-2:])),
        p_rotation=min(1.0, 0.25 * strength),
        rotation=_angle if _is_thick(patch) else (-ROTATION, ROTATION),
        p_scaling=min(1.0, 0.2 * strength),
        scaling=SCALING,
        p_synchronize_scaling_across_axes=0.6,
        padding_mode_image="reflection",
        border_mode_seg="constant",
        padding_value_seg=IGNORE,
    )


def _is_thick(patch: tuple[int, ...]) -> bool:
    return len(patch) == 3 and max(patch) / min(patch) > THICK


def _angle(dim: int, **_: object) -> float:
    """A turn within the slices (about axis Z) only."""
    return float(np.random.uniform(-np.pi, np.pi)) / 2 if dim == 0 else 0.0


def _intensities() -> list[tuple[BasicTransform, float]]:
    """Each transform and how often it is applied at strength 1."""
    shared: dict[str, Any] = {"synchronize_channels": False, "p_per_channel": 1}
    contrast = BGContrast((0.75, 1.25))
    return [
        (GaussianNoiseTransform((0, 0.1), 1, True), 0.1),
        (GaussianBlurTransform((0.5, 1.0), False, False, p_per_channel=0.5, benchmark=False), 0.2),
        (MultiplicativeBrightnessTransform(BGContrast((0.75, 1.25)), **shared), 0.15),
        (ContrastTransform(contrast, preserve_range=True, **shared), 0.15),
        (SimulateLowResolutionTransform((0.5, 1), False, True, None, p_per_channel=0.5), 0.25),
        (GammaTransform(BGContrast((0.7, 1.5)), 1, False, 1, 1), 0.1),  # inverted
        (GammaTransform(BGContrast((0.7, 1.5)), 0, False, 1, 1), 0.3),
    ]
