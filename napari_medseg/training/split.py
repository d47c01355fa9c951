"""Who teaches and who examines, decided once and kept for ever.

A subject is assigned when its first correction is seen; a slice of a subject that teaches, when it
is first known. Nothing ever changes sides, so that a model that learned from a correction in one
round is not examined on it in the next.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from napari_medseg.models.exemplar import Exemplar, anonymous

EVERY = 4  # of the subjects, and of the slices, one examines
FIRST = 2  # the third subject is the first that examines: two must teach
FRACTION = 1 / EVERY
# slices on either side of an examined one that neither teach nor examine; two would take most from
# a person who corrects every second slice
GAP = 1


@dataclass(frozen=True)
class Slices:
    """Slices of one subject by their numbers in the scan, along Z of the network's axes."""

    exam: frozenset[int] = frozenset()
    teach: frozenset[int] = frozenset()

    def joined(self, other: Slices) -> Slices:
        """Both; where they differ, this one's word counts."""
        exam = self.exam | (other.exam - self.teach)
        return Slices(exam, self.teach | (other.teach - exam))

    def with_known(
        self, known: Sequence[int], labels: Mapping[int, frozenset[int]], reach: int = 0
    ) -> Slices:
        """With slices that are known by now; `labels` are the values in each.

        Slices up to `reach` apart are in one slice of the network's grid, and on one side.
        """
        fresh = sorted(set(known) - self.exam - self.teach)
        if not self.exam:
            return self._first(sorted({*fresh, *self.teach}), labels, reach)
        exam, teach, gap = set(self.exam), set(self.teach), max(GAP, reach)
        for z in fresh:
            if not _far(z, exam, gap):
                continue  # beside the exam: neither
            if len(exam) >= FRACTION * (len(exam) + len(teach) + 1):
                teach.add(z)
            elif _far(z, teach, gap):
                exam.add(z)
            # else it waits: the next one may examine, with this one between it and the teachers
        return Slices(frozenset(exam), frozenset(teach))

    def with_teachers(self, known: Iterable[int], reach: int = 0) -> Slices:
        """With slices that teach if they lie beside none that examines."""
        fresh = set(known) - self.exam
        far = {z for z in fresh if _far(z, self.exam, max(GAP, reach))}
        return Slices(self.exam, self.teach | far)

    def _first(
        self, known: Sequence[int], labels: Mapping[int, frozenset[int]], reach: int
    ) -> Slices:
        """A slab in the middle examines, if that leaves every value that it holds to teach; none
        of it may have taught."""
        free = [z for z in known if z not in self.teach]
        if len(known) < 2 or not free:
            return Slices(self.exam, self.teach | set(free))
        size = min(max(1, round(FRACTION * len(known))), len(free))
        middle = (len(free) - size) // 2
        starts = sorted(range(len(free) - size + 1), key=lambda start: abs(start - middle))
        gaps = (max(GAP, reach), reach) if len(known) - size > 2 * GAP else (reach,)
        for start, gap in itertools.product(starts, gaps):
            exam = set(free[start : start + size])
            teach = {z for z in known if _far(z, exam, gap)} | self.teach
            if _values(exam, labels) <= _values(teach, labels) and _all_far(exam, teach, reach):
                return Slices(frozenset(exam), frozenset(teach))
        exam = set(free[middle : middle + size])
        teach = {z for z in known if _far(z, exam, reach)} | self.teach
        if not _all_far(exam, teach, reach):
            return Slices(self.exam, frozenset(known))  # too near each other for two sides
        return Slices(frozenset(exam), frozenset(teach))


@dataclass(frozen=True)
class Split:
    """The sides of all subjects that were ever seen, by the hashes of their names.

    Attributes
    ----------
    subjects
        Whether each examines, in the order in which they came.
    slices
        Of those that teach, the slices that are held back all the same.
    """

    subjects: Mapping[str, bool] = field(default_factory=dict)
    slices: Mapping[str, Slices] = field(default_factory=dict)

    def examines(self, subject: str) -> bool:
        """Whether a subject holds the exam."""
        return self.subjects.get(anonymous(subject), False)

    def slices_of(self, subject: str) -> Slices:
        """The slices of a subject that teaches."""
        return self.slices.get(anonymous(subject), Slices())

    def with_subjects(self, names: Iterable[str], seed: int = 0) -> Split:
        """With subjects that come for the first time; their order among each other is chance."""
        fresh = {anonymous(name) for name in names} - set(self.subjects)
        subjects = dict(self.subjects)
        for one in sorted(fresh, key=lambda one: _mixed(one, seed)):
            subjects[one] = len(subjects) % EVERY == FIRST
        return replace(self, subjects=subjects)

    def with_slices(self, subject: str, slices: Slices) -> Split:
        """With the slices of one subject."""
        return replace(self, slices={**self.slices, anonymous(subject): slices})

    def joined(self, other: Split) -> Split:
        """Both; where they differ, this one's word counts."""
        slices = {**other.slices, **self.slices}
        for name in other.slices.keys() & self.slices.keys():
            slices[name] = self.slices[name].joined(other.slices[name])
        return Split({**other.subjects, **self.subjects}, slices)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        slices = {name: [sorted(one.exam), sorted(one.teach)] for name, one in self.slices.items()}
        return {"subjects": dict(self.subjects), "slices": slices}


def split_in(memory: Iterable[Exemplar]) -> Split:
    """The sides of the subjects that a model's memory shows."""
    return Split({one.subject: one.exam for one in memory})


def split_of(plain: Mapping[str, Any]) -> Split:
    """What `Split.plain` gave; an empty one of an empty mapping."""
    slices = {
        str(name): Slices(frozenset(map(int, exam)), frozenset(map(int, teach)))
        for name, (exam, teach) in plain.get("slices", {}).items()
    }
    return Split({str(k): bool(v) for k, v in plain.get("subjects", {}).items()}, slices)


def _far(z: int, others: Iterable[int], gap: int) -> bool:
    """Whether more than the gap lies between a slice and each of the others."""
    return all(abs(z - other) > gap for other in others)


def _all_far(exam: Iterable[int], teach: Iterable[int], reach: int) -> bool:
    """Whether there are teachers, and none is in a slice of the network's with an examiner."""
    teachers = set(teach)
    return bool(teachers) and all(_far(z, teachers, reach) for z in exam)


def _values(slices: Iterable[int], labels: Mapping[int, frozenset[int]]) -> set[int]:
    return set().union(*(labels.get(z, frozenset()) for z in slices))


def _mixed(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
