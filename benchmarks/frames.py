"""How many frames of a cine are segmented in a second, beside the network's own forward pass.

    python benchmarks/frames.py [--family light-unet] [--size 256] [--frames 64] [--rounds 3]

A 2-D network of random weights and frames of noise: time depends on their sizes alone. One thread;
every row runs once a round, row after row; the table shows medians. CPU milliseconds hardly depend
on what else the machine does, wall time does. "auto" is what a user gets without choosing.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import torch

from napari_medseg.inference.config import EngineName, PredictConfig
from napari_medseg.inference.device import keep_freed_memory
from napari_medseg.inference.frames import frame_by_frame
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models.build import build, network_of, weights_of
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import prepare
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Geometry, Label, Volume

FEATURES = (16, 32, 64, 128)
STRIDES = ((1, 1), (2, 2), (2, 2), (2, 2))
ENGINES = (EngineName.AUTO, EngineName.TORCH, EngineName.TORCH_HALF)
OPTIONAL = (EngineName.OPENVINO, EngineName.OPENVINO_HALF)
Run = Callable[[], object]


def cine(size: int, frames: int) -> Volume:
    noise = np.random.default_rng(0).normal(100, 30, (frames, 1, size, size)).astype(np.int16)
    return Volume(noise, Geometry.from_spacing((1, size, size)))


def segmenter(family: Family, size: int) -> Segmenter:
    torch.manual_seed(0)
    config = NetworkConfig(family=family, dims=2, features=FEATURES, strides=STRIDES)
    recipe = Recipe((Label(1, "ventricle"), Label(2, "wall")), patch=(1, size, size))
    return Segmenter(str(family), config, weights_of(build(config, 1, 3)), recipe)


def forwards(model: Segmenter, series: Volume, device: str) -> Run:
    """The network on all frames, prepared before, and nothing else: the floor."""
    network = network_of(model, device)
    frames = [
        prepare(series.channel(k), model.recipe).tensor.to(device) for k in range(series.n_channels)
    ]

    def run() -> None:
        with torch.inference_mode():
            for frame in frames:
                logits = network(frame[None, :, 0])
                assert isinstance(logits, torch.Tensor)
                logits.argmax(1).cpu()

    return run


def ours(model: Segmenter, series: Volume, config: PredictConfig) -> Run:
    """`frame_by_frame`, from the raw frames to masks."""
    config = replace(config, scans=series.n_channels)
    return lambda: finish(frame_by_frame(series, lambda frame: predict(frame, model, config)))


def first_frame(model: Segmenter, series: Volume, device: str) -> float:
    """Seconds to the mask of the looked-at frame, the network warm."""
    started = time.perf_counter()
    config = PredictConfig(device, scans=series.n_channels)
    finish(predict(series.channel(series.n_channels // 2), model, config))
    return time.perf_counter() - started


def rows(model: Segmenter, series: Volume, device: str) -> dict[str, Run]:
    """What runs, by the name in the table."""
    more = OPTIONAL if importlib.util.find_spec("openvino") and device == "cpu" else ()
    found = {"forward passes alone, torch-float32": forwards(model, series, device)}
    for engine in (*ENGINES, *more):
        config = PredictConfig(device, engine=engine)
        found[f"frame_by_frame, {engine}"] = ours(model, series, config)
    return found


def measured(run: Run) -> tuple[float, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def table(
    times: dict[str, list[tuple[float, float]]], series: Volume, family: str, first_s: float
) -> str:
    """Markdown."""
    n, size = series.n_channels, series.geometry.shape[1]
    extra = f", openvino {version('openvino')}" if importlib.util.find_spec("openvino") else ""
    lines = [
        f"{n} frames of {size} x {size}, 2-D {family} of {FEATURES} feature maps, one thread, "
        f"medians of {len(next(iter(times.values())))} rounds.",
        "",
        f"{datetime.date.today()}, {_processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, torch {torch.__version__}{extra}, "
        f"napari-medseg {version('napari-medseg')}",
        "",
        f"The looked-at frame comes after {1000 * first_s:.0f} ms of wall time, engine auto.",
        "",
        "| | CPU ms a frame | frames a CPU second | wall ms a frame | frames a second |",
        "|---|---|---|---|---|",
    ]
    for name, spent in times.items():
        wall, cpu = (1000 * statistics.median(one[k] for one in spent) / n for k in (0, 1))
        lines.append(f"| {name} | {cpu:.1f} | {1000 / cpu:.0f} | {wall:.1f} | {1000 / wall:.0f} |")
    return "\n".join(lines) + "\n"


def _processor() -> str:
    """Its name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            named = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        named = []
    return named[0] if named else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", type=Family, default=Family.LIGHT)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as the window and the command line do
    series = cine(chosen.size, chosen.frames)
    model = segmenter(chosen.family, chosen.size)
    for run in rows(model, cine(chosen.size, 2), chosen.device).values():
        run()  # engines are built once
    every = rows(model, series, chosen.device)
    rounds = [{name: measured(run) for name, run in every.items()} for _ in range(chosen.rounds)]
    times = {name: [one[name] for one in rounds] for name in every}
    first_s = statistics.median(
        first_frame(model, series, chosen.device) for _ in range(chosen.rounds)
    )
    sys.stdout.write(table(times, series, chosen.family, first_s))


if __name__ == "__main__":
    main()
