"""Whether a fine-tuned model may replace its parent: what is held back, and the verdict."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from napari_medseg.training.config import IGNORE
from napari_medseg.training.dataset import held_subjects
from napari_medseg.training.sampling import Lesson
from napari_medseg.training.validate import Exam

FEWEST_SUBJECTS = 3  # below, subjects cannot be spared: slices of each are held back
FRACTION = 0.25
MEANINGFUL = 0.002  # Dice; less is what chance gives to the best of several looks
# slices on either side of a held-back slab that neither teach nor examine; two would take most
# from a person who corrects every second slice
GAP = 1


@dataclass(frozen=True)
class Held:
    """What teaches, what examines, and in words what that is."""

    train: tuple[Lesson, ...]
    exam: tuple[Lesson, ...]
    how: str


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate is adopted, with the numbers that say why."""

    adopted: bool
    why: str


def hold_back(lessons: Sequence[Lesson], seed: int = 0) -> Held:
    """A quarter of the subjects, or of the corrected slices where there are fewer than three.

    The same lessons are always split the same way and no subject is on both sides. Slabs keep
    a slice of distance to those that teach, where enough slices are corrected for that.
    """
    subjects = {lesson.subject for lesson in lessons}
    if len(subjects) >= FEWEST_SUBJECTS:
        held = held_subjects(sorted(subjects), FRACTION, seed)
        exam = tuple(lesson for lesson in lessons if lesson.subject in held)
        train = tuple(lesson for lesson in lessons if lesson.subject not in held)
        return Held(train, exam, f"on {len(held)} of {len(subjects)} subjects, held back")
    parts = [_slab(lesson) for lesson in lessons]
    exam = tuple(part for _, part in parts if part is not None)
    n = sum(len(_known_slices(part.target)) for part in exam)
    how = f"on {n} corrected slice(s), held back, of scans that it learnt from"
    return Held(tuple(train for train, _ in parts), exam, how)


def verdict(before: Exam, after: Exam, how: str, worst_drop: float) -> Verdict:
    """Adopted if the mean Dice rises by more than 0.002 and no label loses over `worst_drop`."""
    scored = [name for name, score in before.dice.items() if not math.isnan(score)]
    if not scored:
        return Verdict(
            False, "nothing corrected could be held back to check it; correct two more slices"
        )
    changes = {name: _change(before, after, name) for name in scored}
    first = sum(before.dice[name] for name in scored) / len(scored)
    gain = sum(changes.values()) / len(scored)
    numbers = f"mean Dice {first:.4f} before, {max(0.0, first + gain):.4f} after, {how}"
    worst = min(scored, key=lambda name: changes[name])
    if not gain > MEANINGFUL:
        return Verdict(False, f"not better by {MEANINGFUL}: {numbers}")
    if not -changes[worst] <= worst_drop:
        return Verdict(
            False, f"{worst} lost {-changes[worst]:.4f} (at most {worst_drop} allowed): {numbers}"
        )
    return Verdict(True, f"better: {numbers}")


def _change(before: Exam, after: Exam, name: str) -> float:
    """Gain in Dice; 1 where the label is not there and the student alone leaves it out."""
    if math.isnan(after.dice[name]):  # neither the truth nor the student has it
        return 1.0 if before.dice[name] == 0 else -math.inf
    return after.dice[name] - before.dice[name]


def _slab(lesson: Lesson) -> tuple[Lesson, Lesson | None]:
    """The lesson without a quarter of its corrected slices, the middle one if that leaves every
    label that it holds to teach; and with these alone."""
    known = _known_slices(lesson.target)
    if len(known) < 2:
        return lesson, None
    size = max(1, round(FRACTION * len(known)))
    middle = (len(known) - size) // 2
    starts = sorted(range(len(known) - size + 1), key=lambda start: abs(start - middle))
    gaps = (GAP, 0) if len(known) - size > 2 * GAP else (0,)  # a few single slices lie apart anyway
    for start, gap in itertools.product(starts, gaps):
        train, exam = _cut(lesson, known[start], known[start + size - 1], gap)
        if _values(exam) <= _values(train):
            return train, exam  # what is examined is also taught
    return _cut(lesson, known[middle], known[middle + size - 1], 0)


def _cut(lesson: Lesson, low: int, high: int, gap: int) -> tuple[Lesson, Lesson]:
    """The lesson without the slices `low` to `high` and `gap` around them, and these alone."""
    train, exam = lesson.target.clone(), torch.full_like(lesson.target, IGNORE)
    exam[low : high + 1] = lesson.target[low : high + 1]
    train[max(0, low - gap) : high + 1 + gap] = IGNORE
    return replace(lesson, target=train), replace(lesson, target=exam)


def _values(one: Lesson) -> set[int]:
    return {int(value) for value in torch.unique(one.target)}


def _known_slices(target: torch.Tensor) -> list[int]:
    """Z of the slices in which something is known, those that hold a label if any do."""
    known = target != IGNORE
    labelled = (known & (target > 0)).flatten(1).any(1)
    chosen = labelled if bool(labelled.any()) else known.flatten(1).any(1)
    return [int(z) for z in chosen.nonzero().flatten()]
