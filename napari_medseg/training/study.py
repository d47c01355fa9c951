"""One fine-tune at work: the parent, its student, what they look at and how they are scored."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from napari_medseg.errors import TrainingError
from napari_medseg.inference.device import choose, empty_cache
from napari_medseg.inference.regrid import painted, winners
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models.build import load_weights, mean_of, network_of, weights_of
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.clock import Clock
from napari_medseg.training.config import IGNORE, FineTuneConfig, Optimiser, Precision, Schedule
from napari_medseg.training.events import Rested, StepDone, Validated
from napari_medseg.training.examples import exam_box
from napari_medseg.training.gate import Held, Marks, astray, forgotten
from napari_medseg.training.loss import memory_loss, segmentation_loss
from napari_medseg.training.memory import lessons_in
from napari_medseg.training.meter import Meter
from napari_medseg.training.newlabels import fitted, merged
from napari_medseg.training.notebook import Notebook, going_on, marks_of, plain_marks
from napari_medseg.training.parts import learner, plain, pull
from napari_medseg.training.room import Room
from napari_medseg.training.sampling import Lesson, Sampler, doubted_from, with_places
from napari_medseg.training.student import Student, decayed, mix
from napari_medseg.training.validate import Exam, blended, examine, scores, segmented

CENTRED = 0.9  # share of the patches around a corrected voxel
SURE = 0.8  # probability from which the parent's word teaches, weakly, where nobody vouches
FOUND = 0.5  # of each structure: who finds less in a scan teaches nothing there
HALF, QUARTER = 0.5, 0.25  # of the way to the student: what is scored too
GOES_ON = "Going on from the last candidate, which was not good enough yet"
ANEW = "Beginning anew from the model: the last candidate lost too much"
LOOKS = "Looking at the corrected scans"
WARM_UP = 5  # steps: the weights are good already, and many a fine-tune has only fifty


@dataclass(frozen=True)
class Snapshot:
    """The student as it was when it was scored."""

    weights: dict[str, torch.Tensor]
    marks: Marks
    step: int


class Study:
    """One fine-tune: the parent, its student and what they look at; `known` outputs are not new."""

    def __init__(
        self, segmenter: Segmenter, held: Held, config: FineTuneConfig, known: int = 0
    ) -> None:
        self.recipe = segmenter.recipe
        self.alike = segmenter.network, segmenter.recipe.labels, str(config.teaches)
        self.known = known or self.recipe.n_outputs  # the outputs from here on are new
        self.doubt = doubted_from(self.recipe.n_outputs)
        self.config = config
        self.device = choose(config.device)
        stride = segmenter.network.total_stride
        z, y, x = (1,) * (3 - len(stride)) + tuple(stride)
        self.room = Room(self.device, config.batch, self.recipe.patch, (z, y, x))
        self.half = config.precision is not Precision.FULL
        belongs = self.recipe.belongs
        self.regions = torch.tensor(belongs, device=self.device) if belongs else None
        self.parent = network_of(segmenter, self.device).requires_grad_(False)
        self.whole = mean_of(segmenter, self.device).requires_grad_(False)
        first = copy.deepcopy(self.parent)
        if self.known < self.recipe.n_outputs:
            load_weights(first, fitted(segmenter, held.train, self.known))
        self.student = self._student(first)
        self.since = self.parent  # where it sets out
        self.first: Marks | None = None  # of that, if it is not the parent
        self.held = held
        self.exam: list[Lesson] = []
        self.lessons: list[Lesson] = []
        self.anchors = lessons_in(segmenter.memory, True)
        self.replayed = lessons_in(segmenter.memory, False) if config.replay else []
        self.notebook = Notebook(replace(config, run_folder=""), "", ())
        self.clock = Clock(config.minutes * 60, 0 if config.minutes else config.steps)
        self.remembered = bool(self.replayed)

    def prepare(self) -> Job[None]:
        """Ask the parent what it says of each lesson; comes before all else.

        Raises
        ------
        TrainingError
            Nothing teaches: all that was corrected is held back.
        """
        total = len(self.held.exam) + len(self.held.train)
        for one in self.held.exam:
            yield Progress(len(self.exam), total, LOOKS)
            self.exam.append(self._whole_slices(exam_box(one, self.recipe)))
        for one in self.held.train:
            yield Progress(len(self.exam) + len(self.lessons), total, LOOKS)
            self.lessons.append(self._centred(one))
        self.remembered |= self.config.weak > 0 and any(map(self._doubts, self.lessons))
        if not any(one.places for one in self.lessons):
            raise TrainingError(
                "something that was corrected must teach, all of it is held back to check the "
                "new model; correct another slice or scan"
            )

    def set_out(self, kept: Segmenter, before: Marks) -> Job[None]:
        """Begin at a candidate that was kept aside; not if it strayed too far from the parent."""
        taught = kept.lineage.config.get("teaches")
        if (kept.network, kept.recipe.labels, taught) != self.alike:
            return
        network = network_of(kept, self.device)
        marks = yield from self.score(network)
        if astray(before, marks):
            yield Notice(ANEW)
            return
        self.since, self.first = copy.deepcopy(network).requires_grad_(False), marks
        self.student = self._student(network)
        yield Notice(GOES_ON)

    def _student(self, network: nn.Module) -> Student:
        config, recipe = self.config, self.recipe
        taught = learner(network, config.teaches, recipe.patch, recipe.n_inputs)
        return Student(
            taught, Optimiser.ADAMW, 0.0, config.ema, config.precision, self.device, WARM_UP
        )

    def teach(self, before: Marks) -> Job[tuple[Snapshot, Snapshot]]:
        """Steps and validations until the time or the steps are up; the best seen, and the middle.

        A few scans are soon learnt by heart: what scores best on the others is often not the last.
        Who is refused goes on from half-way between where it began and where it ended, for chance
        in where single fine-tunes end averages out that way (Zhang et al. 2019, "Lookahead").
        """
        corrected, replayed = self._samplers()
        meter = Meter(before.anchors, self.config.worst_drop)
        if self.first is not None:
            meter.read(self.first.anchors)
        self.clock = Clock(self.clock.seconds, self.clock.steps)
        step, passed = 0, 0
        best: Snapshot | None = None
        if (kept := self.notebook.load()) is not None:
            step, passed, best = self._restore(kept, meter)
            yield Notice(going_on(kept))
        while (done := self.clock.done(step)) < 1:
            if math.floor(done * self.config.validations) > passed:
                passed = math.floor(done * self.config.validations)
                best, _ = yield from self._look(step, best, before, meter)
            try:
                batch = self._batch(corrected, replayed, step)
                loss = self._step(*batch, decayed(Schedule.COSINE, done), meter.strength)
            except (RuntimeError, MemoryError) as error:
                self.room, said = self.room.less(error)
            else:
                step += 1
                try:
                    told = yield StepDone(step, self.clock.steps, loss, self.clock.left_s(step))
                except GeneratorExit:
                    self.notebook.save(self._state(step, passed, best, meter))
                    raise
                if self.notebook.due:
                    self.notebook.save(self._state(step, passed, best, meter))
                self.clock.rested_s = told.seconds if isinstance(told, Rested) else 0.0
                continue
            self._move(self.room.device)
            corrected, replayed = self._samplers()
            yield Notice(said)
        return (yield from self._look(step, best, before, meter))

    def _state(self, step: int, passed: int, best: Snapshot | None, meter: Meter) -> dict[str, Any]:
        """All that it needs to go on, as tensors and plain values."""
        kept = best and {"weights": best.weights, "step": best.step, **plain_marks(best.marks)}
        return {
            "student": self.student.state(),
            "step": step,
            "passed": passed,
            "best": kept,
            "strength": meter.strength,
            "spent_s": self.clock.spent_s,
        }

    def _restore(self, kept: dict[str, Any], meter: Meter) -> tuple[int, int, Snapshot | None]:
        """Go on from there; the step, the validations that were, and the best so far."""
        self.student.restore(kept["student"])
        meter.strength, self.clock.before_s = kept["strength"], kept["spent_s"]
        one = kept["best"]
        best = None if one is None else Snapshot(one["weights"], marks_of(one), one["step"])
        return kept["step"], kept["passed"], best

    def score(self, network: nn.Module) -> Job[Marks]:
        """The network's scores on what was held back, and on the anchors."""
        exam = yield from self._exam(network, self.exam, "Scoring on held-back corrections")
        anchors = yield from self._exam(network, self.anchors, "Looking for what was forgotten")
        return Marks(exam, anchors)

    # -- what it sees -------------------------------------------------------------------------

    def _samplers(self) -> tuple[Sampler | None, Sampler | None]:
        """Of corrected scans, and of the memory: each half of a batch, or a patch at least."""
        batch = self.room.batch
        share = math.ceil(batch / 2) if self.replayed else batch
        taught = [one for one in self.lessons if one.places]
        recent = taught[: self.config.recent] if len(taught) > self.config.recent else []
        corrected = self._sampler([*taught, *recent], share)
        return corrected, self._sampler(self.replayed, max(1, batch - share))

    def _move(self, device: torch.device) -> None:
        """Go on elsewhere, or here with what the failed step took given back."""
        self.student.move(device)
        self.parent, self.whole = self.parent.to(device), self.whole.to(device)
        self.since = self.since.to(device)
        self.regions = None if self.regions is None else self.regions.to(device)
        empty_cache(self.device)
        self.device = device

    def _sampler(self, lessons: Sequence[Lesson], batch: int) -> Sampler | None:
        if not lessons or not batch:
            return None
        return Sampler(
            lessons,
            self.room.patch,
            batch,
            self.recipe.mirror_axes,
            self.config.augmentation,
            CENTRED,
            self.config.seed,
            self.recipe.patch[0] == 1,
        )

    def _batch(
        self, corrected: Sampler | None, replayed: Sampler | None, step: int
    ) -> tuple[torch.Tensor, torch.Tensor, int]:
        """Images, targets, and how many of them are of corrected scans.

        Of one patch at a time every second is of the memory.
        """
        if replayed is not None and self.room.batch == 1:
            turn, again = divmod(step, 2)
            assert corrected is not None  # `prepare` refuses that nothing teaches
            image, target = replayed(turn) if again else corrected(turn)
            return image.to(self.device), target.to(self.device), 0 if again else len(image)
        parts = [one(step) for one in (corrected, replayed) if one is not None]
        images = torch.cat([image for image, _ in parts]).to(self.device)
        targets = torch.cat([target for _, target in parts]).to(self.device)
        return images, targets, len(parts[0][0])

    # -- how it learns ------------------------------------------------------------------------

    def _step(
        self, images: torch.Tensor, targets: torch.Tensor, new: int, share: float, strength: float
    ) -> float:
        sure, doubted = targets < self.doubt, (targets >= self.doubt) & (targets != IGNORE)
        targets = torch.where(doubted, targets - self.doubt, targets)
        weight = torch.where(sure, 1.0, self.config.weak)
        remember = 0.0 if self.remembered else self.config.remember * strength
        taught = self._taught(images) if remember else None

        def loss_of(network: nn.Module) -> torch.Tensor:
            logits = network(images)
            loss = torch.zeros((), device=self.device)
            if new:
                loss = segmentation_loss(logits[:new], targets[:new], self.regions, weight[:new])
            if new < len(images):
                again = segmentation_loss(
                    merged(logits[new:], self.known), targets[new:], self.regions
                )
                loss = loss + self.config.replay * strength * again
            if taught is None:
                return loss
            right = ~(sure & (self._decided(taught) != targets))
            former, now = (merged(one, self.known) for one in (taught, logits))
            return loss + remember * memory_loss(now, former, right, self.regions is not None)

        loss = self.student.step(loss_of, self.config.learning_rate * share)
        pull(self.student.network, self.parent, self.config.anchor * strength * share)
        return loss

    def _taught(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), self.student.half():
            logits: torch.Tensor = self.parent(images)
            return logits.float()

    # -- how it is scored ---------------------------------------------------------------------

    def _look(
        self, step: int, best: Snapshot | None, before: Marks, meter: Meter
    ) -> Job[tuple[Snapshot, Snapshot]]:
        """The best so far, of the student and places between its beginning and it; the middle.

        The middle often knows more than either end (Wortsman et al. 2022). Where even that forgot
        something, a small step from the parent may not have.
        """
        now = plain(self.student.average)
        marks = yield from self.score(now)
        meter.read(marks.anchors)
        yield Validated(step, marks.exam.dice, marks.exam.jaccard, marks.anchors.dice)
        known = [Snapshot(weights_of(now), marks, step)]
        for share, begin in ((HALF, self.since), (QUARTER, self.parent)):
            if share < HALF and any(worth(one, before, self.config)[0] for one in known):
                break
            nearer = copy.deepcopy(now)
            mix(nearer, begin, 1 - share)
            known.append(Snapshot(weights_of(nearer), (yield from self.score(nearer)), step))
        earlier = [] if best is None else [best]
        best = max([*known, *earlier], key=lambda one: worth(one, before, self.config))
        return best, known[1]

    def _exam(self, network: nn.Module, lessons: Sequence[Lesson], text: str) -> Job[Exam]:
        exam = scores([], self.recipe)
        for number, result in enumerate(
            examine(network, lessons, self.recipe, self.device, self.half)
        ):
            if result is None:
                yield Progress(number + 1, len(lessons), text)
            else:
                exam = result
        return exam

    def _doubts(self, one: Lesson) -> bool:
        """Whether the parent's word teaches in a lesson."""
        return bool(((one.target >= self.doubt) & (one.target != IGNORE)).any())

    def _said(self, one: Lesson) -> torch.Tensor:
        return segmented(self.whole, one.image, self.recipe, self.device, self.half)

    def _whole_slices(self, one: Lesson) -> Lesson:
        """The exam with the rest of each corrected slice as it was left, in doubt.

        Strokes alone are where the parent is wrong: on them a student that paints everything would
        be perfect.
        """
        known = one.target != IGNORE
        rest = ~known & known.flatten(1).any(1)[:, None, None]
        if not bool(rest.any()):
            return one
        said, _ = as_left(one, self._said(one))
        return replace(one, target=torch.where(rest, said + self.doubt % IGNORE, one.target))

    def _decided(self, logits: torch.Tensor) -> torch.Tensor:
        """Output numbers uint8 (B, ...) of logits (B, L, ...)."""
        decide = winners if self.regions is None else painted
        return decide(logits.movedim(1, 0)).to(torch.uint8)

    def _centred(self, one: Lesson) -> Lesson:
        """The lesson with the places of its labels, and of the corrections where that is quick."""
        known = one.target != IGNORE
        places = [known & (one.target == n) for n in range(1, len(self.recipe.values))]
        if not bool(known.all()):
            places.append(known & (one.target == 0))
        if self.doubt == IGNORE or exam_box(one, self.recipe).target.shape != one.target.shape:
            return with_places(one, places)
        logits = blended(self.whole, one.image.float(), self.recipe, self.device, self.half)
        said = self._decided(logits[None])[0]
        places.append(known & (said != one.target))
        if finds(said, one.target) < FOUND:
            return with_places(one, places)
        said, left = as_left(one, said)
        believed = ~known & (left | (_sureness(logits, self.regions is not None) > SURE))
        taught = torch.where(believed, said + self.doubt, one.target)
        return with_places(replace(one, target=taught), places)


