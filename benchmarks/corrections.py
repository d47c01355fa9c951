"""Strokes that bring a wrong mask to a Dice, with a plain brush and with the smart tools.

    python benchmarks/corrections.py [--most 30] [--only nodule] [--pet pet.safetensors]

A simulated annotator, who knows the truth, works on labelled scans of ../shared/data. Masks are
made wrong in three ways, seeded: eroded to half the volume, shifted within the slices, with false
blobs and bites. All but dabs may draw in any of the three views. Each stroke is the one that
leaves the least wrong of those that the method offers:

* dabs: the largest disc that is wrong throughout, set down once in the axial slice with the
  largest error; or one sphere.
* plain: that disc, dragged along what is wrong in the slice of a view with the largest error, never
  a voxel too far; or one sphere.
* assisted: also a rough stroke along the middle of the structure or of the largest error, by the
  assisted brush, its eraser or Snap, in the slice or in the volume; of the one that gains most also
  with its edge tight or wide. Grey values only, no model.
* click: also a click to fix near the middle of the largest error of each kind (off by up to half of
  its depth, at random), in a slice or in the volume, by grey values only.
* both: what assisted and click offer.
* with model: the same, by grey values and a trained model's probabilities, where there is a model
  that never learned from the case. Hippocampus: the one of sample_data/, held-back case 264 (it was
  among the 39 that picked the best moment of training). Sarcoma PET: `--pet`, a model made by
  `medseg train FOLDER pet.safetensors --minutes 4 --set threads=1` from the PET scans of the seven
  other patients. There is none for the others. "Model's Dice" is what it alone reaches.

Each row with tools is worked through twice, by an annotator who takes a tool whenever it gains more
and by one who takes it only where it gains twice as much; the better count stands. A refused
preview is no stroke; "previews" counts all that were computed. Seconds are of the processor, of the
tools only, previews included. A row given up is never counted as three times fewer.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
from engine import machine
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist
from skimage.morphology import skeletonize

from napari_medseg import io
from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene, edit_of
from napari_medseg.correction.tools.assisted import AssistedKnobs, Does, assisted, drawn_through
from napari_medseg.correction.tools.part import box_of, depth_mm, piece_at, voxels_of
from napari_medseg.correction.tools.probable import FixKnobs, click_to_fix
from napari_medseg.correction.tracker import whole
from napari_medseg.errors import MedsegError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.volume import Volume
from napari_medseg.volume.orient import mask_to_canonical, to_canonical

DATA = Path(__file__).parents[2] / "shared" / "data"
MODELS = {
    "hippocampus": Path(__file__).parents[1] / "sample_data" / "models" / "hippocampus.safetensors"
}
CASES = (  # name, path, what the image and the mask are called in it, the Dice to reach
    ("CT nodule", "nrrd_cases/lung1_{}.nrrd", "image", "label", 0.95),
    ("sarcoma MR", "sts_pet_mr_ct/STS_025/MR_T1_{}.nii.gz", "image", "mask", 0.95),
    ("sarcoma PET", "sts_pet_mr_ct/STS_012/PET_{}.nii.gz", "image", "mask", 0.95),
    ("hippocampus", "hippocampus/{}s/hippocampus_264.nii.gz", "image", "label", 0.90),
    ("cord T2", "spinal_cord_mr/t2/t2{}.nii.gz", "", "_seg-manual", 0.95),
    ("cord T2*", "spinal_cord_mr/t2s/t2s{}.nii.gz", "", "_seg", 0.95),
)
MOST_PLAIN = 150  # strokes of a plain brush: they cost next to nothing to compute
Points = npt.NDArray[np.int64]
Spacing = tuple[float, float, float]
Row = dict[str, "Tally"]  # by method
Offer = Callable[["Case", Scene, Bools], Iterator[Edit | None]]


@dataclass(frozen=True, eq=False)
class Case:
    """A labelled scan, cut around its structure.

    `goal` is the Dice at which the annotator is content, `chances` what a model gives, if any.
    """

    name: str
    image: npt.NDArray[np.float32]
    truth: Bools
    spacing_mm: Spacing
    goal: float
    chances: npt.NDArray[np.float16] | None


@dataclass
class Tally:
    """What it took."""

    strokes: int = 0
    tries: int = 0
    seconds: float = 0.0
    reached: bool = False


def load(name: str, path: str, image: str, label: str, goal: float) -> Case:
    """One case, from 20 mm around its structure."""
    file = DATA / path.format(image)
    scan, _ = to_canonical(io.read(file))
    mask, _ = mask_to_canonical(io.read_mask(DATA / path.format(label)))
    truth = mask.labels > 0
    spacing = tuple(float(one) for one in scan.geometry.spacing_mm)
    inner = box_of(truth)
    assert inner is not None
    margins = voxels_of(20.0, spacing)
    box = tuple(
        slice(max(0, one.start - more), one.stop + more)
        for one, more in zip(inner, margins, strict=True)
    )
    truth = truth[box]
    z, y, x = spacing
    chances = by_model(file, MODELS[name])[box] if name in MODELS else None
    return Case(name, np.asarray(scan.array[box], np.float32), truth, (z, y, x), goal, chances)


def by_model(image: Path, model: Path) -> npt.NDArray[np.float16]:
    """A model's probability of any structure, on canonical axes."""
    scan = io.read(image)
    found = finish(predict(scan, checkpoint.load(model), PredictConfig(keep_softmax=True)))
    assert found.softmax is not None
    turned, _ = to_canonical(Volume(1 - found.softmax[0].astype(np.float32), scan.geometry))
    return np.asarray(turned.array, np.float16)


