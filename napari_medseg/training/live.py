"""Learning along while a person paints: some steps under each stroke, then the viewed slice again.

>>> job = Child().run("napari_medseg.training.live:live", model_path, example)
>>> job.send(Strokes((stroke,)))           # after the job said that it is `Listening`

What is learned here stays here: it shows at once what a stroke would teach. The model that is used
next comes from a whole fine-tune, which passes a gate.
"""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch

from napari_medseg.correction.record import Example, Labels
from napari_medseg.inference import device as devices
from napari_medseg.inference.regrid import painted, winners
from napari_medseg.inference.result import View
from napari_medseg.inference.slab import Slab
from napari_medseg.inference.tiles import Box, Extent, smaller
from napari_medseg.jobs import Job, Listening, Notice, Progress
from napari_medseg.models import checkpoint
from napari_medseg.models.build import network_of
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.patchwork import put
from napari_medseg.preprocess.prepare import outputs_of, prepare, prepare_mask
from napari_medseg.training.config import IGNORE, Optimiser, Precision, check_bounds
from napari_medseg.training.events import SliceSeen, Stroke, Strokes
from napari_medseg.training.examples import vouched
from napari_medseg.training.loss import memory_loss, segmentation_loss
from napari_medseg.training.memory import lessons_in
from napari_medseg.training.parts import pull
from napari_medseg.training.sampling import Lesson, cut
from napari_medseg.training.student import Student
from napari_medseg.volume import Mask

WRONG = 3.0  # weight of a voxel that the parent had wrong, against one that it had right
REPLAY_EVERY = 4  # steps; one of them looks at the model's memory instead of the stroke
EMA = 0.9  # of what is gone back to after a step that was not finite
SMALLER = "Not enough memory to learn along: going on with smaller patches"
FEWEST_STEPS = 3  # that a patch must leave time for


@dataclass(frozen=True)
class LiveConfig:
    """How a model learns along.

    Attributes
    ----------
    steps
        After each stroke, if they fit into `learn_s`.
    learn_s, look_s
        Seconds for the steps, and for seeing the slice again: together the time from the stroke to
        its answer.
    remember
        Weight of staying near the parent's own output where nobody corrected: a stroke is some
        voxels of a patch of many thousand, and must move no others but those that are like it.
    anchor
        Share of the way back to the parent's weights that each step goes.
    threads
        0 leaves one processor to the window: on two busy ones two threads, which wait for each
        other, took several times as long as one.
    """

    steps: Annotated[int, {"min": 1, "max": 100}] = 6
    learn_s: Annotated[float, {"min": 0.0, "max": 60.0}] = 0.9
    look_s: Annotated[float, {"min": 0.0, "max": 60.0}] = 0.6
    learning_rate: Annotated[float, {"min": 1e-7, "max": 0.1}] = 2e-4
    remember: Annotated[float, {"min": 0.0, "max": 10_000.0}] = 200.0
    anchor: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.002
    precision: Precision = Precision.AUTO
    device: str = "auto"
    threads: Annotated[int, {"min": 0, "max": 1024}] = 0
    seed: Annotated[int, {"min": 0, "max": 2**31 - 1}] = 0

    def __post_init__(self) -> None:
        check_bounds(self)


DEFAULT = LiveConfig()


def live(model_path: Path, example: Example, config: LiveConfig = DEFAULT) -> Job[None]:
    """Learn from strokes on one scan, each of which is answered by a `SliceSeen`.

    Ends when it is told nothing where it listens.

    Parameters
    ----------
    example
        The scan, and what was corrected in it so far.

    Raises
    ------
    ModelError
        The model cannot be loaded.
    TrainingError
        The loss stays not finite.
    """
    devices.keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(config.threads or max(1, (os.cpu_count() or 2) - 1))
    try:
        told = yield Progress(0, 0, "Preparing to learn as you paint")
        learner = Learner(checkpoint.load(model_path), example, config)
        heard = 0
        told = told or (yield Listening())
        while isinstance(told, Strokes):
            started = time.perf_counter()
            fresh = [one for one in told.strokes if one.number > heard]
            told = None
            if fresh:
                heard = fresh[-1].number
                told = yield from learner.hear(fresh)
                told = (yield learner.answer(fresh[-1], started)) or told
            told = told or (yield Listening())
    finally:
        torch.set_num_threads(threads)


