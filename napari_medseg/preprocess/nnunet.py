"""Scan to tensor as nnU-Net v2 does it (`DefaultPreprocessor`), to its rounding errors.

Order: the file's axes, transposed; crop to the non-zero box; normalise; resample. See Isensee et
al. 2021 and nnU-Net 2.8, whose results the functions here repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from scipy import ndimage
from skimage.transform import resize

from napari_medseg.preprocess.intensity import finite
from napari_medseg.preprocess.nnunet_plan import Intensity, NnUNetPlan, Resampling, Resize, Scheme
from napari_medseg.volume import Geometry, Reorientation, Volume

Box = tuple[slice, slice, slice]
Shape = tuple[int, int, int]
Floats = npt.NDArray[np.float32]

THICK = 3.0  # times the finest axis: nnU-Net's ANISO_THRESHOLD
EPS = 1e-8  # nnU-Net's least standard deviation


def as_nnunet(
    volume: Volume,
    plan: NnUNetPlan,
    orientation: str,
    spacing_mm: Sequence[float],
    previous: npt.NDArray[np.unsignedinteger] | None = None,
) -> tuple[torch.Tensor, Reorientation, Box, int | None]:
    """The tensor that nnU-Net would make.

    Parameters
    ----------
    spacing_mm
        (Z, Y, X) of the network, or (Y, X) of one that leaves the slices as they are.
    previous
        The labels (Z, Y, X) of the stage before, on the scan's grid.

    Returns
    -------
    tensor
        float32 (C, Z, Y, X).
    turn
        From the scan's axes to the network's.
    box
        The part of the turned scan that is not zero: the tensor's field of view.
    nearest
        The axis along which logits go back to the nearest plane; None: linear along all.
    """
    turn = network_axes(volume.geometry, plan, orientation)
    data = np.array(finite(turn.apply(volume.array)), np.float32)
    data = data.reshape(-1, *turn.target.shape)
    seen = ndimage.binary_fill_holes((data != 0).any(0))
    box = bounding_box(seen)
    stage = None if previous is None else turn.apply(previous)[box]
    seen = seen[box] if stage is None else seen[box] | (stage > 0)
    rows = [intensity(one[box], how, seen) for one, how in zip(data, plan.channels, strict=True)]
    old_mm = turn.target.spacing_mm
    new_mm = (old_mm[0], *spacing_mm) if len(spacing_mm) == 2 else tuple(spacing_mm)
    shape = new_shape(seen.shape, old_mm, new_mm)
    parts = [resampled(row, shape, plan.data, old_mm, new_mm) for row in rows]
    if stage is not None:
        labels = resampled_labels(stage, shape, plan.data, old_mm, new_mm)
        parts += [(labels == n).astype(np.float32) for n in range(1, plan.previous + 1)]
    nearest = separate_axis(plan.logits, new_mm, old_mm)
    return torch.from_numpy(np.stack(parts)), turn, box, nearest


def network_axes(geometry: Geometry, plan: NnUNetPlan, orientation: str) -> Reorientation:
    """From the file's axes to the order that the network sees; flipped only if the plan says so."""
    if plan.reorient:
        first = Reorientation.to(geometry, orientation)
    else:
        first = Reorientation(geometry, geometry, (0, 1, 2), (False, False, False))
    z, y, x = plan.transpose
    order_xyz = [2 - axis for axis in (x, y, z)]
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1.0
    for column, row in enumerate(order_xyz):
        matrix[row, column] = 1.0
    shape = first.target.shape
    target = Geometry((shape[z], shape[y], shape[x]), first.target.affine @ matrix)
    axes = (first.axes[z], first.axes[y], first.axes[x])
    return Reorientation(geometry, target, axes, (first.flips[z], first.flips[y], first.flips[x]))


def bounding_box(seen: npt.NDArray[np.bool_]) -> Box:
    """The smallest box with all that is True; the whole if nothing is."""
    if not seen.any():
        z, y, x = (slice(0, n) for n in seen.shape)
        return z, y, x
    z, y, x = ndimage.find_objects(seen.astype(np.uint8))[0]
    return z, y, x


def part_of(geometry: Geometry, box: Box) -> Geometry:
    """The grid of the voxels in the box."""
    z, y, x = (part.start for part in box)
    shift = np.eye(4)
    shift[:3, 3] = (x, y, z)
    d, h, w = (part.stop - part.start for part in box)
    return Geometry((d, h, w), geometry.affine @ shift)