def eroded(case: Case, random: np.random.Generator) -> Bools:
    """Half of the volume left, from outside."""
    depth = depth_mm(case.truth, case.spacing_mm)
    return np.asarray(depth > np.quantile(depth[case.truth], 0.5))


def shifted(case: Case, random: np.random.Generator) -> Bools:
    """Moved within the slices by a third of the width."""
    box = box_of(case.truth)
    assert box is not None
    moves = [round((one.stop - one.start) / 3 * random.choice((-1, 1))) for one in box[1:]]
    return np.roll(case.truth, [0, *(int(one * 0.6) for one in moves)], axis=(0, 1, 2))


def blobs(case: Case, random: np.random.Generator) -> Bools:
    """Three balls bitten out and four false ones beside."""
    size_mm = (case.truth.sum() * np.prod(case.spacing_mm)) ** (1 / 3)
    wrong = case.truth.copy()
    away = depth_mm(~case.truth, case.spacing_mm)
    beside = np.argwhere((away > 0) & (away < 0.5 * size_mm))
    grids = np.ogrid[tuple(slice(0, size) for size in wrong.shape)]
    for points, value, count in ((beside, True, 4), (np.argwhere(case.truth), False, 3)):
        for point in points[random.integers(0, len(points), count)]:
            pairs = zip(grids, point, case.spacing_mm, strict=True)
            far = sum(((grid - at) * one) ** 2 for grid, at, one in pairs)
            wrong[far <= (0.35 * size_mm) ** 2] = value
    return wrong


WRONGS = (eroded, shifted, blobs)


def dice(found: Bools, truth: Bools) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def worst_slice(wrong: Bools, axis: int = 0) -> int:
    return int(np.argmax(np.moveaxis(wrong, axis, 0).sum(axis=(1, 2))))


def deepest(region: Bools, spacing_mm: Spacing) -> tuple[npt.NDArray[np.int64], float]:
    """The middle of the largest ball or disc that fits, and its radius in mm."""
    depth = np.where(region, depth_mm(region, spacing_mm), 0)
    at = np.array(np.unravel_index(int(np.argmax(depth)), region.shape))
    return at, float(min(depth.max(), 1e3))


def plain(case: Case, scene: Scene, now: Bools) -> Iterator[Edit | None]:
    """Dragging the largest disc that is wrong throughout, in any of the three views; a sphere."""
    for value, region in ((1, case.truth & ~now), (0, now & ~case.truth)):
        if not region.any():
            continue
        for axis in range(3):
            where = in_slice(region, axis, worst_slice(now ^ case.truth, axis))
            if where.any():
                disc = dragged(where, case.spacing_mm, axis)
                yield edit_of(scene, whole(region.shape), disc, value)
        ball = near(region, *deepest(region, case.spacing_mm), case.spacing_mm)
        yield edit_of(scene, whole(region.shape), ball, value)


