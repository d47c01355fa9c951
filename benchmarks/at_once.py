"""From a stroke to the slice as the student sees it then: seconds, and whether it helps.

A virtual person paints a disc where the mask of the viewed slice is most wrong; a child process
learns along. Prints Markdown.

    python benchmarks/at_once.py lung_ct chest_ct.nii.gz chest_ct_mask.nii.gz
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
from scipy import ndimage

from napari_medseg import io
from napari_medseg.correction.record import Example
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import Child, Job, Listening, finish
from napari_medseg.models import checkpoint
from napari_medseg.training.events import SliceSeen, Stroke, Strokes
from napari_medseg.training.live import LiveConfig
from napari_medseg.volume import Mask, Volume, to_canonical

LIVE = "napari_medseg.training.live:live"
RADIUS = 5  # voxels of the brush
Labels = npt.NDArray[np.uint8]


def worst(now: Labels, truth: Labels, seen: set[tuple[int, int]]) -> tuple[int, int, int] | None:
    """The middle of the largest error in the slice with most errors."""
    wrong = now != truth
    counts = wrong.sum((1, 2))
    for z in np.argsort(counts)[::-1]:
        depth = ndimage.distance_transform_edt(np.pad(wrong[z], 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth.max() > 0 and (int(z), int(y) // 4) not in seen:
            seen.add((int(z), int(y) // 4))
            return int(z), int(y), int(x)
    return None


def disc(number: int, at: tuple[int, int, int], now: Labels, truth: Labels) -> Stroke:
    """A stroke of the right labels around a voxel; what it did not change nobody vouches for."""
    z, y, x = at
    rows = slice(max(0, y - RADIUS), min(now.shape[1], y + RADIUS + 1))
    columns = slice(max(0, x - RADIUS), min(now.shape[2], x + RADIUS + 1))
    box = (slice(z, z + 1), rows, columns)
    grid = np.ogrid[rows, columns]
    inside = (grid[0] - y) ** 2 + (grid[1] - x) ** 2 <= RADIUS**2
    painted = inside & (truth[box] == truth[at])
    confirmed = painted & (now[box] != truth[box])
    labels = np.where(painted, truth[box], now[box])
    return Stroke(number, box, labels, confirmed, 0, z)


def dice(a: Labels, b: Labels) -> float:
    """Mean over the labels of `b`."""
    values = [n for n in np.unique(b) if n]
    each = [2 * ((a == n) & (b == n)).sum() / ((a == n).sum() + (b == n).sum()) for n in values]
    return float(np.mean(each)) if values else np.nan


def until_listening(job: Job[None], wish: object) -> SliceSeen | None:
    """Tell it something; what it answered before it listens again."""
    answer, event = None, job.send(wish)
    while not isinstance(event, Listening):
        answer = event if isinstance(event, SliceSeen) else answer
        event = next(job)
    return answer


def run(model: Path, volume: Volume, truth: Labels, strokes: int, config: LiveConfig) -> None:
    segmenter = checkpoint.load(model)
    now: Labels = finish(predict(volume, segmenter, PredictConfig())).mask.labels.astype(np.uint8)
    confirmed = np.zeros(now.shape, bool)
    example = Example(volume, Mask(now.copy(), volume.geometry), confirmed)
    rows, seen = [], set()
    with Child() as child:
        started = time.perf_counter()
        job = child.run(LIVE, model, example, config)
        until_listening(job, None)
        begun = time.perf_counter() - started
        process = psutil.Process(child._process.pid)
        for number in range(1, strokes + 1):
            at = worst(now, truth, seen)
            if at is None:
                break
            stroke = disc(number, at, now, truth)
            cpu, started = sum(process.cpu_times()[:2]), time.perf_counter()
            answer = until_listening(job, Strokes((stroke,)))
            assert answer is not None
            wall, cpu = time.perf_counter() - started, sum(process.cpu_times()[:2]) - cpu
            before = dice(now[at[0]], truth[at[0]])
            now[stroke.box] = stroke.labels
            confirmed[stroke.box] |= stroke.confirmed
            brushed = dice(now[at[0]], truth[at[0]])
            part = now[answer.box]
            after = now[at[0]].copy()
            place = answer.box[1:]
            change = answer.learned & ~confirmed[answer.box]
            after[place] = np.where(change, answer.labels, part)[0]
            rows.append((wall, cpu, answer.steps, before, brushed, dice(after, truth[at[0]])))
        child.close()
    table = np.array(rows)
    half, most = np.percentile(table[:, 0], [50, 95])
    means = table.mean(0)
    print(  # noqa: T201
        f"| {model.stem} on {volume.name} | {len(rows)} | {begun:.1f} | {half:.2f} | {most:.2f} | "
        f"{means[1]:.2f} | {means[2]:.1f} | {np.nanmean(table[:, 3]):.3f} | "
        f"{np.nanmean(table[:, 4]):.3f} | {np.nanmean(table[:, 5]):.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("scan", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--strokes", type=int, default=30)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rate", type=float, default=LiveConfig().learning_rate)
    parser.add_argument("--remember", type=float, default=LiveConfig().remember)
    asked = parser.parse_args()
    volume, _ = to_canonical(io.read(asked.scan))
    mask = io.read_mask(asked.truth)
    _, turn = to_canonical(io.read(asked.scan))
    truth = np.ascontiguousarray(turn.apply(mask.labels)).astype(np.uint8)
    config = LiveConfig(threads=asked.threads, learning_rate=asked.rate, remember=asked.remember)
    run(asked.model, volume, truth, asked.strokes, config)


if __name__ == "__main__":
    main()
