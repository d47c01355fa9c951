"""Whether a coarse look may decide what is computed closely: only if it misses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cc3d
import numpy as np
import numpy.typing as npt
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

FEWEST = 3  # held-back cases with labels; fewer prove too little
MISSED = 0.02  # share of a connected piece of a label that may lie outside of what was found


def coarse_lesson(one: Lesson, factor: float) -> Lesson:
    """The case in voxels that are `factor` times larger."""
    image = coarser(one.image, factor)
    target = voted(one.target, (image.shape[1], image.shape[2], image.shape[3]))
    return lesson(one.name, image.to(one.image.dtype), target, one.subject)


def checked(
    network: nn.Module, held: Sequence[Lesson], recipe: Recipe, device: torch.device, half: bool
) -> Job[Recipe]:
    """The recipe; without the coarse look if that misses a piece of a label in a held-back case.

    However small: a lesion that is nowhere near anything found would never be computed.
    """
    if recipe.scout <= 1:
        return recipe
    forward = Forward([TorchEngine(network, device, False, half)])
    for number, one in enumerate(held):
        yield Progress(number, len(held), "Trying the coarse look at the whole")
        missed = _missed(one, recipe, forward)
        if missed > MISSED:
            yield Notice(
                "Predictions will compute whole scans: a coarse look misses "
                f"{missed:.0%} of a piece of a label in a held-back case"
            )
            return replace(recipe, scout=1.0)
    shown = sum(bool(_labelled(one).any()) for one in held)
    return recipe if shown >= FEWEST else replace(recipe, scout=1.0)


def _missed(one: Lesson, recipe: Recipe, forward: Forward) -> float:
    """Largest share of a piece of a label that lies in no box that would be computed."""
    seen = finish(scout(one.image.float(), recipe, recipe.patch, forward))
    d, h, w = one.target.shape
    boxes = worth_looking(seen.found, (d, h, w), recipe.patch, 0.5, always=True) or []
    z, y, x = (margin(n, t) for n, t in zip((d, h, w), recipe.patch, strict=True))
    held = np.zeros((d, h, w), dtype=np.bool_)
    for box in boxes:
        a, b, c = (
            slice(max(0, span.start - m), max(0, span.stop - m))
            for span, m in zip(box, (z, y, x), strict=True)
        )
        held[a, b, c] = True
    pieces = cc3d.connected_components(_labelled(one), connectivity=26)
    sizes, outside = np.bincount(pieces.ravel()), np.bincount(pieces[~held].ravel())
    missed = np.zeros(len(sizes))
    missed[: len(outside)] = outside
    return float((missed[1:] / sizes[1:]).max(initial=0.0))


def _labelled(one: Lesson) -> npt.NDArray[np.uint8]:
    """The target (Z, Y, X); 0 also where nobody knows."""
    target = one.target.numpy()
    return np.where(target == IGNORE, 0, target).astype(np.uint8)
