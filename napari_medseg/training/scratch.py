"""A model of anything from a few painted slices of one scan, and the rest of that scan at once.

A network cannot learn a structure from three slices within a minute. What can be learned from them
in seconds are trees on voxels, helped by the painted shapes (`voxels`): they give the mask. That
mask teaches the network, in what time is left; so what comes out is a model as any other, which
goes on learning from corrections.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_medseg.correction.record import Example
from napari_medseg.inference.device import choose, free_bytes
from napari_medseg.jobs import Job, Progress, finish
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.card import Lineage
from napari_medseg.models.exemplar import anonymous
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import prepare, prepare_mask
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.begun import Draft, ScratchCard, ScratchConfig
from napari_medseg.training.clock import Clock
from napari_medseg.training.config import (
    IGNORE,
    Optimiser,
    Schedule,
    TrainConfig,
)
from napari_medseg.training.events import StepDone
from napari_medseg.training.examples import lessons_of
from napari_medseg.training.gate import slices_known
from napari_medseg.training.loss import segmentation_loss
from napari_medseg.training.painted import Bools, Floats, Stack, stack_of
from napari_medseg.training.plan import Fingerprint, Plan, largest_patch, plan
from napari_medseg.training.sampling import Lesson, Sampler, lesson
from napari_medseg.training.split import Slices, Split
from napari_medseg.training.student import Student, decayed
from napari_medseg.training.voxels import Found, Seeker
from napari_medseg.volume import Label, Mask, Reorientation

PATCH = 48**3  # voxels: some hundred steps of a small network within a minute
WIDEST = 96  # voxels of the network's grid along the searched part
UNSURE = (0.3, 0.7)  # chances that teach the network nothing
RATE = 2e-3
EMA = 0.95
FOREGROUND = 0.7
LEAST_STEPS = 10  # of the network, however late it is
COLORS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6", "#bcf60c")


@dataclass(frozen=True, eq=False)
class Scratch:
    """The rest of the scan, and a model that goes on learning.

    `unsure` are voxels that did not teach the model: the mask is a guess there.
    """

    mask: Mask
    segmenter: Segmenter
    unsure: Bools
    seconds: float


def from_nothing(example: Example, config: ScratchConfig) -> Job[Scratch]:
    """The painted structures in the whole scan, and a model taught with them.

    Paint a structure whole in a few slices: what is not painted in them counts as background. A
    confirmed slice without it tells where it ends. Yields a `Draft` whenever the mask gets better,
    then a `StepDone` after each step of the network.

    Raises
    ------
    TrainingError
        Nothing is painted, the scan is a single slice, or the loss stays not finite.
    """
    started = time.monotonic()
    threads = torch.get_num_threads()
    if config.threads:
        torch.set_num_threads(config.threads)
    try:
        found = yield from _sought(example, config, started)
        mask, unsure = _masked(example, found[0], found[1])
        yield Draft(mask, "followed through the scan", time.monotonic() - started)
        yield Progress(0, 0, "Teaching the network")
        left = max(1.0, config.seconds - (time.monotonic() - started))
        segmenter = yield from _taught(replace(example, mask=mask), unsure, config, left)
        return Scratch(mask, segmenter, unsure, time.monotonic() - started)
    finally:
        torch.set_num_threads(threads)


def from_nothing_file(example: Example, config: ScratchConfig, out: Path) -> Job[ScratchCard]:
    """As `from_nothing`, the model saved at `out`.

    Raises
    ------
    TrainingError
        As `from_nothing`.
    WriteError
        The model cannot be saved.
    """
    done = yield from from_nothing(example, config)
    card = checkpoint.save(done.segmenter, out)
    return ScratchCard(done.mask, card, done.seconds)


# -- the mask ---------------------------------------------------------------------------------


def _sought(
    example: Example, config: ScratchConfig, started: float
) -> Job[tuple[Stack, Mapping[int, Found]]]:
    yield Progress(0, 0, "Reading the painted slices")
    stack = stack_of(example)
    seeker = Seeker(stack, config.threads or os.cpu_count() or 1, config.seed)
    said = {}
    for value in stack.shapes:
        said[value] = seeker.guess(value)
        yield Progress(len(said), 2 * len(stack.shapes), "Following the shapes")
    first = {value: _between(stack, value, one.carried) for value, one in said.items()}
    mask, _ = _masked(example, stack, first)
    yield Draft(mask, "between the painted slices", time.monotonic() - started)
    found: dict[int, Found] = {}
    for value, one in said.items():
        found[value] = seeker.find(value, one)
        yield Progress(len(said) + len(found), 2 * len(said), "Finding the rest")
    return stack, found


def _between(stack: Stack, value: int, depth_mm: Floats) -> Found:
    """What the shapes alone say, from the first to the last painted slice."""
    inside = depth_mm >= 0
    inside[: min(stack.shapes[value])] = False
    inside[max(stack.shapes[value]) + 1 :] = False
    return Found(inside.astype(np.float32), inside)


def _masked(example: Example, stack: Stack, found: Mapping[int, Found]) -> tuple[Mask, Bools]:
    """The mask on the scan's grid, and where it is a guess; what a person painted is kept."""
    best = np.zeros(stack.shape, np.float32)
    labels = np.zeros(stack.shape, example.mask.labels.dtype)
    unsure = np.zeros(stack.shape, np.bool_)
    low, high = UNSURE
    for value, one in found.items():
        wins = one.mask & (one.chance > best)
        labels[wins], best[wins] = value, one.chance[wins]
        unsure |= (one.chance > low) & (one.chance < high) | ((one.chance >= high) & ~one.mask)
    unsure[list(stack.known)] = False
    whole = stack.on_scan(labels, 0)
    vouched = example.confirmed
    whole = np.where(vouched, example.mask.labels, whole)
    guessed = stack.on_scan(unsure, True) & ~vouched
    mask = replace(example.mask, labels=whole, names=_names(example, sorted(found)))
    return mask, guessed


