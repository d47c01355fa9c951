"""What a model takes along of the cases that taught or examined it.

Patches on the network's grid, as many as a number of megabytes holds. Those of subjects that teach
are shown again while it learns from new ones; those of subjects that examine tell whether it
forgets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_medseg.models.exemplar import Exemplar, exemplar
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson, cut, lesson

MOST_ANCHORS = 24  # patches that examine: each look at them must stay a matter of seconds
MOST_REPLAYED = 96
ANCHOR_SHARE = 0.4
FEWEST_KNOWN = 0.5  # of a patch: less says little of what a model knows


def memory_of(
    teach: Sequence[Lesson], exam: Sequence[Lesson], recipe: Recipe, megabytes: float, seed: int = 0
) -> tuple[Exemplar, ...]:
    """Patches of cases that taught and of cases that examined; empty for no megabytes.

    One patch of each case in turn, around each label in turn, until the room is filled.
    """
    room = int(megabytes * 1e6) // _bytes(recipe)
    anchors = min(MOST_ANCHORS, max(1, int(room * ANCHOR_SHARE))) if exam and room > 1 else 0
    kept = [
        *_patches(exam, recipe, anchors, True, seed),
        *_patches(teach, recipe, min(MOST_REPLAYED, room - anchors), False, seed),
    ]
    return tuple(kept)


def renewed(
    memory: Sequence[Exemplar],
    teach: Sequence[Lesson],
    exam: Sequence[Lesson],
    recipe: Recipe,
    megabytes: float,
    seed: int = 0,
) -> tuple[Exemplar, ...]:
    """The memory with patches of new cases; the subject with most patches gives way to them.

    A subject that is in the memory already gets no more. Patches that examine stay: what a model
    could do before its first correction is what it must not forget.
    """
    room = int(megabytes * 1e6) // _bytes(recipe)
    known = {one.subject for one in memory}
    fresh = [
        one
        for one in memory_of(teach, exam, recipe, megabytes, seed)
        if one.subject not in known and _known_share(one) >= FEWEST_KNOWN
    ]
    fresh = _first_of_each(fresh)
    kept = [one for one in memory if not one.exam]
    anchors = [one for one in memory if one.exam]
    anchors += [one for one in fresh if one.exam][: max(0, MOST_ANCHORS - len(anchors))]
    kept += [one for one in fresh if not one.exam]
    rng = np.random.default_rng((seed, len(memory)))
    while kept and len(kept) > min(MOST_REPLAYED, room - len(anchors)):
        kept.pop(_of_the_fullest(kept, rng))
    return (*anchors, *kept)[: max(0, room)]


def lessons_in(memory: Sequence[Exemplar], exam: bool) -> list[Lesson]:
    """Those that examine, or those that teach, as lessons of one patch each."""
    return [
        lesson(f"memory {number + 1}", one.values(), one.target, one.subject)
        for number, one in enumerate(memory)
        if one.exam == exam
    ]


def _patches(
    lessons: Sequence[Lesson], recipe: Recipe, number: int, exam: bool, seed: int
) -> list[Exemplar]:
    if not lessons:
        return []
    order = np.random.default_rng((seed, exam)).permutation(len(lessons))
    found = []
    for count in range(max(0, number)):
        turn, place = divmod(count, len(lessons))
        chosen = lessons[int(order[place])]
        rng = np.random.default_rng((seed, 1, count))
        image, target = cut(chosen, _centre(chosen, turn, recipe.patch, rng), recipe.patch)
        found.append(exemplar(image, target, chosen.subject, exam))
    return found


def _centre(
    chosen: Lesson, turn: int, patch: Sequence[int], rng: np.random.Generator
) -> tuple[int, ...]:
    """A voxel of one of its labels, such that the patch stays inside where it fits."""
    shape = chosen.target.shape
    wanted = np.array([rng.integers(n) for n in shape])
    if chosen.places:
        places = chosen.places[turn % len(chosen.places)]
        wanted = places[rng.integers(len(places))]
    return tuple(
        int(np.clip(at, size // 2, n - size + size // 2)) if n > size else n // 2
        for at, n, size in zip(wanted, shape, patch, strict=True)
    )


def _bytes(recipe: Recipe) -> int:
    return int(np.prod(recipe.patch)) * (recipe.n_inputs + 1)


def _known_share(one: Exemplar) -> float:
    return float((one.target != IGNORE).to(torch.float32).mean())


def _first_of_each(found: Sequence[Exemplar]) -> list[Exemplar]:
    """At most two patches of a subject: the next case brings its own."""
    counts: dict[str, int] = {}
    kept = []
    for one in found:
        counts[one.subject] = counts.get(one.subject, 0) + 1
        if counts[one.subject] <= 2:
            kept.append(one)
    return kept


def _of_the_fullest(kept: Sequence[Exemplar], rng: np.random.Generator) -> int:
    """Which patch to give up: one of the subject that has most."""
    names = [one.subject for one in kept]
    most = max(names.count(name) for name in set(names))
    choice = [n for n, name in enumerate(names) if names.count(name) == most]
    return int(rng.choice(choice))
