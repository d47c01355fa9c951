"""How good a network is on cases that it never learnt from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from napari_medseg.inference.engine import TorchEngine
from napari_medseg.inference.forward import Forward, cut
from napari_medseg.inference.regrid import painted, winners
from napari_medseg.inference.tiles import Tiling
from napari_medseg.preprocess.pad import margin, padded
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson, doubted_from

OVERLAP = 0.5  # as a prediction does it
DOUBT = 0.3  # weight of a difference from what nobody vouches for, but somebody saw and left
LACKING = 0.5  # of a structure's voxels, beside those corrected; half wrong is a Dice of 0.75
Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Exam:
    """Scores by label name, mean over the cases that have the label."""

    dice: Mapping[str, float]
    jaccard: Mapping[str, float]
    cases: tuple[Mapping[str, float], ...] = ()  # Dice of each case

    @property
    def mean(self) -> float:
        """Mean Dice of the labels that could be scored; 0 if none could."""
        known = [score for score in self.dice.values() if not np.isnan(score)]
        return float(np.mean(known)) if known else 0.0


def examine(
    network: nn.Module, lessons: Sequence[Lesson], recipe: Recipe, device: torch.device, half: bool
) -> Iterator[Exam | None]:
    """Yields None after each case, and last the scores; 255 in a target counts nowhere."""
    counts = []
    for lesson in lessons:
        labels = segmented(network, lesson.image.float(), recipe, device, half)
        counts.append(overlap_counts(labels, lesson.target, len(recipe.values)))
        yield None
    yield scores(counts, recipe)


def segmented(
    network: nn.Module, image: torch.Tensor, recipe: Recipe, device: torch.device, half: bool
) -> torch.Tensor:
    """Output numbers uint8 (Z, Y, X) of an image (C, Z, Y, X), tiled as a prediction is."""
    logits = blended(network, image, recipe, device, half)
    return (painted if recipe.regions else winners)(logits).to(torch.uint8)


def blended(
    network: nn.Module, image: torch.Tensor, recipe: Recipe, device: torch.device, half: bool
) -> torch.Tensor:
    """Logits float32 (L, Z, Y, X) of a whole image (C, Z, Y, X), tiled as a prediction is."""
    forward = Forward([TorchEngine(network, device, recipe.patch[0] == 1, half)])
    tensor = padded(image, recipe.patch, zeros=recipe.nnunet is not None)
    z, y, x = tensor.shape[1:]
    tiling = Tiling.over((z, y, x), recipe.patch, OVERLAP)
    total = torch.zeros(recipe.n_outputs, z, y, x)
    shares = [tiling.shares(axis) for axis in range(3)]
    for a, b, c in itertools.product(*tiling.starts):
        logits = forward(cut(tensor, (a, b, c), recipe.patch)).cpu()
        weight = torch.from_numpy(
            shares[0][a][:, None, None] * shares[1][b][:, None] * shares[2][c]
        )
        box = tuple(slice(s, s + n) for s, n in zip((a, b, c), recipe.patch, strict=True))
        total[(slice(None), *box)] += logits * weight
    first = [margin(n, tile) for n, tile in zip(image.shape[1:], recipe.patch, strict=True)]
    inside = tuple(slice(s, s + n) for s, n in zip(first, image.shape[1:], strict=True))
    return total[(slice(None), *inside)]


def overlap_counts(labels: torch.Tensor, target: torch.Tensor, n_outputs: int) -> Counts:
    """(L, 3): voxels in both, in the prediction, in the target; where the target is known.

    Where it is doubted a difference may be right as well as wrong, and counts little. Beyond what
    a mask that needs correcting can lack it counts as wrong: so nothing is won by painting all.
    """
    first = doubted_from(n_outputs)
    sure, doubted = target < first, (target >= first) & (target != IGNORE)
    counts = _counts(labels, target, sure, n_outputs)
    if not bool(doubted.any()):
        return counts
    believed = target - first
    differ = int((doubted & (labels != believed)).sum())
    corrected = int(sure[doubted.flatten(1).any(1)].sum())
    lacking = corrected + int(LACKING * int((doubted & (believed > 0)).sum()))
    beyond = max(0, differ - lacking)
    weight = (DOUBT * (differ - beyond) + beyond) / max(1, differ)
    counts += weight * _counts(labels, believed, doubted, n_outputs)
    counts += (1 - weight) * _counts(believed, believed, doubted, n_outputs)
    return counts


def _counts(
    labels: torch.Tensor, target: torch.Tensor, where: torch.Tensor, n_outputs: int
) -> Counts:
    a, b = labels[where].long(), target[where].long()
    joint = torch.bincount(a * n_outputs + b, minlength=n_outputs**2).reshape(n_outputs, -1)
    return torch.stack([joint.diagonal(), joint.sum(1), joint.sum(0)], 1).double().numpy()


def scores(counts: Sequence[Counts], recipe: Recipe) -> Exam:
    """Dice and Jaccard of each label, mean over cases; nan where no case has the label."""
    if not counts:
        nothing = {label.name: float("nan") for label in recipe.labels}
        return Exam(nothing, nothing)
    table = np.stack(counts)[:, 1:]  # cases, labels, 3
    both, sizes = table[..., 0], table[..., 1] + table[..., 2]
    with np.errstate(invalid="ignore"):
        dice, jaccard = 2 * both / sizes, both / (sizes - both)
    names = [label.name for label in recipe.labels]
    cases = tuple(dict(zip(names, map(float, row), strict=True)) for row in dice)
    return Exam(_by_name(names, dice), _by_name(names, jaccard), cases)


def _by_name(names: Sequence[str], table: npt.NDArray[np.float64]) -> dict[str, float]:
    """Mean of each column (cases, labels), empty cases left out."""
    known = ~np.isnan(table)
    n = known.sum(0)
    total = np.where(known, table, 0).sum(0)
    return {name: float(total[k] / n[k]) if n[k] else float("nan") for k, name in enumerate(names)}
