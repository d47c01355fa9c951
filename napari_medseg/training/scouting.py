"""Whether a coarse look may decide what is computed closely: only if it misses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from napari_medseg.inference.engine import TorchEngine
from napari_medseg.inference.forward import Forward
from napari_medseg.inference.scout import scout, worth_looking
from napari_medseg.jobs import Job, Notice, Progress, finish
from napari_medseg.preprocess.pad import margin
from napari_medseg.preprocess.prepare import coarser, voted
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson, lesson

MISSED = 0.001  # share of a case's labelled voxels that may lie outside of what was found


def coarse_lesson(one: Lesson, factor: float) -> Lesson:
    """The case in voxels that are `factor` times larger."""
    image = coarser(one.image, factor)
    target = voted(one.target, (image.shape[1], image.shape[2], image.shape[3]))
    return lesson(one.name, image.to(one.image.dtype), target, one.subject)


def checked(
    network: nn.Module, held: Sequence[Lesson], recipe: Recipe, device: torch.device, half: bool
) -> Job[Recipe]:
    """The recipe; without the coarse look if that misses a part of a label in a held-back case."""
    if recipe.scout <= 1:
        return recipe
    forward = Forward([TorchEngine(network, device, False, half)])
    for number, one in enumerate(held):
        yield Progress(number, len(held), "Trying the coarse look at the whole")
        missed = _missed(one, recipe, forward)
        if missed > MISSED:
            yield Notice(
                "Predictions will compute whole scans: a coarse look misses "
                f"{missed:.1%} of the labels of a held-back case"
            )
            return replace(recipe, scout=1.0)
    return recipe if held else replace(recipe, scout=1.0)


def _missed(one: Lesson, recipe: Recipe, forward: Forward) -> float:
    """Share of the labelled voxels that lie in no box that would be computed."""
    seen = finish(scout(one.image.float(), recipe, recipe.patch, forward))
    d, h, w = one.target.shape
    boxes = worth_looking(seen.found, (d, h, w), recipe.patch, 0.5, always=True) or []
    z, y, x = (margin(n, t) for n, t in zip((d, h, w), recipe.patch, strict=True))
    labelled = ((one.target != 0) & (one.target != IGNORE)).numpy()
    held = np.zeros_like(labelled)
    for box in boxes:
        a, b, c = (
            slice(max(0, span.start - m), max(0, span.stop - m))
            for span, m in zip(box, (z, y, x), strict=True)
        )
        held[a, b, c] = True
    return float((labelled & ~held).sum() / max(1, labelled.sum()))
