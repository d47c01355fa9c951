"""Learning from corrections: a virtual person on hippocampus MR, and what others' ways would reach.

    python benchmarks/learning.py --train OUT                    # the two models, 6 and 16 minutes
    python benchmarks/learning.py OUT [--seeds 0,1] [--strategies ours,no_gate] [--set steps=50]
    python benchmarks/learning.py --train-whole OUT [--seeds 0]  # after ours; 16 minutes for each

OUT is a folder. The data are those of ../shared/data/hippocampus: `start.safetensors` learned from
the first 10 training cases, `all.safetensors` from all 160; the person corrects the other 150, in
an order of the seed's, and the 39 validation cases are only ever scored. Ten drags of a ball of
5 mm per case go to the worst slices, each over all errors of one kind within reach; the hand is
unsteady by 0.3 mm along each axis. A slice in which at most a tenth of the structure is wrong is
confirmed; most are not: what is taught is mostly what was painted.

* ours: as the window learns: from the model in use, or from the last candidate that the gate
  refused, with the memory of earlier cases, the anchors and the gate.
* no_gate (like RootPainter): from the model in use, with the corrected scans alone; no memory, no
  distance to what was before, every candidate is adopted.
* restart (like Cellpose): from the first model each time, on the corrected masks as wholes.
* scratch (like nnU-Net): a new network each time, trained on the corrected masks as wholes.
* none: no learning; its strokes say how hard the cases are.
* whole, if it was trained: what whole masks of the same cases would have taught. It is trained as
  `all` is, for as long, on the first 10 cases and the true masks of those that the seed's person
  corrects by strokes.

no_gate and restart have the steps and the augmentation of ours; scratch has as many in each of its
trainings as ours had until then, or `--scratch-steps`. restart and scratch, who build on nothing,
learn only before a check.
None is the other program itself: only its way of learning is imitated. Each run is kept in OUT and
is not repeated; several may run beside each other with other --strategies or --seeds. Seconds of
learning are of the processor, all threads. "needed" are the strokes to a Dice of 0.9 of that case,
counted on beyond the budget, at most 100.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import torch
from engine import machine

from napari_medseg.cli import main as medseg
from napari_medseg.cli.settings import gather
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.training.annotator import SimulatedPerson
from napari_medseg.training.config import FineTuneConfig, TrainConfig
from napari_medseg.training.dataset import Case, Cases, find_cases, split
from napari_medseg.training.simulate import simulate
from napari_medseg.training.simulation import (
    CaseDone,
    Row,
    SimulateConfig,
    Strategy,
    mean_of,
    write_csv,
    write_png,
)

DATA = Path(__file__).parents[2] / "shared" / "data" / "hippocampus"
FIRST, LAST = 10, 39  # cases that the starting model knows, and that nobody learns from
MODELS = {"start": (6, FIRST), "all": (16, None)}  # minutes, and how many cases
PERSON = SimulatedPerson(budget=10, brush_mm=5.0, ball=True, noise_mm=0.3, overlooks=0.1)
WHOLE = "whole"
PAIRS = ("no_gate", "restart", "scratch", "none")


def train_models(out: Path) -> int:
    """Both models."""
    _, train, _ = hippocampi()
    codes = (trained(out, name, n, train[:most]) for name, (n, most) in MODELS.items())
    return next((code for code in codes if code), 0)


def train_whole(out: Path, seed: int) -> int:
    """The model of the first cases, and of those that the seed's person corrected, as they are."""
    kept = json.loads((out / f"{Strategy.OURS}-{seed}.json").read_text(encoding="utf-8"))
    names = [row["case"] for row in kept["rows"] if row["case"]]
    _, train, _ = hippocampi()
    by_name = {case.name: case for case in train}
    cases = [*train[:FIRST], *(by_name[name] for name in names)]
    return trained(out, f"{WHOLE}-{seed}", MODELS["all"][0], cases)


def trained(out: Path, name: str, minutes: float, cases: Sequence[Case]) -> int:
    """A model, as a user would train it on a folder that holds no other case; the exit status."""
    knobs = ("--set", "validation_fraction=0.2", "--set", "threads=1", "--set", "validations=6")
    folder, path = linked(out / f"{name}-cases", cases), out / f"{name}.safetensors"
    words = ["train", folder, path, "--minutes", minutes, "--name", name, *knobs]
    return medseg([str(word) for word in words])


