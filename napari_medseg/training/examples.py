"""Corrected scans as lessons: only what a person vouches for is a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.correction.record import Example
from napari_medseg.errors import InputError, TrainingError
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.preprocess.prepare import (
    Prepared,
    as_read,
    outputs_of,
    prepare,
    prepare_mask,
    slices_of,
)
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson, lesson
from napari_medseg.volume import Mask

CONTEXT = 0.5  # of a patch, kept around the corrected voxels
LARGEST = 2.5  # patches along an axis that an exam looks at: it must end in seconds on a processor
FLAT_SLICES = 24  # likewise, slices of a 2-D network


def readable(examples: Sequence[Example], recipe: Recipe) -> Job[list[Example]]:
    """Those with the channels that the network reads, and a notice on each other one.

    Raises
    ------
    InputError
        None has.
    """
    found, refused = [], []
    for example in examples:
        try:
            as_read(example.volume, recipe)
        except InputError as error:
            refused.append(error)
        else:
            found.append(example)
    if refused and not found:
        raise refused[0]
    for one in refused:
        yield Notice(f"Left out, {one}")
    return found


def lessons_of(examples: Sequence[Example], recipe: Recipe, ignore: int) -> Job[list[Lesson]]:
    """The examples on the network's grid, cut to what was corrected and its surroundings.

    Raises
    ------
    TrainingError
        Nothing is corrected.
    """
    found: list[Lesson] = []
    for number, example in enumerate(examples):
        yield Progress(number, len(examples), "Preparing the corrected scans")
        if (one := _lesson(example, recipe, ignore, f"scan {number + 1}")) is not None:
            found.append(one)
    if not found:
        raise TrainingError(
            "at least one voxel must be corrected or confirmed, none is; correct a slice first"
        )
    return found


def strange_values(examples: Sequence[Example], recipe: Recipe, ignore: int) -> list[str]:
    """What to say of mask values that a person vouches for and the model does not know."""
    values: set[int] = set()
    for example in examples:
        values |= {int(v) for v in np.unique(example.mask.labels[example.confirmed])}
    strange = sorted(values - set(recipe.values) - {ignore, IGNORE})
    return [f"The model does not know label {one}: its voxels teach nothing" for one in strange]


def exam_box(one: Lesson, recipe: Recipe) -> Lesson:
    """The lesson cut to what is known and its surroundings, to a size that is scored in seconds."""
    limits = [FLAT_SLICES if tile == 1 else math.ceil(LARGEST * tile) for tile in recipe.patch]
    known = one.target != IGNORE
    marked = known & (one.target > 0)
    at = (marked if bool(marked.any()) else known).nonzero().float().median(0).values
    box: list[slice] = []
    for near, limit, middle in zip(
        _surroundings(one.target, recipe.patch), limits, at.tolist(), strict=True
    ):
        start, stop = near.start, min(near.stop, one.target.shape[len(box)])
        if stop - start > limit:
            start = min(max(start, int(middle) - limit // 2), stop - limit)
            stop = start + limit
        box.append(slice(start, stop))
    z, y, x = box
    return replace(
        one,
        image=one.image[:, z, y, x],
        target=one.target[z, y, x],
        left=None if one.left is None else one.left[z, y, x],
        planes=one.planes[z],
    )


def _lesson(example: Example, recipe: Recipe, ignore: int, name: str) -> Lesson | None:
    """None if nothing in it is known."""
    mask = Mask(vouched(example, ignore), example.mask.geometry)
    prepared = prepare(example.volume, recipe)
    target = prepare_mask(mask, prepared, recipe)
    if not bool((target != IGNORE).any()):
        return None
    box = _surroundings(target, recipe.patch)
    name = example.volume.name or name
    subject = example.subject or name
    one = lesson(name, prepared.tensor[(slice(None), *box)].clone(), target[box].clone(), subject)
    labels = example.mask.labels
    whole = np.where(labels != ignore, labels, np.asarray(IGNORE, dtype=labels.dtype))
    left = prepare_mask(Mask(whole, example.mask.geometry), prepared, recipe)[box].clone()
    start = box[0].start, box[1].start, box[2].start
    planes, reach = _planes(mask, prepared, recipe)
    return replace(one, start=start, left=left, planes=planes[box[0]], reach=reach)


def _planes(
    mask: Mask, prepared: Prepared, recipe: Recipe
) -> tuple[tuple[tuple[int, ...], ...], int]:
    """As `planes` and `reach` of a lesson, of the whole scan."""
    made_of = slices_of(prepared, recipe)
    voxels = prepared.turn.apply(outputs_of(mask.labels, recipe) != IGNORE)
    known = np.asarray(voxels.any((1, 2)))
    planes = tuple(tuple(n for n in one if known[n]) for one in made_of)
    thicker = len(made_of) < made_of[-1].stop - made_of[0].start
    return planes, max(map(len, made_of)) - 1 if thicker else 0


def vouched(example: Example, ignore: int) -> npt.NDArray[np.unsignedinteger]:
    """The labels, 255 where nobody vouches for them."""
    labels = example.mask.labels
    known = example.confirmed & (labels != ignore)
    return np.where(known, labels, np.asarray(IGNORE, dtype=labels.dtype))


def _surroundings(target: torch.Tensor, patch: Sequence[int]) -> tuple[slice, slice, slice]:
    """The box of the known voxels, half a patch wider on each side."""
    at = (target != IGNORE).nonzero()
    low, high = at.min(0).values.tolist(), at.max(0).values.tolist()
    z, y, x = (
        slice(max(0, a - math.ceil(CONTEXT * size)), b + 1 + math.ceil(CONTEXT * size))
        for a, b, size in zip(low, high, patch, strict=True)
    )
    return z, y, x