def intensity(image: Floats, how: Intensity, seen: npt.NDArray[np.bool_]) -> Floats:
    """One channel (Z, Y, X) normalised; `seen` is what is not the zero background."""
    image = np.array(image)
    if how.scheme is Scheme.CT:
        clipped = np.clip(image, how.low, how.high)
        clipped -= how.mean
        clipped /= max(how.std, EPS)
        return clipped
    if how.scheme is Scheme.Z_SCORE:
        inside = seen if how.masked else np.ones(image.shape, np.bool_)
        values = image[inside] if how.masked else image
        if values.size:
            image[inside] = ((values - values.mean()) / max(values.std(), EPS)).reshape(-1)
        return image
    if how.scheme is Scheme.UNIT:
        image -= image.min()
        image /= max(float(image.max()), EPS)
    elif how.scheme is Scheme.RGB:
        image /= 255.0
    return image


def new_shape(shape: Sequence[int], old_mm: Sequence[float], new_mm: Sequence[float]) -> Shape:
    """Voxels at the new spacing; at least one along each axis."""
    d, h, w = (
        max(1, round(old / new * n)) for old, new, n in zip(old_mm, new_mm, shape, strict=True)
    )
    return d, h, w


def separate_axis(how: Resampling, old_mm: Sequence[float], new_mm: Sequence[float]) -> int | None:
    """The axis that takes the nearest plane; None where all are interpolated.

    It is the coarsest one of the old spacing, or of the new one if only that is anisotropic.
    """
    if how.separate is False:
        return None
    for spacing in (old_mm, new_mm):
        if how.separate or max(spacing) / min(spacing) > THICK:
            coarsest = [axis for axis, mm in enumerate(spacing) if max(spacing) / mm == 1]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def nearest_planes(n: int, size: int) -> npt.NDArray[np.int64]:
    """For each of `n` planes over the same extent the one of `size` planes that holds its middle.

    Halves go up, as in `scipy.ndimage.map_coordinates` of order 0.
    """
    points = size / n * (np.arange(n) + 0.5) - 0.5
    return np.asarray(np.clip(np.floor(points + 0.5), 0, size - 1), dtype=np.int64)


def resampled(
    image: Floats,
    shape: Shape,
    how: Resampling,
    old_mm: Sequence[float],
    new_mm: Sequence[float],
) -> Floats:
    """One channel (Z, Y, X) on another number of voxels over the same field of view."""
    if image.shape == shape:
        return image
    axis = separate_axis(how, old_mm, new_mm)
    if axis is None:
        return _resized(image, shape, how)
    planes = np.moveaxis(image, axis, 0)
    flat = tuple(n for a, n in enumerate(shape) if a != axis)
    pick = nearest_planes(shape[axis], image.shape[axis])
    used = {int(k): _resized(planes[k], flat, how) for k in np.unique(pick)}
    return np.moveaxis(np.stack([used[int(k)] for k in pick]), 0, axis)


def _resized(image: Floats, shape: Sequence[int], how: Resampling) -> Floats:
    """Two or three axes interpolated."""
    if how.by is Resize.TORCH:
        mode = "bilinear" if image.ndim == 2 else "trilinear"
        tensor = torch.from_numpy(np.ascontiguousarray(image))[None, None]
        return np.asarray(F.interpolate(tensor, size=list(shape), mode=mode)[0, 0].numpy())
    wide = image.astype(np.float64)
    smooth = resize(wide, shape, how.order, mode="edge", anti_aliasing=False)
    return np.asarray(smooth, dtype=np.float32)


def resampled_labels(
    labels: npt.NDArray[np.unsignedinteger],
    shape: Shape,
    how: Resampling,
    old_mm: Sequence[float],
    new_mm: Sequence[float],
) -> npt.NDArray[np.unsignedinteger]:
    """Labels (Z, Y, X) on another number of voxels: where the linear share of one is half."""
    linear = Resampling(how.by, 1, how.separate)
    out = np.zeros(shape, labels.dtype)
    for value in np.unique(labels):
        share = resampled((labels == value).astype(np.float32), shape, linear, old_mm, new_mm)
        out[share >= 0.5] = value
    return out
