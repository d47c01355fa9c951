"""Ways of learning from corrected cases: ours, and what others do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from napari_medseg import io
from napari_medseg.correction.record import Example
from napari_medseg.jobs import Job
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import FineTuneConfig, TrainConfig, from_json
from napari_medseg.training.dataset import Case, Cases
from napari_medseg.training.finetune import fine_tune
from napari_medseg.training.simulation import Strategy
from napari_medseg.training.split import Split, split_of
from napari_medseg.training.train import train


@dataclass(frozen=True, eq=False)
class Lesson:
    """A corrected case, and the files that it comes from."""

    case: Case
    example: Example


@dataclass(frozen=True, eq=False)
class Round:
    """What a strategy knows when a case was corrected.

    Attributes
    ----------
    first, now
        The model before all corrections, and the one in use.
    lessons
        All corrected cases, the newest first.
    known
        Who teaches and who examines, as decided in earlier rounds.
    aside
        The candidate of the round before, if that was not adopted.
    scratch_steps
        Optimiser steps of a training from scratch; 0: those of a fine-tune for each lesson.
    """

    first: Segmenter
    now: Segmenter
    lessons: tuple[Lesson, ...]
    known: Split
    config: FineTuneConfig
    scratch_steps: int
    aside: Segmenter | None = None


@dataclass(frozen=True, eq=False)
class Learned:
    """The model to use next, whether it is a new one, why, and who examines from now on.

    `aside` is the candidate, if it is not the model to use next.
    """

    segmenter: Segmenter
    adopted: bool
    why: str
    known: Split
    aside: Segmenter | None = None


Learn: TypeAlias = Callable[[Round], Job[Learned]]


def ours(now: Round) -> Job[Learned]:
    """As the window does it."""
    return (yield from _tuned(now.now, [one.example for one in now.lessons], now))


def no_gate(now: Round) -> Job[Learned]:
    """On from the model in use with the corrected scans alone."""
    examples = [one.example for one in now.lessons]
    bare = replace(now, config=_careless(now.config))
    return (yield from _tuned(_forgetful(now.now), examples, bare))


def restart(now: Round) -> Job[Learned]:
    """From the first model, on all corrected masks as they are."""
    examples = [_whole(one.example) for one in now.lessons]
    bare = replace(now, config=_careless(now.config), known=Split())
    return (yield from _tuned(_forgetful(now.first), examples, bare))


def scratch(now: Round) -> Job[Learned]:
    """A new network as the first one was trained, on all corrected masks as they are."""
    with tempfile.TemporaryDirectory(prefix="medseg-") as folder:
        cases: list[Case] = []
        for one in now.lessons:
            path = Path(folder) / f"{len(cases):04}.nii.gz"
            io.write_mask(one.example.mask, path)
            cases.append(replace(one.case, mask=path))
        found = Cases("corrected", tuple(cases), labels=now.first.recipe.labels)
        segmenter = yield from train(found, _as_first(now))
    return Learned(segmenter, True, "trained from scratch", now.known)


def none(now: Round) -> Job[Learned]:
    """The model in use, for ever."""
    yield from ()
    return Learned(now.now, False, "nothing is learned", now.known)


STRATEGIES: Mapping[Strategy, Learn] = {
    Strategy.OURS: ours,
    Strategy.NO_GATE: no_gate,
    Strategy.RESTART: restart,
    Strategy.SCRATCH: scratch,
    Strategy.NONE: none,
}


def _tuned(parent: Segmenter, examples: list[Example], now: Round) -> Job[Learned]:
    outcome = yield from fine_tune(parent, examples, now.config, now.known, now.aside)
    aside = None if outcome.adopted else outcome.candidate
    return Learned(outcome.segmenter, outcome.adopted, outcome.why, split_of(outcome.split), aside)


def _careless(config: FineTuneConfig) -> FineTuneConfig:
    """The same steps without the memory, the way back to the parent and the gate."""
    return replace(
        config, gate=False, replay=0.0, remember=0.0, weak=0.0, anchor=0.0, memory_mb=0.0
    )


def _forgetful(segmenter: Segmenter) -> Segmenter:
    """Without pieces of earlier cases, by which the best moment would be chosen."""
    return replace(segmenter, memory=())


def _whole(example: Example) -> Example:
    """A mask that counts as right everywhere, as where nobody keeps who painted what."""
    return replace(example, confirmed=np.ones_like(example.confirmed))


def _as_first(now: Round) -> TrainConfig:
    """The settings of the first model where we trained it, for so many steps."""
    lineage, recipe = now.first.lineage, now.first.recipe
    config = TrainConfig()
    if lineage.how == "train":
        config = replace(
            from_json(lineage.config, TrainConfig),
            features=now.first.network.features,
            patch=recipe.patch,
            spacing_mm=recipe.spacing_mm or (),
        )
    return replace(
        config,
        minutes=0.0,
        steps=now.scratch_steps or now.config.steps * len(now.lessons),
        only_first=0,
        validation=(),
        validation_last=0,
        run_folder="",
        memory_mb=0.0,
        patience=0,
        track=(),
        device=now.config.device,
        threads=now.config.threads,
        seed=now.config.seed,
    )