def in_slice(region: Bools, axis: int, index: int) -> Bools:
    """What of a region lies in a slice, shape of the whole."""
    flat = np.zeros_like(region)
    at = tuple(index if one == axis else slice(None) for one in range(3))
    flat[at] = region[at]
    return flat


def dabbed(case: Case, scene: Scene, now: Bools) -> Iterator[Edit | None]:
    """The largest disc that is wrong throughout, in the slice with the largest error; a sphere."""
    z = worst_slice(now ^ case.truth)
    depth, rows, columns = whole(now.shape)
    for value, region in ((1, case.truth & ~now), (0, now & ~case.truth)):
        for planes in (slice(z, z + 1), depth):
            part = region[planes]
            if part.any():
                where = near(part, *deepest(part, case.spacing_mm), case.spacing_mm)
                yield edit_of(scene, (planes, rows, columns), where, value)


def near(region: Bools, middle: Points, radius: float, spacing_mm: Spacing) -> Bools:
    """What of a region lies in a ball or disc."""
    grids = np.ogrid[tuple(slice(0, size) for size in region.shape)]
    pairs = zip(grids, middle, spacing_mm, strict=True)
    ball = sum(((grid - at) * one) ** 2 for grid, at, one in pairs) < radius**2
    return np.asarray(ball) & region


def dragged(where: Bools, spacing_mm: Spacing, axis: int) -> Bools:
    """What a disc covers that is dragged along a region of a slice and stays in it.

    Its radius is 0.6 of the largest that fits.
    """
    z = int(np.flatnonzero(where.any(axis=tuple(one for one in range(3) if one != axis)))[0])
    flat = np.take(where, [z], axis)
    middle, most = deepest(flat, spacing_mm)
    depth = depth_mm(flat, spacing_mm)
    radius = 0.6 * most
    y, x, c = (int(one) for one in middle)
    ridge = piece_at((depth >= radius) & flat, (y, x, c))
    disc = np.zeros_like(where)
    at = tuple(slice(z, z + 1) if one == axis else slice(None) for one in range(3))
    disc[at] = (depth_mm(~ridge, spacing_mm) < radius) & flat | ridge
    return disc