def _names(example: Example, values: list[int]) -> tuple[Label, ...]:
    known = {one.value: one for one in example.mask.names}
    return tuple(
        known.get(value, Label(value, f"structure {value}", COLORS[k % len(COLORS)]))
        for k, value in enumerate(values)
    )


# -- the network ------------------------------------------------------------------------------


def _taught(
    example: Example, unsure: Bools, config: ScratchConfig, seconds: float
) -> Job[Segmenter]:
    """A network that learned the mask, where that is sure."""
    what = _plan(example, unsure, config)
    device = choose(config.device)
    torch.manual_seed(config.seed)
    network = build(what.network, what.recipe.n_inputs, what.recipe.n_outputs)
    student = Student(network, Optimiser.ADAMW, 0.01, EMA, config.precision, device)
    sampler = Sampler(
        [_lesson(example, unsure, what)],
        what.recipe.patch,
        what.batch,
        strength=config.augmentation,
        foreground=FOREGROUND,
        seed=config.seed,
        flat=what.recipe.patch[0] == 1,
    )
    clock = Clock(0 if config.steps else seconds, config.steps)
    step = 0
    while clock.done(step) < 1 or step < min(LEAST_STEPS, config.steps or LEAST_STEPS):
        images, targets = (one.to(device) for one in sampler(step))
        rate = RATE * decayed(Schedule.COSINE, min(1.0, clock.done(step)))

        def loss_of(
            network: torch.nn.Module, images: torch.Tensor = images, targets: torch.Tensor = targets
        ) -> torch.Tensor:
            return segmentation_loss(network(images), targets)

        loss = student.step(loss_of, rate)
        step += 1
        yield StepDone(step, config.steps, loss, clock.left_s(step))
    return Segmenter(
        config.name,
        what.network,
        weights_of(student.average),
        what.recipe,
        Lineage(
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            how="scratch",
            cases=1,
            config=_plain(config),
            note=f"begun from painted slices of one scan, {step} steps",
            split=_as_teacher(example, what.recipe),
        ),
    )


def _plan(example: Example, unsure: Bools, config: ScratchConfig) -> Plan:
    """A small network at a resolution that shows the structures whole."""
    grid = Reorientation.to_canonical(example.volume.geometry)
    there = np.nonzero(~grid.apply(unsure))
    sizes = [int(at.max() - at.min()) + 1 for at in there]
    spacing = [
        max(mm, size * mm / WIDEST) for mm, size in zip(grid.target.spacing_mm, sizes, strict=True)
    ]
    shape = [
        max(1, round(size * mm / new))
        for size, mm, new in zip(sizes, grid.target.spacing_mm, spacing, strict=True)
    ]
    z, y, x = (max(4, n) for n in shape)
    ct = example.volume.modality == "CT"
    patch = largest_patch((z, y, x), (spacing[0], spacing[1], spacing[2]), PATCH)
    settings = TrainConfig(
        name=config.name,
        features=_depth(patch, config.features),
        deep_supervision=False,
        patch=patch,
        spacing_mm=tuple(spacing),
        batch=2,
        scout=1.0,
    )
    channels = example.volume.channels or (example.volume.modality or "image",)
    found = Fingerprint(
        (grid.target.shape,), (grid.target.spacing_mm,), channels, example.mask.names, ct
    )
    return plan(found, settings, free_bytes(torch.device("cpu")))


def _depth(patch: tuple[int, int, int], features: tuple[int, ...]) -> tuple[int, ...]:
    """As many stages as the patch can be halved for."""
    most = 1 + int(math.log2(max(2.0, max(patch) / 4)))  # two at least
    return features[:most]


def _lesson(example: Example, unsure: Bools, what: Plan) -> Lesson:
    labels = np.where(unsure, np.asarray(IGNORE, example.mask.labels.dtype), example.mask.labels)
    prepared = prepare(example.volume, what.recipe)
    target = prepare_mask(Mask(labels, example.mask.geometry), prepared, what.recipe)
    known = (target != IGNORE).nonzero()
    low, high = known.min(0).values.tolist(), known.max(0).values.tolist()
    z, y, x = (
        slice(max(0, a - n // 4), b + 1 + n // 4)
        for a, b, n in zip(low, high, what.recipe.patch, strict=True)
    )
    image = prepared.tensor[:, z, y, x].clone()
    return lesson("painted scan", image, target[z, y, x].clone(), _subject(example))


def _as_teacher(example: Example, recipe: Recipe) -> dict[str, Any]:
    """As the gate keeps it: the scan teaches, and so did each slice that is known by now."""
    name = anonymous(_subject(example))
    (one,) = finish(lessons_of([replace(example, subject=_subject(example))], recipe, IGNORE))
    slices = Slices(teach=frozenset(slices_known(one)))
    return Split({name: False}, {name: slices}).plain()


def _subject(example: Example) -> str:
    return example.subject or example.volume.name or "scan 1"


def _plain(config: ScratchConfig) -> dict[str, Any]:
    return {**asdict(config), "features": list(config.features), "precision": str(config.precision)}
