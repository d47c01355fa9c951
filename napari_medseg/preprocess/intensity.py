"""Intensities: finite, denoised, near zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.preprocess.recipe import Denoise, Normalise, Recipe

Floats = npt.NDArray[np.floating[Any]]

SAMPLES = 2_000_000  # voxels that statistics look at; more change no digit that matters
PADDING_SHARE = 0.005  # of the voxels, before a lone lowest value is taken for padding
FEW_VALUES = 16  # an image of fewer is a drawing or a mask, its lowest value is meant
DENOISE_MM_RATIO = 2.0  # an axis this much coarser than the finest is left out of the filter


def normalised(image: npt.NDArray[Any], recipe: Recipe, spacing_mm: tuple[float, ...]) -> Floats:
    """One channel (Z, Y, X) as finite float32, denoised and normalised as the recipe says."""
    if recipe.normalise.foreign:
        return _as_taught(finite(image), recipe)
    clean = without_padding(finite(image))
    smooth = denoised(clean, recipe.denoise, spacing_mm)
    if recipe.normalise is Normalise.CT_WINDOW:
        low, high = recipe.window
        return ((np.clip(smooth, low, high) - low) * (2.0 / (high - low)) - 1.0).astype(np.float32)
    low, high = np.percentile(_sample(smooth), recipe.percentiles)
    clipped = np.clip(smooth, low, high)
    if recipe.normalise is Normalise.Z_SCORE:
        part = _sample(clipped)
        return _scaled(clipped, float(part.mean()), float(part.std()))
    unit = _scaled(clipped, float(low), float(high - low))
    return unit if recipe.normalise is Normalise.ZERO_ONE else unit * 2.0 - 1.0


def _as_taught(image: Floats, recipe: Recipe) -> Floats:
    """As the program did that trained the model: every voxel counts, none is taken for padding."""
    if recipe.normalise is Normalise.MEAN_STD:
        inside = image != 0 if recipe.nonzero else np.ones(image.shape, dtype=np.bool_)
        if not inside.any():
            return image.astype(np.float32)
        part = image[inside]
        return np.where(inside, _scaled(image, float(part.mean()), float(part.std())), image)
    by_range = recipe.normalise is Normalise.RANGE
    low, high = recipe.window if by_range else np.percentile(image, recipe.percentiles)
    bottom, top = recipe.onto
    scaled = _scaled(image, float(low), float(high - low)) * (top - bottom) + bottom
    return np.asarray(np.clip(scaled, bottom, top)) if recipe.clip else scaled


def finite(image: npt.NDArray[Any]) -> Floats:
    """As floats, NaN and infinities replaced by the lowest finite value."""
    wide = image.dtype.itemsize > 4 or (image.dtype.kind in "iu" and image.dtype.itemsize == 4)
    values: Floats = image.astype(np.float64 if wide else np.float32)
    if image.dtype.kind == "f":
        good = np.isfinite(values)
        if not good.all():
            values[~good] = values[good].min() if good.any() else 0.0
    return values


def without_padding(image: Floats) -> Floats:
    """Raise the fill value outside the field of view to the lowest real one.

    Scanners fill with a number far below all others (-2000, -32768); it would own the percentiles.
    Taken for padding: the lowest value of many, if it is frequent and its distance to the next one
    is more than half of the range of all others (to their 99.5th percentile).
    """
    sample = _sample(image)
    lowest = sample.min()
    rest = sample[sample > lowest]
    if rest.size == 0 or 1 - rest.size / sample.size < PADDING_SHARE:
        return image
    floor, top = rest.min(), np.percentile(rest, 99.5)
    if 2 * (floor - lowest) <= top - floor or np.unique(rest).size < FEW_VALUES:
        return image
    return np.where(image <= lowest, floor, image)


def denoised(image: Floats, kind: Denoise, spacing_mm: tuple[float, ...]) -> Floats:
    """Filtered 3 voxels wide, along the axes that are about as fine as the finest."""
    if kind is Denoise.NONE:
        return image
    finest = min(mm for mm, n in zip(spacing_mm, image.shape, strict=True) if n > 1)
    near = [
        mm <= DENOISE_MM_RATIO * finest and n > 1
        for mm, n in zip(spacing_mm, image.shape, strict=True)
    ]
    if kind is Denoise.GAUSSIAN:
        return np.asarray(ndimage.gaussian_filter(image, [0.7 * on for on in near]))
    size = [3 if on else 1 for on in near]
    smooth = ndimage.median_filter if kind is Denoise.MEDIAN else ndimage.uniform_filter
    return np.asarray(smooth(image, size))


def _scaled(image: Floats, centre: float, width: float) -> Floats:
    return ((image - centre) / (width if width > 0 else 1.0)).astype(np.float32)


def _sample(image: Floats) -> Floats:
    step = max(1, image.size // SAMPLES)
    return np.asarray(image.reshape(-1)[::step])
