"""How long a prediction takes, beside its own forward passes and beside MONAI.

    python benchmarks/inference.py [--shape 128,192,192] [--patch 96,96,96] [--rounds 2]

Every row runs in a process of its own, row after row, round after round; the table shows the best
round. CPU seconds (user and system, all threads) hardly depend on what else the machine does; wall
seconds do. MONAI is compared where it is installed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import torch

from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.device import keep_freed_memory
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.forward import Forward, cut
from napari_medseg.inference.predict import predict
from napari_medseg.inference.tiles import Tiling
from napari_medseg.jobs import finish
from napari_medseg.models.build import build, network_of, weights_of
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import prepare
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Geometry, Label, Volume

FEATURES = (16, 32, 64, 128, 128)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Task:
    """A scan of noise and a network of random weights: time depends on their sizes alone."""

    shape: tuple[int, int, int]
    patch: tuple[int, int, int]
    labels: int
    overlap: float

    def volume(self) -> Volume:
        noise = np.random.default_rng(0).normal(0, 100, self.shape).astype(np.int16)
        return Volume(noise, Geometry.from_spacing(self.shape))

    def segmenter(self) -> Segmenter:
        torch.manual_seed(0)
        strides = ((1, 1, 1),) + ((2, 2, 2),) * (len(FEATURES) - 1)
        config = NetworkConfig(features=FEATURES, strides=strides)
        recipe = Recipe(
            tuple(Label(n, str(n)) for n in range(1, self.labels + 1)), patch=self.patch
        )
        network = build(config, 1, recipe.n_outputs)
        return Segmenter("benchmark", config, weights_of(network), recipe)


Row = Callable[[Task], float | None]  # seconds to the first box of the viewed slice, if it tells


def monai(task: Task) -> None:
    """MONAI's sliding window over the prepared tensor, then argmax."""
    from monai.inferers import sliding_window_inference

    segmenter = task.segmenter()
    network, tensor = network_of(segmenter), prepare(task.volume(), segmenter.recipe).tensor
    with torch.inference_mode():
        logits = sliding_window_inference(
            tensor[None], task.patch, 1, network, task.overlap, mode="gaussian"
        )
        logits.argmax(1).to(torch.uint8).numpy()


def forwards(task: Task, half: bool) -> None:
    """The network on all tiles and nothing else: the floor of the tiling."""
    segmenter = task.segmenter()
    tensor = prepare(task.volume(), segmenter.recipe).tensor
    forward = Forward(network_of(segmenter), CPU, False, half)
    z, y, x = tensor.shape[1:]
    tiling = Tiling.over((z, y, x), task.patch, task.overlap)
    for origin in tiling.touching((slice(0, z), slice(0, y), slice(0, x))):
        forward(cut(tensor, origin, task.patch))


def ours(task: Task, half: bool) -> float | None:
    """`predict` with the middle slice in view."""
    started = time.perf_counter()
    first: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, BoxDone) and not first:
            first.append(time.perf_counter() - started)

    view = (0, task.shape[0] // 2)
    config = PredictConfig("cpu", task.overlap, half=half, slice_zyx=view)
    finish(predict(task.volume(), task.segmenter(), config), note)
    return first[0]


ROWS: dict[str, tuple[Row, bool]] = {  # what runs, and whether freed memory is kept
    "MONAI sliding window, float32": (monai, False),
    "forward passes, float32": (lambda task: forwards(task, False), False),
    "forward passes, float32, memory kept": (lambda task: forwards(task, False), True),
    "forward passes, 16 bit, memory kept": (lambda task: forwards(task, True), True),
    "predict, float32, memory kept": (lambda task: ours(task, False), True),
    "predict, 16 bit, memory kept": (lambda task: ours(task, True), True),
}


def measure(name: str, task: Task) -> dict[str, float | None]:
    """One row in this process."""
    row, keep = ROWS[name]
    if keep:
        keep_freed_memory()
    if row is monai:
        importlib.import_module("monai.inferers")  # not a part of the time
    wall, cpu = time.perf_counter(), time.process_time()
    first = row(task)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"wall": wall, "cpu": cpu, "first": first, "peak_gb": peak_gb}


def in_a_process_of_its_own(name: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--row", name]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def table(best: dict[str, dict[str, float]], task: Task) -> str:
    """Markdown."""
    reference = best.get("MONAI sliding window, float32", best["forward passes, float32"])["cpu"]
    lines = [
        f"{task.shape} voxels, patch {task.patch}, overlap {task.overlap}, {task.labels} labels; "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"napari-medseg {version('napari-medseg')}",
        "",
        "| | CPU s | less CPU | wall s | first view s | peak GB |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in best.items():
        first = f"{one['first']:.1f}" if one["first"] else "-"
        lines.append(
            f"| {name} | {one['cpu']:.1f} | {reference / one['cpu']:.2f}x | {one['wall']:.1f} "
            f"| {first} | {one['peak_gb']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def ints(text: str) -> tuple[int, int, int]:
    z, y, x = (int(n) for n in text.split(","))
    return z, y, x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=ints, default=(128, 192, 192))
    parser.add_argument("--patch", type=ints, default=(96, 96, 96))
    parser.add_argument("--labels", type=int, default=4)
    parser.add_argument("--overlap", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--row", choices=list(ROWS), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    task = Task(chosen.shape, chosen.patch, chosen.labels, chosen.overlap)
    if chosen.row:
        sys.stdout.write(json.dumps(measure(chosen.row, task)) + "\n")
        return
    names = [n for n in ROWS if "MONAI" not in n or importlib.util.find_spec("monai")]
    rounds = [{n: in_a_process_of_its_own(n) for n in names} for _ in range(chosen.rounds)]
    best = {n: min((one[n] for one in rounds), key=lambda one: one["cpu"]) for n in names}
    sys.stdout.write(table(best, task))


if __name__ == "__main__":
    main()
