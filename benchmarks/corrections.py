"""Strokes that bring a wrong mask to a Dice, with a plain brush and with the smart tools.

    python benchmarks/corrections.py [--most 25] [--only nodule]

A simulated annotator, who knows the truth, works on labelled scans of ../shared/data. Masks are
made wrong in three ways, seeded: eroded, shifted, with false blobs and bites. Each stroke is the
one that gains most of those that the method offers (a tool must gain twice what a brush does):

* dabs: the largest disc that is wrong throughout, set down once in the slice with the largest
  error; or one sphere.
* plain: the largest disc that is wrong throughout, dragged along what is wrong in the slice with
  the largest error; or one sphere, where the largest that is wrong throughout gains more.
* assisted: also a rough stroke along the middle of the structure or of the largest error, by the
  assisted brush, its eraser or Snap, in the slice or in the volume. Grey values only, no model.
* click: also a click to fix in the middle of the largest error, in the slice or in the volume, by
  grey values only.
* assisted, model and click, model: the same with probabilities. There is no model for these scans:
  they are the truth, its edge blurred and displaced. "Model's Dice" is what they alone reach.

A preview that is refused is not counted as a stroke; "tries" counts all that were computed.
Seconds are of the processor, and of the tools only, tries included.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
from engine import machine
from scipy.ndimage import gaussian_filter
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist
from skimage.morphology import skeletonize

from napari_medseg import io
from napari_medseg.correction.edit import Aim, Bools, Edit, Reach, Scene, edit_of
from napari_medseg.correction.tools.assisted import AssistedKnobs, Does, assisted, drawn_through
from napari_medseg.correction.tools.part import box_of, depth_mm, piece_at, voxels_of
from napari_medseg.correction.tools.probable import FixKnobs, click_to_fix
from napari_medseg.errors import MedsegError
from napari_medseg.volume.orient import mask_to_canonical, to_canonical

DATA = Path(__file__).parents[2] / "shared" / "data"
CASES = (
    ("CT nodule", "nrrd_cases/lung1_image.nrrd", "nrrd_cases/lung1_label.nrrd", 0.95),
    (
        "sarcoma MR",
        "sts_pet_mr_ct/STS_025/MR_T1_image.nii.gz",
        "sts_pet_mr_ct/STS_025/MR_T1_mask.nii.gz",
        0.95,
    ),
    (
        "sarcoma PET",
        "sts_pet_mr_ct/STS_012/PET_image.nii.gz",
        "sts_pet_mr_ct/STS_012/PET_mask.nii.gz",
        0.95,
    ),
    (
        "hippocampus",
        "hippocampus/images/hippocampus_001.nii.gz",
        "hippocampus/labels/hippocampus_001.nii.gz",
        0.90,
    ),
    (
        "cord T2",
        "spinal_cord_mr/t2/t2.nii.gz",
        "spinal_cord_mr/t2/t2_seg-manual.nii.gz",
        0.95,
    ),
    ("cord T2*", "spinal_cord_mr/t2s/t2s.nii.gz", "spinal_cord_mr/t2s/t2s_seg.nii.gz", 0.95),
)
MOST_PLAIN = 150  # strokes of a plain brush: they cost next to nothing to compute
Points = npt.NDArray[np.int64]
Spacing = tuple[float, float, float]
Offer = Callable[["Case", Scene, Bools], Iterator[Edit | None]]


@dataclass(frozen=True, eq=False)
class Case:
    """A labelled scan, cut around its structure.

    `goal` is the Dice at which the annotator is content, `chances` what the made-up model gives.
    """

    name: str
    image: npt.NDArray[np.float32]
    truth: Bools
    spacing_mm: Spacing
    goal: float
    chances: npt.NDArray[np.float16]


@dataclass
class Tally:
    """What it took."""

    strokes: int = 0
    tries: int = 0
    seconds: float = 0.0
    reached: bool = False
    by: dict[str, int] = field(default_factory=dict)


def load(name: str, image: str, label: str, goal: float) -> Case:
    """One case, from 20 mm around its structure."""
    scan, _ = to_canonical(io.read(DATA / image))
    mask, _ = mask_to_canonical(io.read_mask(DATA / label))
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
    grey = np.asarray(scan.array[box], np.float32)
    return Case(name, grey, truth, (z, y, x), goal, made_up(truth, (z, y, x)))


def made_up(truth: Bools, spacing_mm: Spacing) -> npt.NDArray[np.float16]:
    """Probabilities: an edge that is soft over a voxel, displaced by smooth noise, and speckle."""
    random = np.random.default_rng(3)
    size_mm = (truth.sum() * np.prod(spacing_mm)) ** (1 / 3)
    noise = gaussian_filter(
        random.normal(0, 1, truth.shape), [0.15 * size_mm / one for one in spacing_mm]
    )
    noise *= 0.1 * size_mm / noise.std()
    signed = depth_mm(truth, spacing_mm) - depth_mm(~truth, spacing_mm)
    width = min(spacing_mm)
    odds = (signed + noise) / width + random.normal(0, 0.3, truth.shape)
    return (1 / (1 + np.exp(-np.clip(odds, -8, 8)))).astype(np.float16)


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


def worst_slice(wrong: Bools) -> int:
    return int(np.argmax(wrong.sum(axis=(1, 2))))


def deepest(region: Bools, spacing_mm: Spacing) -> tuple[npt.NDArray[np.int64], float]:
    """The middle of the largest ball or disc that fits, and its radius in mm."""
    depth = np.where(region, depth_mm(region, spacing_mm), 0)
    at = np.array(np.unravel_index(int(np.argmax(depth)), region.shape))
    return at, float(min(depth.max(), 1e3))


def plain(case: Case, scene: Scene, now: Bools) -> Iterator[Edit | None]:
    """Dragging the largest disc that is wrong throughout, and one sphere."""
    for value, region in ((1, case.truth & ~now), (0, now & ~case.truth)):
        if not region.any():
            continue
        z = worst_slice(now ^ case.truth)
        flat = region[z : z + 1]
        if flat.any():
            yield setting(scene, z, dragged(flat, case.spacing_mm), value)
        middle, radius = deepest(region, case.spacing_mm)
        ball = near(region, middle, radius, case.spacing_mm)
        yield edit_of(scene, whole(region), ball, value, "sphere")


def dabbed(case: Case, scene: Scene, now: Bools) -> Iterator[Edit | None]:
    """The largest disc that is wrong throughout, in the slice with the largest error; a sphere."""
    z = worst_slice(now ^ case.truth)
    for value, region in ((1, case.truth & ~now), (0, now & ~case.truth)):
        for reach in (slice(z, z + 1), slice(None)):
            part = region[reach]
            if part.any():
                middle, radius = deepest(part, case.spacing_mm)
                where = near(part, middle, radius, case.spacing_mm)
                if reach.stop is None:
                    yield edit_of(scene, whole(part), where, value, "sphere")
                else:
                    yield setting(scene, z, where, value)


def near(region: Bools, middle: Points, radius: float, spacing_mm: Spacing) -> Bools:
    """What of a region lies in a ball or disc."""
    grids = np.ogrid[tuple(slice(0, size) for size in region.shape)]
    pairs = zip(grids, middle, spacing_mm, strict=True)
    ball = sum(((grid - at) * one) ** 2 for grid, at, one in pairs) < radius**2
    return np.asarray(ball) & region


def dragged(flat: Bools, spacing_mm: Spacing) -> Bools:
    """What a disc covers that is dragged along a region and stays in it: 0.6 of the largest."""
    middle, most = deepest(flat, spacing_mm)
    depth = depth_mm(flat, spacing_mm)
    radius = 0.6 * most
    ridge = piece_at((depth >= radius) & flat, (0, int(middle[1]), int(middle[2])))
    return (depth_mm(~ridge, spacing_mm) < radius) & flat | ridge


def setting(scene: Scene, z: int, where: Bools, value: int) -> Edit:
    box = (slice(z, z + 1), slice(0, scene.shape[1]), slice(0, scene.shape[2]))
    return edit_of(scene, box, where, value, "disc")


def whole(region: Bools) -> tuple[slice, slice, slice]:
    z, y, x = (slice(0, size) for size in region.shape)
    return z, y, x


def along(region: Bools, z: int) -> Points:
    """A rough stroke: the longest way along the middle line of a region in a slice, (N, 3)."""
    middle = skeletonize(region[z])
    points = np.argwhere(middle)
    if len(points) == 0:
        points = np.argwhere(region[z])[:1]
    links = cdist(points, points, "chebyshev") == 1
    start = 0
    for _ in range(2):  # the furthest of the furthest
        way, before = dijkstra(links, indices=start, return_predecessors=True, unweighted=True)
        first, start = start, int(np.argmax(np.where(np.isfinite(way), way, -1)))
    path = [start]
    while path[-1] != first:
        path.append(int(before[path[-1]]))
    rough = points[path[:: max(1, len(path) // 12)] + path[-1:]]  # a hand is no ruler
    return np.insert(rough, 0, z, axis=1).astype(np.int64)


def radius_of(region: Bools, points: Points, spacing_mm: Spacing) -> float:
    """Radius of a brush that nearly covers a region from a stroke, with a tenth to spare."""
    path = np.zeros(region.shape, bool)
    path[tuple(drawn_through(points).T)] = True
    away = np.quantile(depth_mm(~path, spacing_mm)[region], 0.98)
    return float(np.clip(1.1 * away + min(spacing_mm), 0.5, 200))


def strokes(case: Case, scene: Scene, now: Bools) -> Iterator[Edit | None]:
    """Rough strokes along the structure and along the largest error."""
    z = worst_slice(now ^ case.truth)
    if case.truth[z].any():
        yield from drawn(case, scene, case.truth, z, Does.BOTH)
    error, does = largest(case, now)
    if error.any():
        yield from drawn(case, scene, error, worst_slice(error), does)


def drawn(case: Case, scene: Scene, region: Bools, z: int, does: Does) -> Iterator[Edit | None]:
    """One stroke for the slice, one for what is near it, one for the whole."""
    points = along(region, z)
    flat = np.zeros_like(region)
    flat[z] = region[z]
    near = radius_of(flat, points, case.spacing_mm)
    wide = radius_of(region, points, case.spacing_mm)
    reaches = [(Reach.SLICE, near), (Reach.VOLUME, near)]
    if 1.1 * near < wide < 3 * near:
        reaches.append((Reach.VOLUME, wide))
    for reach, radius in reaches:
        knobs = AssistedKnobs(does, radius, reach=reach)
        yield tried(assisted, scene, Aim(1, 0, z, points), knobs)


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
    """A click in the middle of the largest error of each kind."""
    for region in (case.truth & ~now, now & ~case.truth):
        if not region.any():
            continue
        point, _ = deepest(region, case.spacing_mm)
        for reach in Reach:
            aim = Aim(1, 0, int(point[0]), point[None])
            yield tried(click_to_fix, scene, aim, FixKnobs(reach=reach))


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
    "assisted, model": ((plain, strokes), True),
    "click, model": ((plain, clicks), True),
}


def corrected(case: Case, wrong: Bools, method: str, most: int) -> Tally:
    """Strokes until the annotator is content, or too many."""
    offers, model = METHODS[method]
    labels = wrong.astype(np.uint8)
    scene = Scene(case.image, labels, case.spacing_mm, {1: case.chances} if model else {})
    tally = Tally()
    while tally.strokes < most:
        if dice(labels > 0, case.truth) >= case.goal:
            tally.reached = True
            break
        best, gain = None, 0.0
        for offer in offers:
            start = time.process_time()
            edits = list(offer(case, scene, labels > 0))
            tally.seconds += (time.process_time() - start) * (offer not in (plain, dabbed))
            tally.tries += len(edits)
            for edit in edits:
                gained = gain_of(case, labels, edit)
                if edit is not None and gained > gain:
                    best, gain = edit, gained
        if best is None:
            break
        labels[best.box] = best.labels
        tally.strokes += 1
        tally.by[best.said] = tally.by.get(best.said, 0) + 1
    return tally


def gain_of(case: Case, labels: npt.NDArray[np.uint8], edit: Edit | None) -> float:
    """Voxels that an edit puts right, less those it makes wrong.

    Halved for tools: what they leave is ragged and takes more strokes to mend than what was smooth,
    so that a person takes the plain brush unless a tool gains clearly more.
    """
    if edit is None:
        return 0
    truth = case.truth[edit.box]
    before = int(np.count_nonzero((labels[edit.box] > 0) != truth))
    gained = before - int(np.count_nonzero((edit.labels > 0) != truth))
    return gained / 2 if edit.said in ("stroke", "click") else gained


def row(case: Case, how: Callable[..., Bools], most: int) -> tuple[str, dict[str, Tally]]:
    wrong = how(case, np.random.default_rng(0))
    tallies = {
        method: corrected(case, wrong, method, most if len(offers) > 1 else MOST_PLAIN)
        for method, (offers, _) in METHODS.items()
    }
    cells = [case.name, how.__name__, f"{dice(wrong, case.truth):.2f} → {case.goal:.2f}"]
    for tally in tallies.values():
        count = str(tally.strokes) if tally.reached else f"> {tally.strokes}"
        cells.append(f"{count} ({tally.seconds:.1f} s, {tally.tries} tries)")
    cells.append(f"{dice(case.chances > 0.5, case.truth):.2f}")
    return "| " + " | ".join(cells) + " |", tallies


def summary(rows: list[dict[str, Tally]]) -> Iterator[str]:
    """Strokes in all, and how many times fewer than by each plain brush."""
    for method in METHODS:
        total = sum(one[method].strokes for one in rows)
        cells = [method, str(total)]
        for base in ("dabs", "plain"):
            ratios = [one[base].strokes / max(one[method].strokes, 1) for one in rows]
            often = sum(one >= 3 for one in ratios)
            cells += [f"{sum(one[base].strokes for one in rows) / total:.1f}"]
            cells += [f"{np.median(ratios):.1f}", f"{often} of {len(rows)}"]
        kinds: dict[str, int] = {}
        for one in rows:
            for name, count in one[method].by.items():
                kinds[name] = kinds.get(name, 0) + count
        cells.append(str(sum(not one[method].reached for one in rows)))
        cells.append(", ".join(f"{count} {name}" for name, count in sorted(kinds.items())))
        yield "| " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--most", type=int, default=25, help="strokes with tools, then it is given up"
    )
    parser.add_argument("--only", default="", help="part of a case's name")
    options = parser.parse_args()
    out = sys.stdout.write
    out(f"# Simulated corrections, {date.today()}\n\n{machine()}\n\n")
    out("Strokes (seconds of the processor, previews computed).\n\n")
    out(f"| case | mask | Dice | {' | '.join(METHODS)} | model's Dice |\n")
    out("|---" * (len(METHODS) + 4) + "|\n")
    rows = []
    for spec in CASES:
        if options.only.lower() not in spec[0].lower():
            continue
        case = load(*spec)
        for how in WRONGS:
            line, tallies = row(case, how, options.most)
            rows.append(tallies)
            out(line + "\n")
            sys.stdout.flush()
    head = ["method", "strokes"]
    for base in ("dabs", "plain"):
        head += [f"times fewer than {base}", "median", "3 times fewer"]
    head += ["not reached", "by"]
    out("\n| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|\n")
    out("\n".join(summary(rows)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