def linked(folder: Path, cases: Sequence[Case]) -> Path:
    """Cases as a dataset of links, in their order, with their subjects."""
    found, *_ = hippocampi()
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for case in cases:
        for part, path in (("images", case.images[0]), ("labels", case.mask)):
            link = folder / part / path.name
            if not link.exists():
                link.symlink_to(path.resolve())
    about = {
        "name": found.name,
        "labels": {label.name: label.value for label in found.labels},
        "train_order": [case.name for case in cases],
        "subjects": {case.name: case.subject for case in cases},
    }
    (folder / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def hippocampi() -> tuple[Cases, tuple[Case, ...], tuple[Case, ...]]:
    """All cases, those that may teach, and those that validate.

    Volumes 2k - 1 and 2k are the two hippocampi of one subject.
    """
    names = [case.name for case in find_cases(DATA).cases]
    pairs = {name: f"s{(int(name.rsplit('_', 1)[-1]) + 1) // 2}" for name in names}
    found = find_cases(DATA, pairs)
    sides = split(found, TrainConfig(validation_last=LAST))
    return found, sides.train, sides.validation


def run(
    out: Path, strategy: Strategy, seed: int, knobs: SimulateConfig, sides: Sequence[Sequence[Case]]
) -> list[Row]:
    """The rows of one run; read from OUT if it was done before with these settings."""
    path = out / f"{strategy}-{seed}.json"
    config = replace(knobs, strategy=strategy, seed=seed)
    settings = json.loads(json.dumps(asdict(config)))
    about = {"config": settings, "held": len(sides[1])}
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["about"] == about:
            return [Row(**row) for row in kept["rows"]]
    began = time.monotonic()

    def tell(event: object) -> None:
        if isinstance(event, CaseDone):
            row = event.row
            seconds = time.monotonic() - began
            line = f"{seconds:6.0f} s {strategy} {seed} {row.cases} {row.dice_mean:.4f} {row.why}"
            sys.stderr.write(line + "\n")

    segmenter = checkpoint.load(out / "start.safetensors")
    rows = finish(simulate(segmenter, *sides, config), tell).rows
    kept = {"about": about, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    return list(rows)


def score_of(model: Path, knobs: SimulateConfig, sides: Sequence[Sequence[Case]]) -> float:
    """Mean Dice of a model on the validation cases; the first row of an empty run."""
    segmenter = checkpoint.load(model)
    for event in simulate(segmenter, *sides, replace(knobs, strategy=Strategy.NONE, cases=1)):
        if isinstance(event, CaseDone):
            return event.row.dice_mean
    raise AssertionError("a simulation begins with a row")


def report(
    rows: Sequence[Row], best: float, whole: Mapping[int, float], held: int
) -> Iterator[str]:
    """Both tables of the issue."""
    checks = sorted({row.cases for row in rows if row.dice})
    names = list(dict.fromkeys(row.strategy for row in rows))
    yield f"## Dice on {held} validation cases after so many corrected cases\n"
    yield f"Mean over the labels; mean ± standard deviation over seeds. All 160 cases: {best:.4f}\n"
    if whole:
        each = ", ".join(f"{score:.4f} (seed {seed})" for seed, score in whole.items())
        yield f"Whole masks of the same cases: {each}\n"
    yield from table(
        ["strategy", *map(str, checks), "to all 160"],
        [
            [name, *(spread(scores(rows, name, n)) for n in checks), gap(rows, name, checks, best)]
            for name in names
        ],
    )
    labels = list(rows[0].dice)
    yield "\nBy label, means:\n"
    yield from table(
        ["strategy, label", *map(str, checks)],
        [
            [f"{name}, {label}", *(f"{mean_of(scores(rows, name, n, label)):.4f}" for n in checks)]
            for name in names
            for label in labels
        ],
    )
    yield "\n## Effort\n"
    yield from table(*effort(rows, names))
    if "ours" in names and len(names) > 1:
        yield "\n## Ours less each, of the same seed: mean, and the worst seed\n"
        yield from table(
            ["against", *map(str, checks)],
            [[name, *(ahead(rows, name, n) for n in checks)] for name in names if name in PAIRS],
        )


def effort(rows: Sequence[Row], names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Strokes that the cases of each quarter need, seconds of learning, and how often adopted."""
    last = max(row.cases for row in rows)
    ends = sorted({max(1, last * n // 4) for n in range(1, 5)})
    spans = list(zip([0, *ends], ends, strict=False))
    head = ["strategy", *(f"needed {a + 1}–{b}" for a, b in spans)]
    head += ["learning s per case", "most", "work s per case", "adopted"]
    body = []
    for name in names:
        own = [row for row in rows if row.strategy == name and row.cases]
        needed = [[row.needed for row in own if a < row.cases <= b] for a, b in spans]
        taught = [row.learning_s for row in own]
        body.append(
            [
                name,
                *(f"{statistics.fmean(one):.1f}" for one in needed),
                f"{statistics.fmean(taught):.1f}",
                f"{max(taught):.1f}",
                f"{statistics.fmean(row.seconds for row in own):.0f}",
                f"{sum(row.adopted for row in own)} of {len(own)}",
            ]
        )
    return head, body


def scores(rows: Sequence[Row], name: str, cases: int, label: str = "") -> list[float]:
    """One for each seed."""
    found = [row for row in rows if row.strategy == name and row.cases == cases and row.dice]
    return [row.dice[label] if label else row.dice_mean for row in found]


def ahead(rows: Sequence[Row], name: str, cases: int) -> str:
    """Ours less another, seed by seed."""
    own, other = (
        {row.seed: row.dice_mean for row in rows if row.strategy == one and row.cases == cases}
        for one in ("ours", name)
    )
    gains = [own[seed] - other[seed] for seed in own.keys() & other.keys()]
    return f"{statistics.fmean(gains):+.4f} ({min(gains):+.4f})" if gains else "–"


def gap(rows: Sequence[Row], name: str, checks: Sequence[int], best: float) -> str:
    return f"{mean_of(scores(rows, name, checks[-1])) - best:+.4f}"


def spread(values: Sequence[float]) -> str:
    if not values:
        return "–"
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{deviation}"


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|---" * len(head) + "|"
    for line in body:
        yield "| " + " | ".join(line) + " |"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the models, runs, table and chart")
    parser.add_argument("--train", action="store_true", help="make the two models first")
    parser.add_argument("--train-whole", action="store_true", help="the models of whole masks")
    parser.add_argument("--strategies", default=",".join(Strategy), help="some of them")
    parser.add_argument("--seeds", default="0,1,2", help="which ones")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--held", type=int, default=39, help="fewer, for a try")
    parser.add_argument("--budget", type=int, default=PERSON.budget)
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="of the fine-tunes")
    parser.add_argument("--scratch-steps", type=int, default=0)
    return parser.parse_args()


def main() -> int:
    given = options()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.train and (code := train_models(given.out)):
        return code
    seeds = [int(seed) for seed in given.seeds.split(",")]
    if given.train_whole:
        return next((code for seed in seeds if (code := train_whole(given.out, seed))), 0)
    learning = gather(FineTuneConfig, None, given.set, {"threads": 1})
    torch.set_num_threads(learning.threads)
    knobs = SimulateConfig(
        person=replace(PERSON, budget=given.budget),
        learning=learning,
        cases=given.cases,
        scratch_steps=given.scratch_steps,
    )
    _, train, validation = hippocampi()
    sides = train[FIRST:], validation[: given.held]
    rows: list[Row] = []
    for seed in seeds:
        for name in given.strategies.split(","):
            rows += run(given.out, Strategy(name), seed, knobs, sides)
    best = score_of(given.out / "all.safetensors", knobs, sides)
    models = {seed: given.out / f"{WHOLE}-{seed}.safetensors" for seed in seeds}
    whole = {seed: score_of(path, knobs, sides) for seed, path in models.items() if path.exists()}
    out = sys.stdout.write
    out(f"# Learning from corrections, {date.today()}\n\n{machine()}\n\n")
    out("\n".join(report(rows, best, whole, len(sides[1]))) + "\n")
    write_csv(rows, given.out / "learning.csv")
    write_png(rows, given.out / "learning.png", knobs.goal, (best,))
    return 0


if __name__ == "__main__":
    sys.exit(main())
