"""How much memory a long CT with many labels takes: a whole prediction, in a process of its own.

    python benchmarks/memory.py [--shape 1000,512,512] [--labels 100] [--memory-gb 3]

The scan is a made-up body of that many voxels, 1 x 0.8 x 0.8 mm; the network is the light one of
`engine.py` with random weights and as many labels. "--spacing" is what the network works at, 1.5 mm
as for networks of a hundred labels; 0 is the scan's own. Peak is of the whole process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date

import numpy as np
import torch
from ct_network import config, recipe
from engine import machine

from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.device import keep_freed_memory
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.volume import Geometry, Label, Volume

SPACING_MM = (1.0, 0.8, 0.8)


def body_scan(shape: tuple[int, int, int]) -> Volume:
    """An elliptic body in air, int16, with noise."""
    _, y, x = shape
    rows, columns = np.ogrid[-1 : 1 : y * 1j, -1 : 1 : x * 1j]
    inside = rows**2 / 0.5 + columns**2 / 0.7 < 1
    random = np.random.default_rng(0)
    array = np.empty(shape, np.int16)
    for plane in array:
        plane[...] = np.where(inside, random.integers(-50, 150, (y, x)), -1000)
    return Volume(array, Geometry.from_spacing(shape, SPACING_MM), modality="CT")


def run(args: argparse.Namespace) -> dict[str, float | str]:
    """Predict once, in this process."""
    keep_freed_memory()
    z, y, x = (int(n) for n in args.shape.split(","))
    labels = tuple(Label(n, f"label {n}") for n in range(1, args.labels + 1))
    wanted = (args.spacing,) * 3 if args.spacing else None
    torch.manual_seed(0)
    network = config((16, 32, 64, 128, 128))
    weights = weights_of(build(network, 1, args.labels + 1))
    made = replace(recipe(), labels=labels, spacing_mm=wanted, scout=1.0)
    segmenter = Segmenter("many", network, weights, made)
    volume = body_scan((z, y, x))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()
    how = PredictConfig("cpu", overlap=args.overlap, memory_gb=args.memory_gb, clean=False)
    prediction = finish(predict(volume, segmenter, how))
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "before_gb": before / 1e6,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "how": prediction.how,
    }


def main() -> int:
    """Measure and print; 0 when done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="1000,512,512")
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--spacing", type=float, default=1.5)
    parser.add_argument("--overlap", type=float, default=0.25)
    parser.add_argument("--memory-gb", type=float, default=3.0)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        sys.stdout.write(json.dumps(run(args)) + "\n")
        return 0
    again = [sys.executable, __file__, "--here", *sys.argv[1:]]
    ran = subprocess.run(again, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    sys.stdout.write(
        f"{date.today()}; {machine()}; {args.shape} voxels, {args.labels} labels, network at "
        f"{args.spacing or SPACING_MM} mm, blended tiles at most {args.memory_gb} GB.\n\n"
        "| | GB |\n|---|---|\n"
        f"| peak of the process | {found['peak_gb']:.1f} |\n"
        f"| of it the scan and the libraries, before | {found['before_gb']:.1f} |\n\n"
        f"{found['wall']:.0f} s wall, {found['cpu']:.0f} CPU s ({found['how']}).\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
