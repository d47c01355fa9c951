"""Which voxels belong to a structure, learnt within seconds from the few slices that show it.

Extremely randomised trees (Geurts et al. 2006) on the grey values and edges around a voxel at
three scales, and on where the painted shapes would have it. Each painted slice is taught with what
the *other* slices say of it, so that the trees learn how far to believe that. Beyond the painted
slices the structure is followed from slice to slice by a second set of trees, which know its
outline one slice before; there both must agree, and what is not connected to the painted slices is
left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from scipy import ndimage
from sklearn.ensemble import ExtraTreesClassifier  # type: ignore[import-untyped]

from napari_medseg.training.carried import Flows, Guess, depth_in, guess, guess_without
from napari_medseg.training.painted import Bools, Floats, Stack

SCALES = (1.0, 2.0, 4.0)  # times the smallest voxel side: sigma of the filters
ASIDE = 8.0  # likewise: how far away a voxel's surroundings are looked at
TREES = 60
MOST_ROWS = 40_000  # voxels that teach trees
CLIP = 8.0  # rows: the outline of a neighbouring slice says nothing of voxels farther away
SURE = 0.5  # beyond the painted slices both sets of trees must be


@dataclass(frozen=True, eq=False)
class Found:
    """One structure: chance and mask, float32 and bool (S, R, C)."""

    chance: Floats
    mask: Bools


class Seeker:
    """Finds structures in one stack; what they share is computed once."""

    def __init__(self, stack: Stack, threads: int, seed: int) -> None:
        self.stack, self.threads, self.seed = stack, threads, seed
        self.flows = Flows(stack.images[0], threads)
        self.features = features(stack.images, stack.spacing_mm, threads)  # (S, R, C, F)

    def guess(self, value: int) -> Guess:
        """Where the painted shapes of a structure would have it."""
        stack = self.stack
        return guess(self.flows, stack.shapes[value], stack.spacing_mm, stack.shape[0])

    def find(self, value: int, said: Guess) -> Found:
        """A structure in all slices, by its value in the mask."""
        shapes = self.stack.shapes[value]
        chance = self._chance(shapes, said)
        for k in self.stack.known:
            chance[k] = shapes.get(k, 0)
        first, last = min(shapes), max(shapes)
        mask = chance > SURE
        mask[:first] = mask[last + 1 :] = False
        followed = self._followed(mask, first, last)
        beyond = np.ones(len(mask), np.bool_)
        beyond[first : last + 1] = False
        followed[beyond] &= chance[beyond] > SURE
        for k in self.stack.known:
            followed[k] = shapes.get(k, False)
        return Found(chance, _connected(followed, shapes))

    # -- voxels by themselves and by the painted shapes ---------------------------------------

    def _chance(self, shapes: Mapping[int, Bools], said: Guess) -> Floats:
        rows, truth = [], []
        for k in self.stack.known:
            if k in shapes and len(shapes) > 1:
                own = guess_without(self.flows, shapes, k, self.stack.spacing_mm)
            else:
                own = said.between[k], said.carried[k], float(said.away_mm[k])
            if len(shapes) == 1:
                own = np.zeros_like(own[0]), np.zeros_like(own[1]), 0.0
            rows.append(_joined(self.features[k], *own))
            truth.append(shapes.get(k, np.zeros(self.stack.shape[1:], np.bool_)).ravel())
        trees = self._taught(np.concatenate(rows), np.concatenate(truth))
        chance = np.zeros(self.stack.shape, np.float32)
        size = max(math.sqrt(one.sum()) for one in shapes.values()) * max(self.stack.spacing_mm[1:])
        for k in range(len(chance)):
            near = np.maximum(said.between[k], said.carried[k]) > -(0.6 * size + 10.0)
            if near.any():
                own = said.between[k], said.carried[k], float(said.away_mm[k])
                if len(shapes) == 1:
                    own = np.zeros_like(own[0]), np.zeros_like(own[1]), 0.0
                table = _joined(self.features[k], *own)[near.ravel()]
                chance[k][near] = _inside(trees, table)
        return chance

    # -- from slice to slice ------------------------------------------------------------------

    def _followed(self, mask: Bools, first: int, last: int) -> Bools:
        """The mask from the first to the last painted slice, followed beyond both."""
        trees = self._taught(*self._pairs(mask, first, last))
        mask = mask.copy()
        clip = CLIP * max(self.stack.spacing_mm[1:])
        for start, step, end in ((first, -1, -1), (last, 1, len(mask))):
            for k in range(start + step, end, step):
                if not mask[k - step].any():
                    break
                depth = depth_in(mask[k - step], self.stack.spacing_mm[1:])
                near = depth > -clip
                chance = np.zeros(depth.shape, np.float32)
                own = np.clip(depth, -clip, clip)[near][:, None]
                chance[near] = _inside(trees, np.concatenate([self.features[k][near], own], 1))
                mask[k] = ndimage.gaussian_filter(chance, 0.7) > SURE
        return mask

    def _pairs(self, mask: Bools, first: int, last: int) -> tuple[Floats, Any]:
        """Voxels of a slice with their depth one and two slices before or behind, and the truth."""
        rng = np.random.default_rng(self.seed)
        voxel = max(self.stack.spacing_mm[1:])
        rows, truth = [], []
        for k in range(first, last + 1):
            for other in (k - 2, k - 1, k + 1, k + 2) if last > first else (k, k):
                if not first <= other <= last:
                    continue
                depth = depth_in(mask[other], self.stack.spacing_mm[1:])
                depth = depth + np.float32(rng.normal(0, voxel))  # followed outlines err
                band = np.abs(depth) < CLIP * voxel
                taken = rng.random(depth.shape) < np.where(band, 0.5, 0.06)
                own = np.clip(depth, -CLIP * voxel, CLIP * voxel)[taken][:, None]
                rows.append(np.concatenate([self.features[k][taken], own], 1))
                truth.append(mask[k][taken])
        return np.concatenate(rows), np.concatenate(truth)

    def _taught(self, table: Floats, truth: Any) -> ExtraTreesClassifier:
        rng = np.random.default_rng(self.seed)
        if len(table) > MOST_ROWS:
            chosen = rng.choice(len(table), MOST_ROWS, replace=False)
            table, truth = table[chosen], truth[chosen]
        trees = ExtraTreesClassifier(
            TREES, min_samples_leaf=3, max_features=0.4, n_jobs=self.threads, random_state=self.seed
        )
        return trees.fit(table, truth)


def features(images: Floats, spacing_mm: tuple[float, float, float], threads: int) -> Floats:
    """What is known of each voxel from the image alone, (S, R, C, F)."""
    voxel = min(spacing_mm)
    jobs: list[Any] = []
    for image in images:
        jobs.append(lambda image=image: [image])
        jobs += [
            lambda image=image, s=s: _at_scale(image, [s * voxel / mm for mm in spacing_mm])
            for s in SCALES
        ]
        jobs.append(lambda image=image: _aside(image, voxel, spacing_mm))
    with ThreadPoolExecutor(threads) as pool:
        found = [one for some in pool.map(lambda job: job(), jobs) for one in some]
    return np.stack(found, -1).astype(np.float32)


def _at_scale(image: Floats, sigma: list[float]) -> list[Floats]:
    """Mean, slope, curvature and roughness."""
    mean = _soft(image, sigma)
    square = _soft(image**2, sigma)
    slopes = [_soft(image, sigma, [int(a == b) for b in range(3)]) for a in range(3)]
    bends = [_soft(image, sigma, [2 * (a == b) for b in range(3)]) for a in range(3)]
    slope = np.sqrt(sum((one**2 for one in slopes), np.zeros_like(mean)))
    rough = np.sqrt(np.maximum(0, square - mean**2))
    return [mean, slope, sum(bends, np.zeros_like(mean)), rough]


def _aside(image: Floats, voxel: float, spacing_mm: tuple[float, ...]) -> list[Floats]:
    """The softened image some way to each of the six sides."""
    soft = _soft(image, [2 * voxel / mm for mm in spacing_mm])
    found = []
    for axis, mm in enumerate(spacing_mm):
        for way in (-ASIDE, ASIDE):
            by = round(way * voxel / mm) or int(math.copysign(1, way))
            index = np.clip(np.arange(image.shape[axis]) - by, 0, image.shape[axis] - 1)
            found.append(soft.take(index, axis))
    return found


def _soft(image: Floats, sigma: list[float], order: list[int] | int = 0) -> Floats:
    soft = ndimage.gaussian_filter(image, sigma, order=order, mode="nearest", truncate=3.0)
    return np.asarray(soft, np.float32)


def _joined(own: Floats, between: Floats, carried: Floats, away_mm: float) -> Floats:
    """A slice's features and what is guessed of it as a table (N, F + 3)."""
    said = [between.ravel(), carried.ravel(), np.full(between.size, away_mm, np.float32)]
    return np.concatenate([own.reshape(-1, own.shape[-1]), np.stack(said, 1)], 1)


def _inside(trees: ExtraTreesClassifier, table: Floats) -> Floats:
    """Chance of each row; as `predict_proba`, whose own cost for 60 trees is many slices'."""
    if len(trees.classes_) == 1:
        return np.full(len(table), float(trees.classes_[0]), np.float32)
    rows = np.ascontiguousarray(table, np.float32)
    total = np.zeros(len(rows))
    for one in trees.estimators_:
        total += one.tree_.predict(rows)[:, 1]
    return np.asarray(total / len(trees.estimators_), np.float32)


def _connected(mask: Bools, shapes: Mapping[int, Bools]) -> Bools:
    """Pieces that reach a painted shape."""
    pieces = cc3d.connected_components(mask, connectivity=6)
    touched = {int(n) for k, one in shapes.items() for n in np.unique(pieces[k][one])}
    return np.asarray(np.isin(pieces, sorted(touched - {0})))
