"""Logits of many labels to a mask on a finer grid: ours, the full interpolation, nnU-Net's way.

    python benchmarks/labels.py [--labels 118] [--rounds 3]

The labels are those of a real CT with 62 structures; the logits are made from them, with noise.
nnU-Net resamples label after label by `skimage.transform.resize` in float64: three are timed, and
multiplied. "Equal" counts the voxels that have the label of the full trilinear interpolation.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date

import numpy as np
import torch
import torch.nn.functional as F
from ct_network import DATA
from engine import machine
from scipy.ndimage import gaussian_filter, zoom
from skimage.transform import resize

from napari_medseg import io
from napari_medseg.inference.regrid import axis_maps, labels_at, needed, spans
from napari_medseg.preprocess.prepare import resized
from napari_medseg.volume import Geometry

LOW, HIGH = (133, 171, 171), (200, 256, 256)
THEIRS = 3  # labels that are timed
AT_ONCE = 8  # planes of the mask that are made in one go, about as many as in a prediction


def logits_of(n_labels: int) -> torch.Tensor:
    """float32 (L, *LOW): high where the real label is, softly, noise elsewhere."""
    labels = io.read_mask(DATA / "ct_torso" / "ct_seg.nii.gz").labels
    factors = [new / old for new, old in zip(LOW, labels.shape, strict=True)]
    truth = np.minimum(zoom(labels, factors, order=0), n_labels - 1)
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.3, LOW).astype(np.float32)
    logits = np.empty((n_labels, *LOW), np.float32)
    for label in range(n_labels):
        logits[label] = noise + random.normal(0, 0.3)
        if (truth == label).any():
            logits[label] += 6 * gaussian_filter((truth == label).astype(np.float32), 0.7)
    return torch.from_numpy(logits)


def ours(logits: torch.Tensor) -> torch.Tensor:
    """As a prediction does it: slab by slab, as the planes become final."""
    low = Geometry.from_spacing(LOW)
    maps = axis_maps(resized(low, HIGH), low)
    out = torch.empty(HIGH, dtype=torch.int16)
    for start in range(0, HIGH[0], AT_ONCE):
        box = (slice(start, min(start + AT_ONCE, HIGH[0])), slice(0, HIGH[1]), slice(0, HIGH[2]))
        source = needed(maps, box)
        out[box] = labels_at(logits[:, source[0]], spans(maps, box, source))
    return out


def full(logits: torch.Tensor) -> torch.Tensor:
    """Every label at every voxel, slab by slab so that it fits."""
    low = Geometry.from_spacing(LOW)
    along = axis_maps(resized(low, HIGH), low)[0]
    out = torch.empty(HIGH, dtype=torch.int16)
    for start in range(0, HIGH[0], AT_ONCE):
        span = slice(start, min(start + AT_ONCE, HIGH[0]))
        weight = torch.from_numpy(along.weight[span])[None, :, None, None]
        lower, upper = (torch.from_numpy(one[span]) for one in (along.lower, along.upper))
        planes = torch.lerp(logits[:, lower], logits[:, upper], weight)
        fine = F.interpolate(planes.movedim(1, 0), HIGH[1:], mode="bilinear")
        out[span] = fine.argmax(1).to(torch.int16)
    return out


def theirs(logits: torch.Tensor) -> None:
    """nnU-Net's default for a few labels."""
    for one in logits[:THEIRS].numpy().astype(float):
        resize(one, HIGH, 1, mode="edge", anti_aliasing=False)


def main() -> int:
    """Measure and print; 0 when done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=118)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    logits = logits_of(args.labels)
    equal = float((ours(logits) == full(logits)).double().mean())
    rows: dict[str, tuple[Callable[[torch.Tensor], object], float]] = {
        "ours": (ours, 1.0),
        "full interpolation by PyTorch": (full, 1.0),
        "nnU-Net's, label after label": (theirs, args.labels / THEIRS),
    }
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for _ in range(args.rounds):
        for name, (run, times) in rows.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run(logits)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            spent[name].append((cpu * times, wall * times))
    lines = [
        f"{date.today()}; {machine()}; {args.labels} labels, {LOW} to {HIGH} voxels, median of "
        f"{args.rounds} interleaved rounds; equal to the full interpolation: {equal:.5%}.",
        "",
        "| | CPU s | wall s | × ours (CPU) |",
        "|---|---|---|---|",
    ]
    mine = statistics.median(cpu for cpu, _ in spent["ours"])
    for name, many in spent.items():
        cpu, wall = (statistics.median(one[n] for one in many) for n in (0, 1))
        lines.append(f"| {name} | {cpu:.2f} | {wall:.2f} | {cpu / mine:.1f} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
