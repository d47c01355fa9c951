"""Predicted Dice against true Dice, and ranked slices against slices drawn at random.

    python benchmarks/predicted_dice.py [--model FILE] [--data ../shared/data/hippocampus]

A weak model, trained on the first ten cases of the data's order (6 minutes on one thread, if none
is given), segments cases that it never saw. Thirty of them, called corrected, calibrate the
predicted Dice; it is tested on the last 39 of the order and on 21 further ones. One in
three corrected cases and the 21 are made worse, seeded: noise, blur, contrast or a gradient of
brightness, weak to strong. "plain" and "made worse" show the two kinds apart; "only plain
corrected" calibrates without cases made worse and tests on such: what a change of scanner does to
the interval that promises nine of ten. "one number" predicts each label's mean of the corrected
cases. "Cases that calibrate": drawn at random, twelve times, from the thirty and from all others
that neither taught nor test, which are as they are; mean of the draws, tested on all test cases.

Slices: of the plain test cases, the share of all wrong voxels that lies in the first k slices of an
order, mean over the three axes. "at random" draws slices in proportion to the mask's area in them
(ten draws), "most mask" takes those with the largest area, "entropy" those with the largest sum of
it, "best" knows the truth. What counts as doubt, and which signs the regression reads, was chosen
with these plain test cases in sight: the figures for them are no blind test.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from engine import machine
from scipy.ndimage import gaussian_filter

from napari_medseg.active import ranking
from napari_medseg.active.predicted import Judge, Known, calibrated
from napari_medseg.inference.agreement import Agreement, agreement
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.judging import compared
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.dataset import Case, Cases, find_cases, read_case
from napari_medseg.training.train import train
from napari_medseg.volume import Volume

RESULTS = Path(__file__).parent / "results" / "predicted_dice.md"
DATA = Path(__file__).parents[2] / "shared" / "data" / "hippocampus"
TAUGHT, CORRECTED, WORSE, HELD = 10, 30, 21, 39  # cases
KINDS = ("noise", "blur", "contrast", "gradient")
FIRST = (3, 5, 10)
FEWER, DRAWS = (10, 20, 30, 60), 12
Table = list[tuple[object, ...]]
Shares = dict[tuple[str, int], list[float]]


@dataclass(frozen=True, eq=False)
class Seen:
    """A case as the model saw it."""

    known: tuple[Known, ...]
    kind: str
    shares: Shares


def main() -> None:
    """Work, and write the tables."""
    options = _options()
    torch.set_num_threads(options.threads)
    began = time.process_time()
    found = find_cases(options.data)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or _trained(replace(found, cases=found.cases[:TAUGHT]), folder)
        segmenter = checkpoint.load(model)
    rng = np.random.default_rng(0)
    corrected, tested, further = _groups(found.cases)
    first = [_seen(*one, segmenter, rng, False) for one in corrected]
    second = [_seen(*one, segmenter, rng, one[1] == "plain") for one in tested]
    more = [_seen(*one, segmenter, rng, False) for one in further]
    lines = list(_written(first, second, more, time.process_time() - began))
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="trained on the first ten cases; else made")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def _trained(cases: Cases, folder: str) -> Path:
    segmenter = finish(train(cases, TrainConfig(minutes=6.0, threads=1)))
    path = Path(folder) / "start.safetensors"
    checkpoint.save(segmenter, path)
    return path


def _groups(order: Sequence[Case]) -> tuple[list[tuple[Case, str]], ...]:
    """Corrected, tested and further cases, each with how it is made worse."""
    later = order[TAUGHT:-HELD]
    corrected = [
        (case, KINDS[n // 3 % len(KINDS)] if n % 3 == 2 else "plain")
        for n, case in enumerate(later[:CORRECTED])
    ]
    worse = later[CORRECTED : CORRECTED + WORSE]
    tested = [(case, "plain") for case in order[-HELD:]]
    tested += [(case, KINDS[n % len(KINDS)]) for n, case in enumerate(worse)]
    return corrected, tested, [(case, "plain") for case in later[CORRECTED + WORSE :]]


def _seen(
    case: Case, kind: str, segmenter: Segmenter, rng: np.random.Generator, slices: bool
) -> Seen:
    volume, truth = read_case(case)
    volume = _worse(volume, kind, rng)
    found = finish(agreement(volume, segmenter))
    known = tuple(compared(case.subject, found, truth))
    if not slices:
        return Seen(known, kind, {})
    config = PredictConfig(keep_softmax=True)
    softmax = finish(predict(volume, segmenter, config)).softmax
    wrong = found.mask.labels != truth.labels
    return Seen(known, kind, _shares(found, wrong, softmax.astype(np.float32)))


def _worse(volume: Volume, kind: str, rng: np.random.Generator) -> Volume:
    """The scan with noise, blur, another contrast or a gradient of brightness."""
    array = volume.array.astype(np.float32)
    strength, sign = rng.uniform(0.3, 1.0), rng.choice((-1.0, 1.0))
    low, high = float(array.min()), float(array.max())
    if kind == "noise":
        spread = float(array[array > low].std())
        array = array + 1.2 * strength * spread * rng.standard_normal(array.shape)
    elif kind == "blur":
        array = gaussian_filter(array, 2.2 * strength)
    elif kind == "contrast":
        power = np.exp(1.2 * sign * strength)
        array = low + (high - low) * ((array - low) / (high - low)) ** power
    elif kind == "gradient":
        array = array * (1 + 0.9 * sign * strength * np.linspace(-1, 1, array.shape[2]))
    return replace(volume, array=array.astype(np.float32))


def _shares(
    found: Agreement, wrong: npt.NDArray[np.bool_], softmax: npt.NDArray[np.float32]
) -> Shares:
    """By order and k: the share of all wrong voxels in its first k slices, for each axis."""
    entropy = -(softmax * np.log(softmax + 1e-6)).sum(0)
    shares: Shares = {}
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        errors, area = wrong.sum(axis=others), (found.mask.labels > 0).sum(axis=others)
        ranked = ranking.slices(found.wrong, found.mask.geometry.spacing_mm, axis, most=10)
        orders = {
            "ranked": [[one.index for one in ranked]],
            "at random": [ranking.at_random(area, seed) for seed in range(10)],
            "most mask": [np.argsort(-area)],
            "entropy": [np.argsort(-entropy.sum(axis=others))],
            "best": [np.argsort(-errors)],
        }
        for name, drawn in orders.items():
            for k in FIRST:
                part = np.mean([errors[list(one[:k])].sum() for one in drawn]) / errors.sum()
                shares.setdefault((name, k), []).append(float(part))
    return shares


def _written(
    corrected: Sequence[Seen], tested: Sequence[Seen], more: Sequence[Seen], seconds: float
) -> Iterator[str]:
    yield "# Predicted Dice and ranked slices"
    yield ""
    yield f"`python benchmarks/predicted_dice.py`, {date.today()}, {machine()}, "
    yield f"{seconds:.0f} CPU-seconds. What the rows mean stands at the top of the script."
    yield "The plain test cases were in sight when signs and doubt were chosen: no blind test."
    yield ""
    yield from _table(_scores(corrected, tested))
    yield ""
    yield "By the number of cases that calibrate:"
    yield ""
    yield from _table(_growing([*corrected, *more], [k for one in tested for k in one.known]))
    yield ""
    yield "Share of the wrong voxels in the first k slices (plain test cases, mean of three axes):"
    yield ""
    yield from _table(_slice_rows(tested))


def _scores(corrected: Sequence[Seen], tested: Sequence[Seen]) -> Table:
    plain, worse = _of(tested, True), _of(tested, False)
    judge = calibrated([*_of(corrected, True), *_of(corrected, False)])
    only_plain = calibrated(_of(corrected, True))
    means = _means(corrected)
    head = ("tested on", "pairs", "true Dice", "mean error", "one number", "in interval", "width")
    return [
        head,
        ("all", *_row(judge, plain + worse, means)),
        ("plain", *_row(judge, plain, means)),
        ("made worse", *_row(judge, worse, means)),
        ("made worse, only plain corrected", *_row(only_plain, worse, means)),
    ]


def _growing(pool: Sequence[Seen], tested: Sequence[Known]) -> Table:
    """Error, coverage and width by how many cases calibrate; the last row takes all."""
    rows: Table = [("cases that calibrate", "mean error", "in interval", "width")]
    for count in (*FEWER, len(pool)):
        drawn = [np.random.default_rng(seed).permutation(len(pool)) for seed in range(DRAWS)]
        drawn = drawn[: 1 if count == len(pool) else DRAWS]
        found = [
            _judged(calibrated([known for n in one[:count] for known in pool[n].known]), tested)
            for one in drawn
        ]
        error, held, width = np.mean(found, axis=0)
        rows.append((count, f"{error:.3f}", f"{held:.0%}", f"{width:.2f}"))
    return rows


def _judged(judge: Judge, known: Sequence[Known]) -> tuple[float, float, float]:
    """Mean error, share inside the interval and its mean width."""
    truth = np.array([one.dice for one in known])
    guesses = [judge.guess(one.signs, one.label) for one in known]
    error = float(np.abs(truth - [one.dice for one in guesses]).mean())
    held = float(np.mean([g.low <= t <= g.high for g, t in zip(guesses, truth, strict=True)]))
    return error, held, float(np.mean([one.high - one.low for one in guesses]))


def _of(seen: Sequence[Seen], plain: bool) -> list[Known]:
    return [known for one in seen if (one.kind == "plain") == plain for known in one.known]


def _means(corrected: Sequence[Seen]) -> Callable[[int], float]:
    known = [*_of(corrected, True), *_of(corrected, False)]
    return lambda label: float(np.mean([one.dice for one in known if one.label == label]))


def _row(judge: Judge, known: Sequence[Known], means: Callable[[int], float]) -> tuple[object, ...]:
    truth = np.array([one.dice for one in known])
    error, held, width = _judged(judge, known)
    flat = np.abs(truth - [means(one.label) for one in known]).mean()
    spread = f"{truth.mean():.2f} ± {truth.std():.2f}"
    return len(known), spread, f"{error:.3f}", f"{flat:.3f}", f"{held:.0%}", f"{width:.2f}"


def _slice_rows(tested: Sequence[Seen]) -> Table:
    rows: Table = [("order", *(f"k = {k}" for k in FIRST))]
    for name in ("ranked", "at random", "most mask", "entropy", "best"):
        parts = [
            np.mean([part for one in tested for part in one.shares.get((name, k), ())])
            for k in FIRST
        ]
        rows.append((name, *(f"{part:.1%}" for part in parts)))
    return rows


def _table(rows: Table) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield f"| {' | '.join(map(str, row))} |"
        if number == 0:
            yield f"|{' --- |' * len(row)}"


if __name__ == "__main__":
    main()
