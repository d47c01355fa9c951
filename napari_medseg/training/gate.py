"""Whether a fine-tuned model may replace its parent: what is held back, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.stats import wilcoxon

from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson
from napari_medseg.training.split import Slices, Split
from napari_medseg.training.validate import Exam

GAIN = 0.001  # of the mean Dice on corrections; less is chance
MEANINGFUL = 0.002  # Dice on the pieces of earlier cases; less is chance there
AGREED = 0.05  # Dice that the parent has less on corrections than there, if they agree
FEWEST_PAIRS = 6  # cases; of fewer a paired test cannot say anything
ASTRAY = 0.05  # of a label's Dice: who lost more is no place to go on from
CHANCE = 0.1  # one-sided: a candidate that is no better passes so often
SURELY = 0.05  # likewise, on the anchors, where what was corrected tells no gain
FOUND, MISSED = 0.5, 0.25  # Dice of a label that a model knows, and of one that is at odds with it
NOTHING = Exam({}, {})
UNHELD = "too little is corrected to hold some of it back; correct another slice, two or more away"
UNLABELLED = "what was held back to check it shows no structure; correct slices that show one"


@dataclass(frozen=True)
class Held:
    """What teaches, what examines, in words what that is, and who is on which side from now on."""

    train: tuple[Lesson, ...]
    exam: tuple[Lesson, ...]
    how: str
    split: Split = field(default_factory=Split)


@dataclass(frozen=True)
class Marks:
    """How good a network is on held-back corrections, and on the anchors of before."""

    exam: Exam
    anchors: Exam = NOTHING


@dataclass(frozen=True)
class Verdict:
    """Whether the candidate is adopted, with the numbers that say why."""

    adopted: bool
    why: str


def hold_back(lessons: Sequence[Lesson], split: Split = Split(), seed: int = 0) -> Held:  # noqa: B008  a frozen value
    """A quarter of the subjects, or of the corrected slices where there are fewer than three.

    Whoever has a side keeps it. Slices that are held back keep a slice of distance to those that
    teach, where enough are corrected for that.
    """
    split = split.with_subjects([lesson.subject for lesson in lessons], seed)
    exam = [one for one in lessons if split.examines(one.subject)]
    teach = [one for one in lessons if not split.examines(one.subject)]
    train: list[Lesson] = []
    parts: list[Lesson] = []
    for one in teach:
        before = split.slices_of(one.subject)
        spared = bool(before.exam) or not exam  # else whole subjects examine
        slices = _slices(one, before, spared)
        split = split.with_slices(one.subject, slices)
        train.append(_kept(one, slices, False))
        if slices.exam:
            parts.append(_kept(one, slices, True))
    parts = [one for one in parts if bool((one.target != IGNORE).any())]
    return Held(tuple(train), (*exam, *parts), _words(lessons, exam, parts), split)


def verdict(before: Marks, after: Marks, how: str, worst_drop: float) -> Verdict:
    """Adopted if it is better on the corrections and forgot nothing.

    The mean Dice must rise by more than 0.001, by a paired test where there are enough cases; no
    label may lose over `worst_drop`, there and on the anchors, whose mean may fall by half of that
    if the parent is as good on the corrections as there, and else by 0.002. Where strokes in a few
    cases are too coarse a measure the anchors may tell: their mean must rise by more than 0.002, by
    a stricter paired test. Labels that are found on the anchors and hardly in the corrections, even
    now, are at odds there: nothing is adopted.
    """
    first, last = before.exam, after.exam
    scored = [name for name, score in first.dice.items() if not math.isnan(score)]
    if not scored:
        return Verdict(False, UNLABELLED if first.cases else UNHELD)
    changes = {name: _change(first, last, name) for name in scored}
    was = sum(first.dice[name] for name in scored) / len(scored)
    gain = sum(changes.values()) / len(scored)
    numbers = f"mean Dice {was:.4f} before, {max(0.0, was + gain):.4f} after, {how}"
    worst = min(scored, key=lambda name: changes[name])
    surely = _surely_better(before.anchors, after.anchors)
    if not gain > GAIN and not surely:
        return Verdict(False, f"not better by {GAIN}: {numbers}")
    if odds := _at_odds(before.anchors, last):
        return Verdict(False, f"{odds}: {numbers}")
    if not -changes[worst] <= worst_drop:
        return Verdict(
            False, f"{worst} lost {-changes[worst]:.4f} (at most {worst_drop} allowed): {numbers}"
        )
    chance = _chance(first, last)
    proven = gain > GAIN and chance <= CHANCE
    if not proven and not surely:
        return Verdict(False, f"better by chance, perhaps (p = {chance:.2f}): {numbers}")
    if lost := forgotten(before, after, worst_drop):
        return Verdict(False, f"{lost}; {numbers}")
    said = "better" if proven else "better on earlier cases and about as good here"
    return Verdict(True, f"{said}: {numbers}{_anchored(before.anchors, after.anchors)}")


def forgotten(before: Marks, after: Marks, worst_drop: float) -> str:
    """What was lost on the anchors, in words; "" if nothing was.

    They are of a few subjects, and the parent was the best of several on some of them: a little
    loss is what another good model has too. But corrections that contradict them are not believed.
    """
    scored = [name for name, score in before.anchors.dice.items() if not math.isnan(score)]
    if not scored:
        return ""
    changes = {name: _change(before.anchors, after.anchors, name) for name in scored}
    worst = min(scored, key=lambda name: changes[name])
    mean = sum(changes.values()) / len(scored)
    pieces = f"{len(before.anchors.cases)} pieces of earlier cases"
    if not -changes[worst] <= worst_drop:
        return (
            f"forgot {worst}: {-changes[worst]:.4f} Dice lost on {pieces} "
            f"(at most {worst_drop} allowed)"
        )
    agree = before.exam.mean >= before.anchors.mean - AGREED
    if not -mean <= max(MEANINGFUL, worst_drop / 2 if agree else 0.0):
        return f"forgot {-mean:.4f} of mean Dice on {pieces}"
    return ""


def astray(before: Marks, after: Marks) -> bool:
    """Whether a network is so much worse than the parent that one had better begin anew."""
    pairs = ((before.exam, after.exam), (before.anchors, after.anchors))
    return any(
        not -_change(first, last, name) <= ASTRAY
        for first, last in pairs
        for name, score in first.dice.items()
        if not math.isnan(score)
    )


def _anchored(before: Exam, after: Exam) -> str:
    if not before.cases:
        return "; the model keeps no earlier cases to check what it forgot"
    return f"; on {len(before.cases)} pieces of earlier cases {before.mean:.4f}, {after.mean:.4f}"


def _chance(before: Exam, after: Exam) -> float:
    """How often chance alone would look as good (Wilcoxon, one-sided); 0 for too few cases."""
    pairs = zip(before.cases, after.cases, strict=True)
    gains = np.array([_mean(late) - _mean(early) for early, late in pairs])
    gains = gains[~np.isnan(gains)]
    if len(gains) < FEWEST_PAIRS:
        return 0.0
    if not gains.any():
        return 1.0
    return float(wilcoxon(gains, alternative="greater").pvalue)


def _surely_better(before: Exam, after: Exam) -> bool:
    """Whether the anchors alone prove a gain."""
    enough = len(before.cases) >= FEWEST_PAIRS and after.mean - before.mean > MEANINGFUL
    return enough and _chance(before, after) <= SURELY


def _at_odds(anchors: Exam, corrections: Exam) -> str:
    """Whether corrections deny what is found on earlier cases, in words; "" if not.

    Labels exchanged, say: a few more of such voxels "right" are no gain.
    """
    known = [name for name, score in anchors.dice.items() if score >= FOUND]
    here = _mean({name: corrections.dice.get(name, math.nan) for name in known})
    if not here < MISSED:
        return ""
    there = _mean({name: anchors.dice[name] for name in known})
    return (
        f"the corrections are at odds with earlier cases (Dice {here:.2f} here, {there:.2f} "
        "there); check that the labels mean the same"
    )


def _mean(case: Mapping[str, float]) -> float:
    values = [score for score in case.values() if not math.isnan(score)]
    return float(np.mean(values)) if values else math.nan


def _change(before: Exam, after: Exam, name: str) -> float:
    """Gain in Dice; 1 where the label is not there and the student alone leaves it out."""
    if math.isnan(after.dice[name]):  # neither the truth nor the student has it
        return 1.0 if before.dice[name] == 0 else -math.inf
    return after.dice[name] - before.dice[name]


def _words(lessons: Sequence[Lesson], exam: Sequence[Lesson], parts: Sequence[Lesson]) -> str:
    said = []
    if exam:
        held, all_of = ({one.subject for one in some} for some in (exam, lessons))
        said.append(f"on {len(held)} of {len(all_of)} subjects, held back")
    if parts:
        n = sum(len(slices_known(part)) for part in parts)
        said.append(f"on {n} corrected slice(s), held back, of scans that it learnt from")
    return " and ".join(said)


def _slices(one: Lesson, before: Slices, spared: bool) -> Slices:
    """The sides of the corrected slices; all teach if none is spared.

    Slices that hold no label where others do never examine.
    """
    known = slices_known(one)
    if not spared:
        return Slices(before.exam, before.teach | set(known))
    values = dict.fromkeys(known, frozenset[int]())
    for row, made_of in one.corrected().items():
        here = frozenset(torch.unique(one.target[row]).tolist())
        values |= {n: values[n] | here for n in made_of}
    labelled = [n for n in known if values[n] - {0, IGNORE}]
    chosen = labelled if len(labelled) > 1 else known
    labels = {n: values[n] for n in chosen}
    decided = before.with_known(chosen, labels, one.reach)
    return decided.with_teachers(set(known) - set(chosen), one.reach)


def _kept(one: Lesson, slices: Slices, exam: bool) -> Lesson:
    """The lesson with what examines alone, or with all that may teach."""
    side = slices.exam if exam else slices.teach
    heard = torch.zeros(len(one.target), dtype=torch.bool)
    heard[[row for row, made_of in one.corrected().items() if side.issuperset(made_of)]] = True
    target = torch.where(
        heard[:, None, None], one.target, torch.tensor(IGNORE, dtype=one.target.dtype)
    )
    return replace(one, target=target)


def slices_known(one: Lesson) -> list[int]:
    """The numbers of the corrected slices in the scan."""
    return sorted({n for made_of in one.corrected().values() for n in made_of})
