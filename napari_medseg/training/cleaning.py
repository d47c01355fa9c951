"""Which specks and holes of a model's masks are always wrong: learned from validation cases.

A rule is adopted where it raises the label's mean Dice, as nnU-Net decides on its largest component
(Isensee et al. 2021). Beyond that: it helps at least as many cases as it harms, and leaves the
truth of every case as it is, so that lungs keep both parts even where a model found only one. A
rule cannot change another label's score: all that it does is between its label and background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.correction.record import Example
from napari_medseg.inference.clean import ROUNDING, clean_labels, filled, pieces_of, staying, words
from napari_medseg.jobs import Job, Progress
from napari_medseg.preprocess.recipe import CleanRule, Recipe
from napari_medseg.training.config import IGNORE

FEWEST_CASES = 3  # fewer say nothing of the next one
SMALLEST_GAIN = 0.001  # of the mean Dice; less is noise
TRUTH_KEPT = 0.99  # Dice of a case's truth with itself cleaned: annotators leave specks too
QUANTILES = (0.5, 0.75, 0.9, 1.0)  # of the wrong pieces' sizes
ABOVE = 1.05  # a smallest size is so much above the piece that it is meant for

Outputs = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pair:
    """What a model found in a case and what is true, as output numbers uint8 (Z, Y, X).

    255 in `truth` is known to nobody.
    """

    found: Outputs
    truth: Outputs


@dataclass(frozen=True)
class Learned:
    """The rules, and a sentence for each on what it does and gains."""

    rules: tuple[CleanRule, ...] = ()
    said: tuple[str, ...] = ()


def learn(pairs: Sequence[Pair], truths: Sequence[Outputs], recipe: Recipe) -> Job[Learned]:
    """The rules that make masks like those of `pairs` better.

    `truths` are all that is known of the labels, also where nothing was predicted: no rule may
    change them.
    """
    if len(pairs) < FEWEST_CASES:
        return Learned()
    voxel_ml = _voxel_ml(recipe)
    rules = []
    for output in range(1, recipe.n_outputs):
        yield Progress(output - 1, recipe.n_outputs - 1, "Learning what to clean")
        rules.append(_pieces_rule(pairs, truths, output, voxel_ml))
    found = [_cleaned(pair.found, rules, voxel_ml or 1.0) for pair in pairs]
    left = [Pair(one, pair.truth) for one, pair in zip(found, pairs, strict=True)]
    rules = [_with_holes(rule, left) for rule in rules]
    useful = [rule for rule in rules if rule != CleanRule(rule.value)]
    own = tuple(replace(rule, value=recipe.values[rule.value]) for rule in useful)
    after = [Pair(_cleaned(pair.found, rules, voxel_ml or 1.0), pair.truth) for pair in pairs]
    gains = (_gain(pairs, after, rule.value) for rule in useful)
    said = zip(words(own, recipe.labels), gains, strict=True)
    return Learned(own, tuple(f"{what} ({gain})" for what, gain in said))


def upheld(rules: Sequence[CleanRule], examples: Iterable[Example]) -> tuple[CleanRule, ...]:
    """The rules that no corrected scan speaks against.

    A rule that would undo what a person vouched for would hide what a model learned from it.
    """
    left = list(rules)
    for example in examples:
        left = [rule for rule in left if _agrees(rule, example)]
    return tuple(left)


def _agrees(rule: CleanRule, example: Example) -> bool:
    labels = example.mask.labels.copy()
    clean_labels(labels, [rule], example.mask.geometry.voxel_ml)
    changed = (labels != example.mask.labels) & example.confirmed
    vouched = np.count_nonzero((example.mask.labels == rule.value) & example.confirmed)
    return bool(np.count_nonzero(changed) <= (1 - TRUTH_KEPT) * vouched)


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The connected pieces of one label in one case, entry 0 for what is outside.

    Attributes
    ----------
    sizes, known, right
        Voxels of each piece; those whose truth is known; those where it is this label.
    truth
        Voxels of the label in the truth.
    """

    sizes: Counts
    known: Counts
    right: Counts
    truth: int

    def dice(self, rule: CleanRule, voxel_ml: float) -> float:
        """Of what a rule leaves; 1 where neither mask has the label."""
        smallest = rule.smallest_ml / voxel_ml - ROUNDING
        stays = staying(self.sizes, rule.keep_largest, smallest)
        total = int(self.known[stays].sum()) + self.truth
        return 2 * int(self.right[stays].sum()) / total if total else 1.0