def along(region: Bools, axis: int, index: int) -> Points:
    """A rough stroke: the longest way along the middle line of a region in a slice, (N, 3)."""
    plane = np.take(region, index, axis)
    middle = skeletonize(plane)
    points = np.argwhere(middle)
    if len(points) == 0:
        points = np.argwhere(plane)[:1]
    links = cdist(points, points, "chebyshev") == 1
    start = 0
    for _ in range(2):  # the furthest of the furthest
        way, before = dijkstra(links, indices=start, return_predecessors=True, unweighted=True)
        first, start = start, int(np.argmax(np.where(np.isfinite(way), way, -1)))
    path = [start]
    while path[-1] != first:
        path.append(int(before[path[-1]]))
    rough = points[path[:: max(1, len(path) // 12)] + path[-1:]]  # a hand is no ruler
    return np.insert(rough, axis, index, axis=1).astype(np.int64)


def radius_of(region: Bools, points: Points, spacing_mm: Spacing) -> float:
    """Radius of a brush that nearly covers a region from a stroke, with a tenth to spare."""
    path = np.zeros(region.shape, bool)
    path[tuple(drawn_through(points).T)] = True
    away = np.quantile(depth_mm(~path, spacing_mm)[region], 0.98)
    return float(np.clip(1.1 * away + min(spacing_mm), 0.5, 200))


def strokes(case: Case, scene: Scene, now: Bools) -> Iterator[Edit | None]:
    """Rough strokes along the structure and along the largest error, in any of the three views.

    Of the one that gains most the edge is then also tried tight and wide.
    """
    error, does = largest(case, now)
    best: tuple[float, Aim, AssistedKnobs] | None = None
    for axis in range(3):
        index = worst_slice(now ^ case.truth, axis)
        ways: list[tuple[Aim, AssistedKnobs]] = []
        if in_slice(case.truth, axis, index).any():
            ways += drawn(case, case.truth, axis, index, Does.BOTH)
        if error.any():
            ways += drawn(case, error, axis, worst_slice(error, axis), does)
        for aim, knobs in ways:
            edit = tried(assisted, scene, aim, knobs)
            yield edit
            gain = 0.0 if edit is None else gain_of(case, scene.labels, edit)
            if best is None or gain > best[0]:
                best = gain, aim, knobs
    if best is not None:
        for edge in (-1.0, 1.0):
            yield tried(assisted, scene, best[1], replace(best[2], edge=edge))


def drawn(
    case: Case, region: Bools, axis: int, index: int, does: Does
) -> Iterator[tuple[Aim, AssistedKnobs]]:
    """One stroke for the slice, one for what is near it, one for the whole."""
    points = along(region, axis, index)
    near = radius_of(in_slice(region, axis, index), points, case.spacing_mm)
    wide = radius_of(region, points, case.spacing_mm)
    reaches = [(Reach.SLICE, near), (Reach.VOLUME, near)]
    if 1.1 * near < wide < 3 * near:
        reaches.append((Reach.VOLUME, wide))
    for reach, radius in reaches:
        yield Aim(1, axis, index, points), AssistedKnobs(does, radius, reach=reach)


def largest(case: Case, now: Bools) -> tuple[Bools, Does]:
    """The largest connected error of one kind, and what puts it right."""
    best, does = np.zeros_like(now), Does.ADD
    for kind, region in ((Does.ADD, case.truth & ~now), (Does.REMOVE, now & ~case.truth)):
        if region.any():
            middle, _ = deepest(region, case.spacing_mm)
            piece = piece_at(region, (int(middle[0]), int(middle[1]), int(middle[2])))
            if piece.sum() > best.sum():
                best, does = piece, kind
    return best, does


def clicks(case: Case, scene: Scene, now: Bools) -> Iterator[Edit | None]:
    """A click near the middle of the largest error of each kind."""
    random = np.random.default_rng(int(now.sum()))
    for region in (case.truth & ~now, now & ~case.truth):
        if not region.any():
            continue
        middle, radius = deepest(region, case.spacing_mm)
        around = np.argwhere(near(region, middle, 0.5 * radius, case.spacing_mm))
        point = random.choice(around) if len(around) else middle  # a hand misses the middle
        for axis in range(3):
            aim = Aim(1, axis, int(point[axis]), point[None])
            yield tried(click_to_fix, scene, aim, FixKnobs(reach=Reach.SLICE))
        yield tried(click_to_fix, scene, aim, FixKnobs(reach=Reach.VOLUME))


def tried(run: Callable[..., Edit | None], scene: Scene, aim: Aim, knobs: object) -> Edit | None:
    """A tool's answer; None where it says that it cannot work."""
    try:
        edit = run(scene, aim, knobs)
    except MedsegError:
        return None
    name = "stroke" if isinstance(knobs, AssistedKnobs) else "click"
    return None if edit is None else Edit(edit.box, edit.labels, name)


METHODS: dict[str, tuple[tuple[Offer, ...], bool]] = {
    "dabs": ((dabbed,), False),
    "plain": ((plain,), False),
    "assisted": ((plain, strokes), False),
    "click": ((plain, clicks), False),
    "both": ((plain, strokes, clicks), False),
    "assisted, model": ((plain, strokes), True),
    "click, model": ((plain, clicks), True),
}
EAGER = (1.0, 0.5)  # what a tool's gain counts against a brush's


def corrected(case: Case, wrong: Bools, method: str, most: int, eager: float) -> Tally:
    """Strokes until the annotator is content, or too many."""
    offers, model = METHODS[method]
    labels = wrong.astype(np.uint8)
    chances = {1: case.chances} if model and case.chances is not None else {}
    scene = Scene(case.image, labels, case.spacing_mm, chances)
    tally = Tally()
    while tally.strokes < most:
        if dice(labels > 0, case.truth) >= case.goal:
            break
        edits = []
        for offer in offers:
            start = time.process_time()
            found = list(offer(case, scene, labels > 0))
            tally.seconds += (time.process_time() - start) * (offer not in (plain, dabbed))
            tally.tries += len(found)
            edits += [one for one in found if one is not None]
        if not edits:
            break
        best = max(edits, key=lambda one: gain_of(case, labels, one, eager))
        labels[best.box] = best.labels
        tally.strokes += 1
    tally.reached = dice(labels > 0, case.truth) >= case.goal
    return tally


def gain_of(case: Case, labels: npt.NDArray[np.uint8], edit: Edit, eager: float = 1.0) -> float:
    """Voxels that an edit puts right, less those it makes wrong; a tool's are weighed."""
    truth = case.truth[edit.box]
    before = int(np.count_nonzero((labels[edit.box] > 0) != truth))
    gained = before - int(np.count_nonzero((edit.labels > 0) != truth))
    return gained * eager if edit.said in ("stroke", "click") else gained


def best_of(case: Case, wrong: Bools, method: str, most: int) -> Tally | None:
    """The shorter way of those who take a tool sooner and later; None without the model."""
    offers, model = METHODS[method]
    if model and case.chances is None:
        return None
    if len(offers) == 1:
        return corrected(case, wrong, method, MOST_PLAIN, 1.0)
    ways: list[Tally] = []
    for eager in EAGER:
        ways.append(corrected(case, wrong, method, most, eager))
        most = ways[-1].strokes if ways[-1].reached else most  # no need to go on for longer
    best = min(ways, key=lambda one: (not one.reached, one.strokes))
    return replace(best, seconds=sum(one.seconds for one in ways) / len(ways))


def row(case: Case, how: Callable[..., Bools], most: int) -> tuple[str, Row]:
    wrong = how(case, np.random.default_rng(0))
    found = {method: best_of(case, wrong, method, most) for method in METHODS}
    cells = [case.name, how.__name__, f"{dice(wrong, case.truth):.2f} → {case.goal:.2f}"]
    cells += [cell(one) for one in found.values()]
    cells.append("–" if case.chances is None else f"{dice(case.chances > 0.5, case.truth):.2f}")
    return "| " + " | ".join(cells) + " |", {k: v for k, v in found.items() if v is not None}


def cell(tally: Tally | None) -> str:
    if tally is None:
        return "–"
    count = str(tally.strokes) if tally.reached else f"≥ {tally.strokes}"
    return count + f" ({tally.seconds:.1f} s, {tally.tries} previews)" * (tally.seconds > 0)


def summary(rows: list[Row]) -> Iterator[str]:
    """Strokes in all, and how many times fewer than by each plain brush."""
    for method in METHODS:
        done = [one for one in rows if method in one]
        if not done:
            continue
        own = [one[method] for one in done]
        cells = [method, str(len(done)), str(sum(one.strokes for one in own))]
        for base in ("dabs", "plain"):
            cells += compared(own, [one[base] for one in done])
        cells.append(str(sum(not one.reached for one in own)))
        yield "| " + " | ".join(cells) + " |"


def compared(own: list[Tally], plain: list[Tally]) -> list[str]:
    """How many times fewer strokes in all, in the median row, and in how many rows three times."""
    ratios = [one.strokes / max(two.strokes, 1) for one, two in zip(plain, own, strict=True)]
    often = sum(bool(ratio >= 3 and one.reached) for ratio, one in zip(ratios, own, strict=True))
    total = sum(one.strokes for one in plain) / max(sum(one.strokes for one in own), 1)
    return [f"{total:.1f}", f"{np.median(ratios):.1f}", f"{often} of {len(own)}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--most", type=int, default=30, help="strokes with tools, then it is given up"
    )
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--pet", type=Path, help="a model for sarcoma PET, see above")
    options = parser.parse_args()
    if options.pet is not None:
        MODELS["sarcoma PET"] = options.pet
    out = sys.stdout.write
    out(f"# Simulated corrections, {date.today()}\n\n{machine()}\n\n")
    out("Strokes (seconds of the processor, previews computed); ≥: given up there.\n\n")
    out(f"| case | mask | Dice | {' | '.join(METHODS)} | model's Dice |\n")
    out("|---" * (len(METHODS) + 4) + "|\n")
    rows: list[Row] = []
    for spec in CASES:
        if options.only.lower() not in spec[0].lower():
            continue
        case = load(*spec)
        for how in WRONGS:
            line, tallies = row(case, how, options.most)
            rows.append(tallies)
            out(line + "\n")
            sys.stdout.flush()
    head = ["method", "rows", "strokes"]
    for base in ("dabs", "plain"):
        head += [f"times fewer than {base}", "median", "3 times fewer"]
    head.append("not reached")
    out("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|\n")
    out("\n".join(summary(rows)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
