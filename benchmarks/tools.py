"""How long each tool of the correction bench takes: a 512 × 512 slice, and the whole volume.

    python benchmarks/tools.py [--rounds 3] [--only Margin] [--shape 256 512 512]

The scan is made here: a ball of 100 ml with a rough surface, islands and a cave, a second structure
that touches it, noise, and probabilities as a model would give them. Tools that need another start
(slices between drawn ones, the next slice) get it: only every fifth slice of the ball is drawn, or
only the viewed one. Clicks, strokes and outlines are made from the ball. Knobs are the tools' own
defaults. Milliseconds are the median of the rounds, on one thread; wall time depends on what else
the machine does, the time of the processor hardly.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_medseg.correction import tools
from napari_medseg.correction.edit import Aim, Edit, Reach, Scene
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.errors import InputError

SPACING = (1.0, 0.8, 0.8)
RADIUS_MM = (100_000 * 3 / 4 / np.pi) ** (1 / 3)  # 100 ml
NEIGHBOUR_MM = 15.0
EVERY = 5  # slices, where only some are drawn
BALL, NEIGHBOUR = 1, 2


@dataclass(frozen=True)
class Time:
    """Of one run, in ms."""

    wall: float
    processor: float
    said: str

    def __str__(self) -> str:
        return self.said if np.isnan(self.wall) else f"{self.wall:.0f} ({self.processor:.0f})"


def every_tool() -> Iterator[Tool]:
    """The tools of all modules that have some, in the order of the files' names."""
    folder = Path(tools.__file__).parent
    for path in sorted(folder.glob("*.py")):
        module = import_module(f"{tools.__name__}.{path.stem}")
        yield from getattr(module, "TOOLS", ())


def away_mm(shape: tuple[int, ...], at: tuple[float, ...]) -> npt.NDArray[np.float32]:
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    squares = [((a - c) * mm) ** 2 for a, c, mm in zip(axes, at, SPACING, strict=True)]
    return np.sqrt(sum(s.astype(np.float32) for s in squares))


def scan(shape: tuple[int, int, int]) -> Scene:
    """The ball and its neighbour; label, image and probabilities."""
    random = np.random.default_rng(0)
    middle = tuple(n // 2 for n in shape)
    beside = (middle[0], middle[1], middle[2] + round((RADIUS_MM + NEIGHBOUR_MM - 2) / SPACING[2]))
    away = away_mm(shape, middle)
    chance = 1 / (1 + np.exp(np.clip(away - RADIUS_MM, -20, 20)))
    image = random.integers(-60, 61, shape, np.int16)
    image[away < RADIUS_MM] += 200
    rough = ndimage.gaussian_filter(random.normal(0, 1, shape).astype(np.float32), 2)
    labels = (away + 25 * rough < RADIUS_MM).astype(np.uint8)
    near = (away_mm(shape, beside) < NEIGHBOUR_MM) & (labels == 0)
    labels[near] = NEIGHBOUR
    image[near] += 120
    z, y, x = middle
    labels[z - 2 : z + 2, y - 3 : y + 3, x - 3 : x + 3] = 0  # a cave
    for step in (40, 44, 48):  # islands
        labels[z - 1 : z + 2, y + step : y + step + 2, x : x + 2] = BALL
    return Scene(image, labels, SPACING, {BALL: chance.astype(np.float16)})


def starts(scene: Scene) -> dict[str, Scene]:
    """What a tool can start from; the first from which it changes something is timed."""
    viewed = scene.shape[0] // 2
    every, one = scene.labels.copy(), scene.labels.copy()
    skipped = np.arange(scene.shape[0]) % EVERY != (viewed + 2) % EVERY
    every[skipped] = 0
    one[np.arange(scene.shape[0]) != viewed] = 0
    return {
        "all": scene,
        "every fifth slice": replace(scene, labels=every),
        "one slice": replace(scene, labels=one),
    }


def aim_of(tool: Tool, scene: Scene) -> Aim:
    """What a person would show the tool, in the viewed slice."""
    z, y, x = (n // 2 for n in scene.shape)
    edge = round(RADIUS_MM / SPACING[1])
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)

    def arc(radius: float, part: slice = slice(None)) -> npt.NDArray[np.int64]:
        rows, columns = y + radius * np.sin(angle[part]), x + radius * np.cos(angle[part])
        return np.stack([np.full_like(rows, z), rows, columns], axis=1).round().astype(np.int64)

    points = {
        Wants.NOTHING: arc(0, slice(0)),
        Wants.CLICK: np.array([[z, y, x + edge // 2]]),
        Wants.STROKE: arc(edge - 2, slice(8, 13)),
        Wants.OUTLINE: arc(edge + 4),
        Wants.SEEDS: arc(0, slice(0)),
    }[tool.wants]
    seeds = {BALL: arc(edge / 2), NEIGHBOUR: arc(edge + 18, slice(0, 1)), 0: arc(edge + 60)}
    return Aim(BALL, 0, z, points, seeds if tool.wants is Wants.SEEDS else {})


def timed(run: Callable[[], Edit | None], rounds: int) -> Time | None:
    """The median of the rounds; None where nothing would change."""
    walls, works, said = [], [], ""
    for _ in range(rounds):
        wall, work = time.perf_counter(), time.process_time()
        try:
            edit = run()
        except InputError as error:
            return Time(float("nan"), float("nan"), f"refused: {error}")
        walls.append(1000 * (time.perf_counter() - wall))
        works.append(1000 * (time.process_time() - work))
        if edit is None:
            return None
        said = edit.said
    return Time(statistics.median(walls), statistics.median(works), said)


def best_start(tool: Tool, scenes: dict[str, Scene], knobs: Any, rounds: int) -> Time | None:
    for scene in scenes.values():
        aim = aim_of(tool, scene)
        found = timed(lambda: tool.run(scene, aim, knobs), rounds)  # noqa: B023 - run at once
        if found is not None and not np.isnan(found.wall):
            return found
    return found


def row(tool: Tool, scenes: dict[str, Scene], rounds: int) -> str:
    """One line of the table. A tool without `reach` has one time, in the middle."""
    if hasattr(tool.knobs, "reach"):
        found = [
            best_start(tool, scenes, replace(tool.knobs, reach=reach), rounds)
            for reach in (Reach.SLICE, Reach.VOLUME)
        ]
    else:
        found = [best_start(tool, scenes, tool.knobs, rounds), None]
    said = next((one.said for one in reversed(found) if one is not None), "nothing to change")
    cells = ["–" if one is None else str(one) for one in found]
    return f"| {tool.group} | {tool.name} | {' | '.join(cells)} | {said} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="groups or names that contain this")
    parser.add_argument("--shape", type=int, nargs=3, default=(256, 512, 512))
    args = parser.parse_args()
    scenes = starts(scan(tuple(args.shape)))
    wanted = [tool for tool in every_tool() if args.only in f"{tool.group} {tool.name}"]
    size = " × ".join(str(n) for n in args.shape)
    head = f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, numpy {np.__version__}"
    lines = [
        f"{head}: {size} voxels of {' × '.join(str(mm) for mm in SPACING)} mm, a ball of 100 ml.",
        "Wall time and, in brackets, time of the processor, ms; median.",
        "",
        "| group | tool | slice, ms | volume, ms | what it says |",
        "|---|---|--:|--:|---|",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    for tool in wanted:
        sys.stdout.write(row(tool, scenes, args.rounds) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