def _pieces_rule(
    pairs: Sequence[Pair], truths: Sequence[Outputs], output: int, voxel_ml: float | None
) -> CleanRule:
    """The best of: nothing, the largest piece, a smallest size, both."""
    found = [_pieces(pair.found, pair.truth, output) for pair in pairs]
    real: list[_Pieces] = []

    def keeps_truth(rule: CleanRule) -> bool:
        real.extend(() if real else (_pieces(truth, truth, output) for truth in truths))
        return all(one.dice(rule, voxel_ml or 1.0) >= TRUTH_KEPT for one in real)

    def scores(rule: CleanRule) -> Scores:
        return np.array([one.dice(rule, voxel_ml or 1.0) for one in found])

    best = _better(CleanRule(output), CleanRule(output, keep_largest=True), scores, keeps_truth)
    for smallest in _sizes(found, voxel_ml):
        best = _better(best, replace(best, smallest_ml=smallest), scores, keeps_truth)
    return best


def _better(
    old: CleanRule,
    new: CleanRule,
    scores: Callable[[CleanRule], Scores],
    keeps_truth: Callable[[CleanRule], bool],
) -> CleanRule:
    return new if _helps(scores(old), scores(new)) and keeps_truth(new) else old


def _helps(before: Scores, after: Scores) -> bool:
    """Better on average, and for at least as many cases as it is worse for."""
    gain = after - before
    return bool(gain.mean() > SMALLEST_GAIN and np.sum(gain > 0) >= np.sum(gain < 0))


def _sizes(found: Sequence[_Pieces], voxel_ml: float | None) -> Iterator[float]:
    """Volumes worth trying as the smallest, ml, rising: just above pieces that are wrong."""
    wrong = np.concatenate([one.sizes[1:][2 * one.right[1:] < one.known[1:]] for one in found])
    if voxel_ml is None or not len(wrong):
        return
    for size in np.unique(np.quantile(wrong, QUANTILES, method="higher")):
        yield float(f"{ABOVE * size * voxel_ml:.3g}")


def _pieces(found: Outputs, truth: Outputs, output: int) -> _Pieces:
    total = int(np.count_nonzero(truth == output))
    box = _box(found, output)
    if box is None:
        nothing = np.zeros(1, np.int64)
        return _Pieces(nothing, nothing, nothing, total)
    pieces, sizes = pieces_of(found[box] == output)
    known, right = (
        np.bincount(pieces[where], minlength=len(sizes))
        for where in (truth[box] != IGNORE, truth[box] == output)
    )
    return _Pieces(sizes, known, right, total)


def _with_holes(rule: CleanRule, pairs: Sequence[Pair]) -> CleanRule:
    """The rule, with holes filled if that makes cleaned masks better and leaves the truth alone."""
    found = np.array([_filled_dice(pair.found, pair.truth, rule.value) for pair in pairs])
    if not _helps(found[:, 0], found[:, 1]):
        return rule
    real = (_filled_dice(pair.truth, pair.truth, rule.value)[1] for pair in pairs)
    return replace(rule, fill_holes=True) if min(real) >= TRUTH_KEPT else rule


def _filled_dice(found: Outputs, truth: Outputs, output: int) -> tuple[float, float]:
    """Dice of a label before and after its holes are filled."""
    box = _box(found, output)
    if box is None:
        dice = float(not np.any(truth == output))
        return dice, dice
    region, real = found[box] == output, truth[box]
    outside = int(np.count_nonzero(truth == output)) - int(np.count_nonzero(real == output))
    more = region | (filled(region) & (found[box] == 0))
    return _dice(region, real, output, outside), _dice(more, real, output, outside)


def _dice(region: npt.NDArray[np.bool_], truth: Outputs, output: int, outside: int = 0) -> float:
    right, same = truth == output, region & (truth == output)
    known = int(np.count_nonzero(region & (truth != IGNORE)))
    total = known + int(np.count_nonzero(right)) + outside
    return 2 * int(np.count_nonzero(same)) / total if total else 1.0


def _gain(before: Sequence[Pair], after: Sequence[Pair], output: int) -> str:
    """ "Dice 0.912 to 0.918"."""
    old, new = (
        float(np.mean([_dice(pair.found == output, pair.truth, output) for pair in pairs]))
        for pairs in (before, after)
    )
    return f"Dice {old:.3f} to {new:.3f}"


def _cleaned(found: Outputs, rules: Sequence[CleanRule], voxel_ml: float) -> Outputs:
    copy = found.copy()
    clean_labels(copy, rules, voxel_ml)
    return copy


def _box(labels: Outputs, output: int) -> Any:
    """The slices that hold a label; None where it is not."""
    found = ndimage.find_objects((labels == output).view(np.uint8), max_label=1)
    return found[0]


def _voxel_ml(recipe: Recipe) -> float | None:
    """Volume of a voxel of the network's grid; None where each scan keeps its own."""
    if recipe.spacing_mm is None or recipe.patch[0] == 1:
        return None
    return float(np.prod(recipe.spacing_mm)) / 1000.0
