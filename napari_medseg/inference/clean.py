"""A mask without specks and holes, label by label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.jobs import Job, Progress
from napari_medseg.preprocess.recipe import CleanRule
from napari_medseg.volume import Label, Mask

Bools = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.unsignedinteger[Any]]

ROUNDING = 1e-6  # voxels: a piece of just the smallest volume stays


def clean(mask: Mask, rules: Iterable[CleanRule]) -> Mask:
    """The mask cleaned; what goes becomes background, and only background is filled.

    First every label loses its pieces, then holes are filled: what a speck leaves is a hole.
    """
    labels = mask.labels.copy()
    clean_labels(labels, rules, mask.geometry.voxel_ml)
    return replace(mask, labels=labels)


def cleaned(mask: Mask, rules: Sequence[CleanRule]) -> Job[Mask]:
    """As `clean`, as a step of a prediction; without rules the mask as it is."""
    if not rules:
        return mask
    yield Progress(0, 0, "Cleaning the mask")
    return clean(mask, rules)


def clean_labels(labels: Labels, rules: Iterable[CleanRule], voxel_ml: float) -> None:
    """As `clean`, in place, of an array (Z, Y, X) whose voxels have `voxel_ml`."""
    boxes = dict(enumerate(ndimage.find_objects(labels), start=1))
    due = [(rule, boxes[rule.value]) for rule in rules if boxes.get(rule.value) is not None]
    for rule, box in due:
        region = labels[box] == rule.value
        kept = without_pieces(region, rule.keep_largest, rule.smallest_ml / voxel_ml - ROUNDING)
        labels[box][region & ~kept] = 0
    for rule, box in due:
        if rule.fill_holes:
            part = labels[box]
            part[filled(part == rule.value) & (part == 0)] = rule.value


def without_pieces(region: Bools, keep_largest: bool, smallest_voxels: float) -> Bools:
    """The region (Z, Y, X) without pieces below a size, or with its largest piece only."""
    if not keep_largest and smallest_voxels <= 1:
        return region
    pieces, sizes = pieces_of(region)
    return np.asarray(staying(sizes, keep_largest, smallest_voxels)[pieces])


def pieces_of(region: Bools) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Number of the connected piece of each voxel, 0 outside, and the pieces' voxels."""
    pieces, n = cc3d.connected_components(region, connectivity=26, return_N=True)
    sizes = np.bincount(pieces.reshape(-1), minlength=n + 1)
    sizes[0] = 0
    return pieces, sizes


def staying(sizes: npt.NDArray[np.int64], keep_largest: bool, smallest_voxels: float) -> Bools:
    """Which pieces of these voxels stay; piece 0 is what is outside and never does."""
    stays = np.asarray(sizes >= max(smallest_voxels, 1))
    if keep_largest:
        stays &= np.arange(len(sizes)) == np.argmax(sizes)
    return stays


def filled(region: Bools) -> Bools:
    """The region (Z, Y, X) and what it encloses; a single slice is filled in the plane."""
    flat = region.shape[0] == 1
    inside = ndimage.binary_fill_holes(region[0] if flat else region)
    return np.asarray(inside[None] if flat else inside)


def words(rules: Iterable[CleanRule], labels: Iterable[Label]) -> list[str]:
    """For each rule what it does: "lung: largest piece only, holes filled"."""
    names = {label.value: label.name for label in labels}
    return [f"{names.get(rule.value, rule.value)}: {', '.join(_does(rule))}" for rule in rules]


def _does(rule: CleanRule) -> Iterator[str]:
    if rule.keep_largest:
        yield "largest piece only"
    if rule.smallest_ml:
        yield f"no piece below {rule.smallest_ml:g} ml"
    if rule.fill_holes:
        yield "holes filled"
