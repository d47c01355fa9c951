"""Whether a coarse look may decide what is computed closely: only if it misses nothing.

And whether it may stand where it is sure: only if the masks are as good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import cc3d
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from napari_medseg.inference.borders import Borders
from napari_medseg.inference.engine import TorchEngine
from napari_medseg.inference.forward import Forward
from napari_medseg.inference.narrow import narrowed
from napari_medseg.inference.result import Result, View
from napari_medseg.inference.scout import scout, worth_looking
from napari_medseg.inference.sweep import Sweep
from napari_medseg.inference.tiles import Extent
from napari_medseg.jobs import Job, Notice, Progress, finish
from napari_medseg.preprocess.pad import margin
from napari_medseg.preprocess.prepare import Prepared, coarser, voted
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson, lesson
from napari_medseg.training.validate import OVERLAP, Counts, overlap_counts, scores
from napari_medseg.volume import Geometry, Label, Reorientation, Volume

CPU = torch.device("cpu")  # where the tiles are blended
UNBOUNDED = 1e18  # bytes: a case that was trained on fits
FEWEST = 3  # held-back cases with labels; fewer prove too little
WORSE = 0.002  # mean Dice of a label that computing borders alone may cost
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

    However small: a lesion that is nowhere near anything found would never be computed. With
    `borders` if the masks are also as good where only borders are computed.
    """
    recipe = replace(recipe, borders=False)
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
    if shown < FEWEST:
        return replace(recipe, scout=1.0)
    label, drop = yield from _cost_of_borders(held, recipe, forward)
    if drop > WORSE:
        yield Notice(
            "Predictions will compute more than borders: in the held-back cases borders alone "
            f"cost {drop:.3f} Dice of {label}"
        )
    return replace(recipe, borders=drop <= WORSE)


def _cost_of_borders(
    held: Sequence[Lesson], recipe: Recipe, forward: Forward
) -> Job[tuple[str, float]]:
    """The label that loses most where borders alone are computed, and how much of its mean Dice."""
    n = len(recipe.values)
    counts: tuple[list[Counts], list[Counts]] = ([], [])
    for number, one in enumerate(held):
        yield Progress(number, len(held), "Trying to compute borders alone")
        for kept, labels in zip(counts, both_ways(one, recipe, forward), strict=True):
            kept.append(overlap_counts(torch.from_numpy(labels), one.target, n))
    whole, rough = (scores(one, recipe).dice for one in counts)
    drops = {name: whole[name] - rough[name] for name in whole if not math.isnan(whole[name])}
    return max(drops.items(), key=lambda item: item[1])


def both_ways(
    one: Lesson, recipe: Recipe, forward: Forward
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Output numbers (Z, Y, X) of a case: all of it computed, and borders alone."""
    numbered = tuple(Label(n, one.name) for n, one in enumerate(recipe.labels, start=1))
    recipe = replace(recipe, labels=numbered)
    d, h, w = one.target.shape
    geometry = Geometry.from_spacing((d, h, w))
    prepared = Prepared(one.image.float(), Reorientation.to(geometry, "LPS"), geometry)
    view, n = View(0, 0), recipe.n_outputs
    full = Sweep.plan(prepared, recipe.patch, OVERLAP, view, n, forward.n_maps(n), UNBOUNDED)
    seen = finish(scout(prepared.tensor, recipe, recipe.patch, forward))
    near = narrowed(full, seen.found, (d, h, w), OVERLAP, view, always=False) or full
    borders = Borders(near, seen, (d, h, w), recipe.patch).tiles(forward, CPU)
    return _labels(full, recipe, forward), _labels(near, recipe, forward, borders)


def _labels(
    sweep: Sweep,
    recipe: Recipe,
    forward: Forward,
    tile: Callable[[Extent], torch.Tensor] | None = None,
) -> npt.NDArray[np.uint8]:
    """The labels (Z, Y, X) that a sweep over a grid of its own gives."""
    z, y, x = (len(one.lower) for one in sweep.maps)
    scan = Volume(np.zeros((z, y, x), np.uint8), Geometry.from_spacing((z, y, x)))
    result = Result(scan, Reorientation.to(scan.geometry, "LPS"), recipe, keep_softmax=False)
    for _ in sweep.run(forward, CPU, result, View(sweep.axis, 0), tile=tile):
        pass
    return result.mask().labels.astype(np.uint8)


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
