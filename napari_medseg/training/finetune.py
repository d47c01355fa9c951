"""A better segmenter from corrected scans, and proof that it is one."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from napari_medseg.correction.record import Example
from napari_medseg.errors import TrainingError
from napari_medseg.inference.device import choose
from napari_medseg.inference.regrid import painted, winners
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models import checkpoint
from napari_medseg.models.build import mean_of, network_of, weights_of
from napari_medseg.models.card import Lineage
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import CleanRule
from napari_medseg.training.cleaning import upheld
from napari_medseg.training.clock import Clock
from napari_medseg.training.config import (
    IGNORE,
    FineTuneConfig,
    Optimiser,
    Precision,
    Schedule,
    as_json,
)
from napari_medseg.training.events import Outcome, OutcomeCard, StepDone, Validated
from napari_medseg.training.examples import exam_box, lessons_of, strange_values
from napari_medseg.training.gate import Held, Verdict, hold_back, verdict
from napari_medseg.training.loss import memory_loss, segmentation_loss
from napari_medseg.training.sampling import Lesson, Sampler, with_places
from napari_medseg.training.student import Student, decayed, mix
from napari_medseg.training.validate import Exam, examine, scores, segmented

CENTRED = 0.9  # share of the patches around a corrected voxel


def fine_tune(
    segmenter: Segmenter, examples: Sequence[Example], config: FineTuneConfig
) -> Job[Outcome]:
    """Teach a copy of the segmenter with corrected scans; the segmenter stays as it is.

    Only confirmed voxels are targets. Elsewhere, and wherever the parent was right, the copy is
    held to the parent's own output, so that it forgets nothing. The candidate is the copy when it
    scored best on corrections that it has not seen; it is adopted if that beats its parent. Closing
    the job leaves nothing behind.

    Raises
    ------
    TrainingError
        Nothing is corrected, or the loss stays not finite.
    """
    started = time.monotonic()
    threads = torch.get_num_threads()
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        yield Progress(0, 0, "Preparing the corrected scans")
        recipe = segmenter.recipe
        if strange := strange_values(examples, recipe, config.ignore):
            yield Notice(f"The model does not know label {strange[0]}: its voxels teach nothing")
        held = hold_back(lessons_of(examples, recipe, config.ignore), config.seed)
        session = _Session(segmenter, held, config)
        before = yield from session.score(session.whole)
        yield Validated(0, before.dice, before.jaccard)
        best = yield from session.teach()
        said = verdict(before, best.exam, held.how, config.worst_drop)
        rules = upheld(recipe.clean, examples)
        seconds = time.monotonic() - started
        return _outcome(segmenter, session, before, best, said, seconds, rules)
    finally:
        torch.set_num_threads(threads)


def fine_tune_file(
    model_path: Path, examples: Sequence[Example], config: FineTuneConfig, out: Path
) -> Job[OutcomeCard]:
    """As `fine_tune`, from file to file: the candidate is saved at `out`, adopted or not.

    Raises
    ------
    ModelError
        The parent cannot be loaded.
    TrainingError
        As `fine_tune`.
    WriteError
        The candidate cannot be saved.
    """
    outcome = yield from fine_tune(checkpoint.load(model_path), examples, config)
    yield Progress(0, 0, "Saving the new model")
    return OutcomeCard(
        candidate=checkpoint.save(outcome.candidate, out),
        before=outcome.before,
        after=outcome.after,
        adopted=outcome.adopted,
        why=outcome.why,
        seconds=outcome.seconds,
        cases=len(examples),
    )


@dataclass(frozen=True)
class _Snapshot:
    """The student as it was when it was scored."""

    weights: dict[str, torch.Tensor]
    exam: Exam
    step: int


class _Session:
    """One fine-tune: the parent, its student and what they look at."""

    def __init__(self, segmenter: Segmenter, held: Held, config: FineTuneConfig) -> None:
        self.recipe = segmenter.recipe
        self.config = config
        self.device = choose(config.device)
        self.half = config.precision is not Precision.FULL
        belongs = self.recipe.belongs
        self.regions = torch.tensor(belongs, device=self.device) if belongs else None
        self.parent = network_of(segmenter, self.device).requires_grad_(False)
        self.whole = mean_of(segmenter, self.device).requires_grad_(False)
        network = copy.deepcopy(self.parent).requires_grad_(True)
        self.student = Student(
            network, Optimiser.ADAMW, 0.0, config.ema, config.precision, self.device
        )
        self.exam = [self._whole_slices(exam_box(one, self.recipe)) for one in held.exam]
        self.clock = Clock(config.minutes * 60, 0 if config.minutes else config.steps)
        self.lessons = [self._centred(one) for one in held.train]
        if not any(one.places for one in self.lessons):
            raise TrainingError("at least two slices must be corrected; correct another one")

    def teach(self) -> Job[_Snapshot]:
        """Steps and validations until the time or the steps are up; the best that was seen.

        A few scans are soon learnt by heart: what scores best on the others is often not the last.
        """
        sampler = Sampler(
            [one for one in self.lessons if one.places],
            self.recipe.patch,
            self.config.batch,
            self.recipe.mirror_axes,
            self.config.augmentation,
            CENTRED,
            self.config.seed,
            self.recipe.patch[0] == 1,
        )
        self.clock = Clock(self.clock.seconds, self.clock.steps)
        step, passed = 0, 0
        best: _Snapshot | None = None
        while (done := self.clock.done(step)) < 1:
            if math.floor(done * self.config.validations) > passed:
                passed = math.floor(done * self.config.validations)
                best = yield from self._look(step, best)
            images, targets = (part.to(self.device) for part in sampler(step))
            loss = self._step(images, targets, decayed(Schedule.COSINE, done))
            step += 1
            yield StepDone(step, self.clock.steps, loss, self.clock.left_s(step))
        return (yield from self._look(step, best))

    def _look(self, step: int, best: _Snapshot | None) -> Job[_Snapshot]:
        """The best so far, the student as it is now, or the middle between it and its parent.

        The middle often knows more than either end: it forgets less (Wortsman et al. 2022).
        """
        middle = copy.deepcopy(self.student.average)
        mix(middle, self.parent, 0.5)
        half = _Snapshot(weights_of(middle), (yield from self.score(middle)), step)
        exam = yield from self.score(self.student.average)
        yield Validated(step, exam.dice, exam.jaccard)
        whole = _Snapshot(weights_of(self.student.average), exam, step)
        known = (half, whole) if best is None else (best, half, whole)
        return max(reversed(known), key=lambda snapshot: snapshot.exam.mean)  # of equals the last

    def score(self, network: nn.Module) -> Job[Exam]:
        """The network's scores on what was held back."""
        exam = scores([], self.recipe)
        todo = examine(network, self.exam, self.recipe, self.device, self.half)
        for number, result in enumerate(todo):
            if result is None:
                yield Progress(number + 1, len(self.exam), "Scoring on held-back corrections")
            else:
                exam = result
        return exam

    def _step(self, images: torch.Tensor, targets: torch.Tensor, share: float) -> float:
        with torch.no_grad(), self.student.half():
            taught = self.parent(images).float()
        known = targets != IGNORE
        decide = winners if self.regions is None else painted
        unchanged = ~known | (decide(taught.movedim(1, 0)) == targets)

        def loss_of(network: nn.Module) -> torch.Tensor:
            logits = network(images)
            loss = segmentation_loss(logits, targets, self.regions)
            held = memory_loss(logits, taught, unchanged, self.regions is not None)
            return loss + self.config.remember * held

        loss = self.student.step(loss_of, self.config.learning_rate * share)
        self.student.pull_towards(self.parent, self.config.anchor * share)
        return loss

    def _whole_slices(self, one: Lesson) -> Lesson:
        """The exam with the rest of each corrected slice as the parent has it.

        Strokes alone are where the parent is wrong: on them a student that paints everything would
        be perfect. What nobody corrected in the slice counts as right.
        """
        known = one.target != IGNORE
        rest = ~known & known.flatten(1).any(1)[:, None, None]
        if not bool(rest.any()):
            return one
        said = segmented(self.whole, one.image, self.recipe, self.device, self.half)
        return replace(one, target=torch.where(rest, said.to(one.target.dtype), one.target))

    def _centred(self, one: Lesson) -> Lesson:
        """The lesson with the places of its labels, and of the corrections where that is quick."""
        known = one.target != IGNORE
        places = [known & (one.target == n) for n in range(1, len(self.recipe.values))]
        if not bool(known.all()):
            places.append(known & (one.target == 0))
        if exam_box(one, self.recipe).target.shape == one.target.shape:
            said = segmented(self.whole, one.image, self.recipe, self.device, self.half)
            places.append(known & (said != one.target))
        return with_places(one, places)


def _outcome(
    parent: Segmenter,
    session: _Session,
    before: Exam,
    best: _Snapshot,
    said: Verdict,
    seconds: float,
    rules: tuple[CleanRule, ...],
) -> Outcome:
    candidate = Segmenter(
        parent.name,
        parent.network,
        best.weights,
        # what it learned now was never looked for coarsely
        replace(parent.recipe, scout=1.0, borders=False, clean=rules),
        Lineage(
            parent=checkpoint.weights_hash(checkpoint.joined(parent))[:12],
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            how="finetune",
            cases=len(session.lessons),
            scores=dict(best.exam.dice),
            config=as_json(session.config),
            note=f"after {best.step} steps, {said.why}",
        ),
    )
    return Outcome(
        segmenter=candidate if said.adopted else parent,
        candidate=candidate,
        before=dict(before.dice),
        after=dict(best.exam.dice),
        adopted=said.adopted,
        why=said.why,
        seconds=seconds,
    )