def worth(one: Snapshot, before: Marks, config: FineTuneConfig) -> tuple[bool, float]:
    """The larger the better: who forgot nothing, then the Dice on corrections."""
    lost = forgotten(before, one.marks, config.worst_drop)
    return not lost, one.marks.exam.mean


def finds(said: torch.Tensor, target: torch.Tensor) -> float:
    """Share of the worst found structure that the parent has in the corrected slices, as they are.

    1 where no structure is. Who misses most of one is no witness of where else it is not.
    """
    known = target != IGNORE
    corrected = known.flatten(1).any(1)
    now = torch.where(known, target, said)[corrected]
    values = [value for value in torch.unique(target[known]).tolist() if value]
    shares = [float((said[corrected][now == value] == value).float().mean()) for value in values]
    return min(shares, default=1.0)


def as_left(one: Lesson, said: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The parent's labels, in corrected slices those that somebody left; and where those are.

    Who worked on a slice saw all of it. But a mask that lacks most of what the parent sees there
    was never predicted, or is not done: then it tells nothing.
    """
    known = one.target != IGNORE
    nowhere = torch.zeros_like(known)
    if one.left is None:
        return said, nowhere
    rest = ~known & known.flatten(1).any(1)[:, None, None] & (one.left != IGNORE)
    seen = rest & (said > 0)
    if bool(seen.any()) and float((one.left == said)[seen].float().mean()) < FOUND:
        return said, nowhere
    return torch.where(rest, one.left, said), rest


def _sureness(logits: torch.Tensor, overlapping: bool) -> torch.Tensor:
    """Probability (Z, Y, X) of what logits (L, Z, Y, X) say."""
    if overlapping:
        return (logits.abs()).sigmoid().amin(0)
    return logits.softmax(0).amax(0)
