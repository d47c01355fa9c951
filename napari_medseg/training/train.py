"""A network from labelled cases."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import torch
from torch import nn

from napari_medseg.errors import TrainingError
from napari_medseg.inference.device import choose
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models.build import build, network_of, weights_of
from napari_medseg.models.card import Lineage
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.board import Board
from napari_medseg.training.cleaning import FEWEST_CASES, Pair, learn
from napari_medseg.training.clock import Clock
from napari_medseg.training.config import Precision, TrainConfig, as_json
from napari_medseg.training.curriculum import Curriculum, prepare_cases
from napari_medseg.training.dataset import Cases
from napari_medseg.training.events import CleaningLearned, StepDone, Validated
from napari_medseg.training.loss import segmentation_loss
from napari_medseg.training.memory import memory_of
from napari_medseg.training.runrecord import case_hash, record
from napari_medseg.training.runstate import RunFolder, settings_of
from napari_medseg.training.sampling import Sampler
from napari_medseg.training.scouting import checked
from napari_medseg.training.student import Student, decayed
from napari_medseg.training.validate import Exam, examine, scores, segmented

STATE_EVERY_S = 120.0  # seconds of work that a power cut may cost


@dataclass
class Best:
    """The best weights so far and how long ago they were found."""

    weights: dict[str, torch.Tensor] = field(default_factory=dict)
    dice: dict[str, float] = field(default_factory=dict)
    mean: float = -1.0
    step: int = 0
    since: int = 0  # validations without a better one


def train(cases: Cases, config: TrainConfig) -> Job[Segmenter]:
    """A segmenter trained from scratch; the weights are those that validated best.

    Yields `Progress` while the cases are prepared and scored, `StepDone` after each step,
    `Validated` after each validation, `CleaningLearned` for each rule, and `Notice`. With
    `TrainConfig.run_folder` a run that was closed or killed goes on where it was when it is started
    again with the same settings.

    Raises
    ------
    DatasetError
        The cases are not what training needs.
    TrainingError
        The settings do not fit together, or the loss stays not finite.
    WriteError
        The run folder takes no file.
    """
    threads = torch.get_num_threads()
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        device, folder = choose(config.device), RunFolder(config.run_folder)
        curriculum = yield from prepare_cases(cases, config, device)
        run = _Run(curriculum, config, device, folder)
        try:
            return (yield from run.job())
        finally:
            run.board.close()
    finally:
        torch.set_num_threads(threads)


class _Run:
    """One training: its student, its clock and its best weights."""

    def __init__(
        self, curriculum: Curriculum, config: TrainConfig, device: torch.device, folder: RunFolder
    ) -> None:
        self.curriculum = curriculum
        self.config = config
        self.device = device
        self.recipe = curriculum.plan.recipe
        self.folder = folder
        self.board = Board(self.folder.path, config.track, as_json(config))
        self.best = Best()
        self.step = 0
        self.student = self._student()
        self.clock = Clock(config.minutes * 60, self._steps())
        names = [lesson.name for lesson in (*curriculum.train, *curriculum.validation)]
        self.settings = settings_of(config, names)

    def job(self) -> Job[Segmenter]:
        yield from self._begin()
        saved_s = self.clock.spent_s
        while self.clock.done(self.step) < 1 and not self._is_stuck():
            passed = self._validations_due()
            yield self._learn()
            if self._validations_due() > passed:
                yield from self._validate()
            elif self.clock.spent_s - saved_s < STATE_EVERY_S:
                continue
            self._save()
            saved_s = self.clock.spent_s
        if self._is_stuck():
            yield Notice(f"Stopped early: no better Dice in {self.best.since} validations")
        elif not self.best.weights:
            yield from self._validate()
        segmenter = yield from self._with_cleaning((yield from self._scouted(self._segmenter())))
        self.folder.finish()
        return segmenter

    def _begin(self) -> Job[None]:
        """Say what is trained; go on with an interrupted run if there is one."""
        chosen, parts = self.curriculum.plan, self.curriculum
        if not parts.validation:
            yield Notice("No case is held back: the model's quality on new cases stays unknown")
        self.folder.describe(self._about())
        state = self.folder.load(self.settings) if self.config.resume else None
        if state is not None:
            self._restore(state)
            yield Notice(f"Going on with the interrupted run at step {self.step}")
        yield Progress(
            0,
            0,
            f"Training on {len(parts.train)} cases, {len(parts.validation)} held back; "
            f"patch {chosen.recipe.patch}, batch {chosen.batch}, "
            f"features {chosen.network.features}, {self.device.type}",
        )

    def _learn(self) -> StepDone:
        images, targets = self.sampler(self.step)
        images, targets = images.to(self.device), targets.to(self.device)

        def loss_of(network: nn.Module) -> torch.Tensor:
            return segmentation_loss(network(images), targets)

        rate = self.config.rate * decayed(self.config.schedule, self.clock.done(self.step))
        loss = self.student.step(loss_of, rate)
        self.step += 1
        self.board.scalars("train", {"loss": loss, "rate": rate}, self.step)
        total = 0 if self.config.minutes else self.clock.steps
        return StepDone(self.step, total, loss, self.clock.left_s(self.step))

    def _validate(self) -> Job[None]:
        """Score the running average; keep it if it is the best so far."""
        exam = scores([], self.recipe)
        held, half = self.curriculum.validation, self.config.precision is not Precision.FULL
        network = self.student.average
        for number, result in enumerate(examine(network, held, self.recipe, self.device, half)):
            if result is None:
                yield Progress(number + 1, len(held), "Scoring the held-back cases")
            else:
                exam = result
        self._judge(exam)
        if held:
            labels = segmented(network, held[0].image.float(), self.recipe, self.device, half)
            self.board.picture(held[0], labels, self.step)
            self.board.scalars("dice", exam.dice, self.step)
            self.board.scalars("jaccard", exam.jaccard, self.step)
            yield Validated(self.step, exam.dice, exam.jaccard)

    def _judge(self, exam: Exam) -> None:
        if exam.mean > self.best.mean or not self.curriculum.validation:
            weights = weights_of(self.student.average)
            self.best = Best(weights, dict(exam.dice), exam.mean, self.step)
        else:
            self.best.since += 1

    def _validations_due(self) -> int:
        return math.floor(self.clock.done(self.step) * self.config.validations)

    def _is_stuck(self) -> bool:
        return 0 < self.config.patience <= self.best.since

    def _save(self) -> None:
        self.folder.save(
            {
                "settings": json.dumps(self.settings, sort_keys=True),
                "student": self.student.state(),
                "step": self.step,
                "spent_s": self.clock.spent_s,
                "best": vars(self.best),
            }
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self.student.restore(state["student"])
        self.step = state["step"]
        self.best = Best(**state["best"])
        self.clock = Clock(self.clock.seconds, self.clock.steps, state["spent_s"])

    def _student(self) -> Student:
        chosen, config = self.curriculum.plan, self.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = build(chosen.network, self.recipe.n_inputs, self.recipe.n_outputs)
        network.deep_supervision = chosen.network.deep_supervision
        student = Student(
            network,
            config.optimiser,
            config.weight_decay,
            config.ema,
            config.precision,
            self.device,
        )
        student.average.deep_supervision = False  # type: ignore[assignment]
        return student

    def _steps(self) -> int:
        """Where the run ends if no time is given."""
        if self.config.steps or self.config.minutes:
            return self.config.steps
        per_epoch = math.ceil(len(self.curriculum.train) / self.curriculum.plan.batch)
        return self.config.epochs * per_epoch

    @property
    def sampler(self) -> Sampler:
        chosen = self.curriculum.plan
        return Sampler(
            self.curriculum.train,
            self.recipe.patch,
            chosen.batch,
            self.recipe.mirror_axes,
            self.config.augmentation,
            self.config.foreground,
            self.config.seed,
            chosen.network.dims == 2,
            self.curriculum.coarse,
        )

    def _about(self) -> dict[str, Any]:
        return {
            "config": as_json(self.config),
            "train": [lesson.name for lesson in self.curriculum.train],
            "validation": [lesson.name for lesson in self.curriculum.validation],
        }

    def _segmenter(self) -> Segmenter:
        if not self.best.weights:
            raise TrainingError("must run for at least one step; give it more time", "train")
        minutes = self.clock.spent_s / 60
        lineage = Lineage(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            how="train",
            cases=len(self.curriculum.train),
            scores=self.best.dice,
            config={**as_json(self.config), "run_folder": "", "validation": []},  # no case's name
            run=record(
                case_hash(one.image.float().numpy(), one.target.numpy())
                for one in (*self.curriculum.train, *self.curriculum.validation)
            ),
            note=f"{self.best.step} steps of {self.step} in {minutes:.1f} min, "
            f"{len(self.curriculum.validation)} cases held back",
        )
        chosen = self.curriculum.plan
        parts, config = self.curriculum, self.config
        memory = memory_of(
            parts.train, parts.validation, self.recipe, config.memory_mb, config.seed
        )
        return Segmenter(
            config.name, chosen.network, self.best.weights, self.recipe, lineage, memory=memory
        )

    def _scouted(self, segmenter: Segmenter) -> Job[Segmenter]:
        """The segmenter that looks at the whole first only if that misses nothing."""
        if segmenter.recipe.scout <= 1:
            return segmenter
        network, half = network_of(segmenter, self.device), self.config.precision
        held = self.curriculum.validation
        recipe = yield from checked(
            network, held, segmenter.recipe, self.device, half is not Precision.FULL
        )
        return replace(segmenter, recipe=recipe)

    def _with_cleaning(self, segmenter: Segmenter) -> Job[Segmenter]:
        """The segmenter with the rules that clean its masks, learned from the held-back cases."""
        held = self.curriculum.validation
        if not self.config.learn_cleaning or len(held) < FEWEST_CASES:
            return segmenter
        network = network_of(segmenter, self.device)
        half = self.config.precision is not Precision.FULL
        pairs = []
        for number, one in enumerate(held):
            yield Progress(number, len(held), "Looking for what is always wrong")
            found = segmented(network, one.image.float(), self.recipe, self.device, half)
            pairs.append(Pair(found.numpy(), one.target.numpy()))
        truths = [one.target.numpy() for one in (*held, *self.curriculum.train)]
        learned = yield from learn(pairs, truths, self.recipe)
        for text in learned.said:
            yield CleaningLearned(text)
        note = "; ".join([segmenter.lineage.note, *learned.said])
        return replace(
            segmenter,
            recipe=replace(segmenter.recipe, clean=learned.rules),
            lineage=replace(segmenter.lineage, note=note),
        )