class Learner:
    """A student of one scan, and what it knows of it."""

    def __init__(self, segmenter: Segmenter, example: Example, config: LiveConfig) -> None:
        self.recipe, self.config = segmenter.recipe, config
        self.device = devices.choose(config.device)
        self._half = config.precision is not Precision.FULL
        belongs = self.recipe.belongs
        self._regions = torch.tensor(belongs, device=self.device) if belongs else None
        self._parent = network_of(segmenter, self.device).requires_grad_(False)
        network = copy.deepcopy(self._parent).requires_grad_(True)
        self.student = Student(
            network, Optimiser.ADAMW, 0.0, EMA, config.precision, self.device, warm_up=1
        )
        self._prepared = prepare(example.volume, self.recipe)
        labels = Mask(vouched(example, IGNORE), example.mask.geometry)
        target = prepare_mask(labels, self._prepared, self.recipe)
        self._lesson = Lesson("live", self._prepared.tensor, target)
        self._replayed = lessons_in(segmenter.memory, False)
        self._rng = np.random.default_rng(config.seed)
        stride = segmenter.network.total_stride
        z, y, x = (1,) * (3 - len(stride)) + tuple(stride)
        self._step: Extent = (z, y, x)
        a, b, c = (math.ceil(n / k) * k for n, k in zip(self.recipe.patch, self._step, strict=True))
        self._tile: Extent = (a, b, c)
        self._slab = Slab(example.volume, self._prepared, self.recipe, self._tile)
        self._before: dict[tuple[View, str], Labels] = {}
        self._centre: Sequence[int] = [n // 2 for n in target.shape]
        self._steps, self._loss = 0, math.nan
        self._halvings = 0
        self._look_s = self._timed(self.patch, False)
        while self._timed(self.patch, True) * FEWEST_STEPS > config.learn_s and self._shrink():
            pass

    # -- what it is told ----------------------------------------------------------------------

    def hear(self, strokes: Sequence[Stroke]) -> Job[object]:
        """Take note of strokes and learn from them, less at a time where memory runs out.

        Gives what it was told meanwhile.
        """
        told: object = None
        for one in strokes:
            self._note(one)
        while True:
            try:
                self._steps, self._loss = self._learn()
                return told
            except (RuntimeError, MemoryError) as error:
                if not devices.is_out_of_memory(error) or not self._shrink():
                    raise
            told = (yield Notice(SMALLER)) or told

    def answer(self, stroke: Stroke, started: float) -> SliceSeen:
        """The viewed slice as it is seen now; `started` is when the stroke came, perf_counter."""
        view = self._slab.view(stroke.axis, stroke.index)
        tiles = max(1, int(self.config.look_s / max(self._look_s, 1e-4)))
        region = self._slab.region(view, self._centre, tiles)
        seen = self._slab.labels(self.student.network, view, region, self.device, self._half)
        before = self._seen_before(view, region)
        self.student.network.train()
        seconds = time.perf_counter() - started
        return SliceSeen(
            stroke.axis,
            stroke.index,
            seen.start,
            seen.labels,
            seen.labels != before,
            stroke.number,
            self._steps,
            self._loss,
            seconds,
        )

    def _note(self, stroke: Stroke) -> None:
        """Write a stroke into what is known of the scan."""
        turn = self._prepared.turn
        own, shape = stroke.box, turn.target.shape
        flipped = [
            slice(n - own[axis].stop, n - own[axis].start) if flip else own[axis]
            for axis, flip, n in zip(turn.axes, turn.flips, shape, strict=True)
        ]
        labels = np.where(stroke.confirmed, stroke.labels, np.asarray(IGNORE, stroke.labels.dtype))
        outputs = turn.apply(outputs_of(labels, self.recipe))
        box = (flipped[0], flipped[1], flipped[2])
        where = put(self._lesson.target, self._prepared.geometry, outputs, box, turn.target)
        if where is not None:
            self._centre = _middle(self._lesson.target, where)

    def _seen_before(self, view: View, region: Box) -> Labels:
        """The parent's labels of the same slice by the same tiles; kept for the next stroke."""
        key = view, str(region)
        if key not in self._before:
            if len(self._before) > 20:
                self._before.clear()
            done = self._slab.labels(self._parent, view, region, self.device, self._half)
            self._before[key] = done.labels
        return self._before[key]

    # -- how it learns ------------------------------------------------------------------------

    def _learn(self) -> tuple[int, float]:
        """Some steps on the patch around the stroke; how many there was time for."""
        images, targets = self._batch(self._lesson, self._centre)
        with torch.no_grad(), self.student.half():
            taught = self._parent(images).float()
        started, step, loss, longest = time.perf_counter(), 0, math.nan, 0.0
        while step < self.config.steps:
            before = time.perf_counter()
            if step and before - started + longest > self.config.learn_s:
                break
            again = bool(self._replayed) and step % REPLAY_EVERY == REPLAY_EVERY - 1
            loss = self._replay() if again else self._step_on(images, targets, taught)
            pull(self.student.network, self._parent, self.config.anchor)
            longest = max(longest, time.perf_counter() - before)
            step += 1
        return step, loss

    def _step_on(
        self, images: torch.Tensor, targets: torch.Tensor, taught: torch.Tensor | None
    ) -> float:
        known = targets != IGNORE
        weight, free = known.float(), ~known
        if taught is not None:
            decide = winners if self._regions is None else painted
            wrong = known & (decide(taught.movedim(1, 0)) != targets)
            weight, free = torch.where(wrong, WRONG, 1.0), ~wrong

        def loss_of(network: torch.nn.Module) -> torch.Tensor:
            logits = network(images)
            loss = segmentation_loss(logits, targets, self._regions, weight)
            if taught is None:
                return loss
            held = memory_loss(logits, taught, free, self._regions is not None)
            return loss + self.config.remember * held

        return self.student.step(loss_of, self.config.learning_rate)

    def _replay(self) -> float:
        """A step on a piece of a scan that the model knows."""
        chosen = self._replayed[self._rng.integers(len(self._replayed))]
        middle = [n // 2 for n in chosen.target.shape]
        return self._step_on(*self._batch(chosen, middle), None)

    def _batch(self, one: Lesson, centre: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """A patch and its target as a batch of one; without Z for a 2-D network."""
        inside = [
            min(max(at, size // 2), n - size + size // 2) if n > size else n // 2
            for at, n, size in zip(centre, one.target.shape, self.patch, strict=True)
        ]
        image, target = cut(one, inside, self.patch)
        if self._tile[0] == 1:
            image, target = image[:, 0], target[0]
        return image[None].to(self.device), target[None].to(self.device)

    # -- how much fits ------------------------------------------------------------------------

    @property
    def patch(self) -> Extent:
        """What is learned from at a time: a whole tile, for a network answers by its context.

        Half of it or less, where a step would take too long or too much memory.
        """
        patch = self._tile
        for _ in range(self._halvings):
            patch = self._halved(patch)
        return patch

    def _halved(self, patch: Extent) -> Extent:
        """Half of a patch; a network needs two voxels where it is coarsest."""
        z, y, x = (2 * k if n > k else k for n, k in zip(patch, self._step, strict=True))
        return smaller(patch, (z, y, x))

    def _shrink(self) -> bool:
        """Learn from smaller patches; whether there are any."""
        before = self.patch
        self._halvings += 1
        devices.empty_cache(self.device)
        return self.patch != before

    def _timed(self, patch: Extent, learn: bool) -> float:
        """Seconds of a look at a patch, or of a step that changes nothing; the best of two."""
        network = self.student.network
        size = patch[1:] if self._tile[0] == 1 else patch
        zeros = torch.zeros(1, self.recipe.n_inputs, *size, device=self.device)
        seconds = math.inf
        for _ in range(2):
            started = time.perf_counter()
            with torch.set_grad_enabled(learn), self.student.half():
                out = network(zeros).float().mean()
            if learn:
                out.backward()
            float(out.detach())
            seconds = min(seconds, time.perf_counter() - started)
        network.zero_grad(set_to_none=True)
        return seconds


def _middle(target: torch.Tensor, where: Box) -> list[int]:
    """The middle of what is known in a box, or else of the box."""
    known = (target[where] != IGNORE).nonzero()
    if not len(known):
        return [(part.start + part.stop) // 2 for part in where]
    middle = known.float().median(0).values.tolist()
    return [part.start + int(at) for part, at in zip(where, middle, strict=True)]
