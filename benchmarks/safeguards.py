"""Is anything forgotten, is a bad teacher ever believed? Real fine-tunes on hippocampus MR.

    python benchmarks/safeguards.py OUT [--teachers 100] [--set steps=30]

OUT holds `start.safetensors`, which `benchmarks/learning.py OUT --train` makes. All scores are of
the 39 validation cases, which nobody learns from.

* Forgetting: fine-tunes on the anterior part alone (only its voxels and the background are
  corrected), and on cases of another look (their grey values inverted and bent), as the window does
  it and without memory, distance to the parent and gate.
* Bad teachers: each fine-tune is taught by four cases, every voxel of which somebody vouches for,
  and wrongly: the labels exchanged, nothing labelled, the mask shifted by five voxels or mirrored;
  or by a single wrong stroke in one case. Their exam is as wrong as their lessons: only what the
  model keeps of earlier cases can tell. A candidate that is adopted is scored.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from engine import machine
from learning import FIRST, hippocampi, table

from napari_medseg.cli.settings import gather
from napari_medseg.correction.record import Example, Labels
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.build import network_of
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import IGNORE, FineTuneConfig
from napari_medseg.training.dataset import Case, read_case
from napari_medseg.training.events import Outcome
from napari_medseg.training.examples import lessons_of
from napari_medseg.training.sampling import Lesson
from napari_medseg.training.session import fine_tune
from napari_medseg.training.validate import Exam, examine

CASES = 4  # that teach at a time
ALLOWED = 0.002  # Dice; more must never be lost
Look = Callable[[Example], Example]


def swapped(one: Example) -> Example:
    """The two labels exchanged."""
    return vouched(one, np.array([0, 2, 1], np.uint8)[one.mask.labels])


def empty(one: Example) -> Example:
    """Nothing anywhere."""
    return vouched(one, np.zeros_like(one.mask.labels))


def shifted(one: Example) -> Example:
    """Five voxels off along each axis."""
    return vouched(one, np.roll(one.mask.labels, (5, 5, 5), (0, 1, 2)))


def flipped(one: Example) -> Example:
    """Mirrored from left to right."""
    return vouched(one, np.ascontiguousarray(one.mask.labels[:, :, ::-1]))


def vouched(one: Example, labels: Labels) -> Example:
    mask = replace(one.mask, labels=labels.astype(np.uint8))
    return replace(one, mask=mask, confirmed=np.ones(labels.shape, bool))


def stroke(one: Example) -> Example:
    """A single drag of the wrong label through the middle of the structure."""
    labels, confirmed = one.mask.labels.copy(), np.zeros(one.mask.labels.shape, bool)
    z, y, x = (int(n) for n in np.argwhere(labels > 0).mean(0))
    confirmed[z, y - 2 : y + 3, x - 6 : x + 7] = True
    labels[confirmed] = 3 - np.clip(labels[confirmed], 1, 2)
    return replace(one, mask=replace(one.mask, labels=labels), confirmed=confirmed)


def anterior_only(one: Example) -> Example:
    """Nobody says anything of the posterior part."""
    return replace(one, confirmed=one.mask.labels != 2)


def another_look(one: Example) -> Example:
    """Grey values inverted, and bent by a power of 0.6."""
    grey = one.volume.array.astype(np.float32)
    low, high = float(grey.min()), float(grey.max())
    bent = (1 - (grey - low) / max(high - low, 1e-6)) ** 0.6
    return replace(one, volume=replace(one.volume, array=(bent * 1000).astype(np.float32)))


BAD: Mapping[str, Look] = {
    "labels exchanged": swapped,
    "empty": empty,
    "shifted": shifted,
    "flipped": flipped,
    "one wrong stroke": stroke,
}
DRIFTS: Mapping[str, Look] = {"anterior only": anterior_only, "another look": another_look}


class Trial:
    """The starting model, what may teach it, and the score on cases that nobody learns from."""

    def __init__(self, out: Path, config: FineTuneConfig) -> None:
        self.segmenter = checkpoint.load(out / "start.safetensors")
        self.config = config
        _, train, held = hippocampi()
        self.cases: Sequence[Case] = train[FIRST:]
        confirmed = list(map(whole, held))
        self._held: list[Lesson] = finish(lessons_of(confirmed, self.segmenter.recipe, IGNORE))
        self.before = self.score(self.segmenter)

    def score(self, segmenter: Segmenter) -> Exam:
        network = network_of(segmenter)
        *_, exam = examine(network, self._held, segmenter.recipe, torch.device("cpu"), True)
        assert exam is not None
        return exam

    def examples(self, number: int, count: int, look: Look) -> list[Example]:
        """Cases that this run has for its own, changed."""
        order = np.random.default_rng(number).permutation(len(self.cases))
        return [look(whole(self.cases[int(n)])) for n in order[:count]]

    def run(self, examples: list[Example], careful: bool, seed: int) -> Outcome:
        config = replace(self.config, seed=seed)
        if careful:
            return finish(fine_tune(self.segmenter, examples, config))
        bare = replace(config, gate=False, replay=0.0, remember=0.0, anchor=0.0, memory_mb=0.0)
        return finish(fine_tune(replace(self.segmenter, memory=()), examples, bare))


def whole(case: Case) -> Example:
    volume, mask = read_case(case)
    return Example(volume, mask, np.ones(mask.labels.shape, bool), case.subject)


def forgetting(trial: Trial) -> Iterator[list[str]]:
    """A row for each way to drift, with and without the safeguards."""
    yield ["before", "–", *numbers(trial.before.dice), ""]
    for name, look in DRIFTS.items():
        for careful in (True, False):
            outcome = trial.run(trial.examples(0, CASES, look), careful, 0)
            # also what was not adopted is scored: what the safeguards in the loss alone hold
            now = trial.score(outcome.candidate)
            losses = [trial.before.dice[label] - now.dice[label] for label in now.dice]
            words = "adopted" if outcome.adopted else "kept aside"
            guards = "all" if careful else "none"
            yield [name, guards, *numbers(now.dice), f"{max(losses):+.4f}, {words}"]


def numbers(dice: Mapping[str, float]) -> list[str]:
    return [f"{value:.4f}" for value in dice.values()]


def bad_teachers(trial: Trial, count: int, only: Sequence[str]) -> Iterator[list[str]]:
    """A row for each kind, and one for all."""
    worst, every = [], 0
    for kind, (name, look) in enumerate(BAD.items()):
        if name not in only:
            continue
        changes, runs = [], count // len(BAD)
        for number in range(runs):
            seed = 1000 * kind + number
            cases = 1 if look is stroke else CASES
            outcome = trial.run(trial.examples(seed, cases, look), True, seed)
            if outcome.adopted:
                changes.append(trial.score(outcome.candidate).mean - trial.before.mean)
            sys.stderr.write(f"{name} {number}: {outcome.adopted} {changes[-1:]} {outcome.why}\n")
        lost = sum(change < -ALLOWED for change in changes)
        least = f"{min(changes):+.4f}" if changes else "–"
        yield [name, str(runs), str(len(changes)), least, str(lost)]
        worst += changes
        every += runs
    lost = sum(change < -ALLOWED for change in worst)
    mean = f"{statistics.fmean(worst):+.4f} in the mean" if worst else "–"
    yield ["all", str(every), str(len(worst)), mean, str(lost)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--teachers", type=int, default=100, help="fine-tunes with bad teachers")
    parser.add_argument("--only", action="append", choices=BAD, help="this bad teacher; repeat it")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="of the fine-tunes")
    given = parser.parse_args()
    config = gather(FineTuneConfig, None, given.set, {"threads": 1})
    torch.set_num_threads(1)
    out, began = sys.stdout.write, time.process_time()
    trial = Trial(given.out, config)
    out(f"# What a fine-tune must never do, {date.today()}\n\n{machine()}\n\n")
    out(f"`benchmarks/safeguards.py`, {config.steps} steps. 39 validation cases, Dice.\n\n")
    out("## Forgetting\n\n")
    head = ["taught by four cases", "safeguards", *trial.before.dice, "largest loss, verdict"]
    out("\n".join(table(head, list(forgetting(trial)))) + "\n\n## Bad teachers\n\n")
    sys.stdout.flush()
    head = ["teacher", "fine-tunes", "adopted", "least change", f"lost more than {ALLOWED}"]
    out(
        "\n".join(table(head, list(bad_teachers(trial, given.teachers, given.only or list(BAD)))))
        + "\n\n"
    )
    out(f"{time.process_time() - began:.0f} s of the processor.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
