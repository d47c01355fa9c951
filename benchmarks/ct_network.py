"""The network and the scan of the speed benchmarks: four groups of organs in a CT of the torso.

    python benchmarks/ct_network.py OUT.safetensors [--minutes 45] [--features 16,32,64,128,128]

Trains on the very scan that the benchmarks segment: what is compared there is engines and tilings
of one network, not networks, and a network that fits has the margins of a good one. Patches of
64, 96 and 128 voxels are mixed, because instance normalisation depends on a tile's extent, and a
quarter of them is half as fine, so that the network can look at the whole before the parts.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import zoom

from napari_medseg import io
from napari_medseg.models import checkpoint
from napari_medseg.models.build import Network, build, load_weights, weights_of
from napari_medseg.models.card import Lineage
from napari_medseg.models.config import NetworkConfig
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import prepare, prepare_mask
from napari_medseg.preprocess.recipe import Normalise, Recipe
from napari_medseg.volume import Geometry, Label, Mask, Reorientation, Volume

DATA = Path(os.environ.get("MEDSEG_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
SHAPE = (200, 256, 256)
ORGANS = {  # TotalSegmentator's numbers
    "bone": [*range(25, 51), *range(75, 79), *range(92, 116)],
    "muscle": [*range(80, 90)],
    "lung": [*range(10, 15)],
    "solid organ": [1, 2, 3, 5],
}
COLORS = ("#f5f5dc", "#c0392b", "#42d4f4", "#27ae60")
LABELS = tuple(Label(n, name, COLORS[n - 1]) for n, name in enumerate(ORGANS, start=1))
PATCH = (128, 128, 128)
EXTENTS, SHARES = (64, 96, 128), (0.6, 0.25, 0.15)
SCOUT, SCOUT_SHARE = 2.0, 0.25  # how much coarser, and how many of the patches


def scan(shape: tuple[int, int, int] = SHAPE) -> tuple[Volume, Mask]:
    """The CT and its organs, resampled to `shape` voxels of isotropic-like size."""
    volume = io.read(DATA / "ct_torso" / "ct.nii.gz")
    mask = io.read_mask(DATA / "ct_torso" / "ct_seg.nii.gz")
    turn = Reorientation.to_canonical(volume.geometry)
    factors = [new / old for new, old in zip(shape, turn.target.shape, strict=True)]
    spacing = [mm / f for mm, f in zip(turn.target.spacing_mm, factors, strict=True)]
    table = np.zeros(256, np.uint8)
    for number, values in enumerate(ORGANS.values(), start=1):
        table[values] = number
    grid = Geometry.from_spacing(shape, (spacing[0], spacing[1], spacing[2]))
    image = zoom(turn.apply(volume.array).astype(np.float32), factors, order=1)
    labels = zoom(table[turn.apply(mask.labels)], factors, order=0)
    return (
        Volume(image.astype(np.int16), grid, modality="CT"),
        Mask(labels, grid, LABELS),
    )


def recipe(patch: tuple[int, int, int] = PATCH) -> Recipe:
    """As the networks of the benchmarks see a CT."""
    return Recipe(
        LABELS,
        ("CT",),
        patch=patch,
        normalise=Normalise.CT_WINDOW,
        window=(-1000.0, 1000.0),
        scout=SCOUT,
    )


def config(features: tuple[int, ...]) -> NetworkConfig:
    """nnU-Net's shape: each stage halves the grid."""
    return NetworkConfig(
        features=features, strides=((1, 1, 1),) + ((2, 2, 2),) * (len(features) - 1)
    )


def loss_of(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Cross-entropy and Dice of the labels that are present."""
    shares = logits.softmax(1)
    wanted = F.one_hot(truth, logits.shape[1]).movedim(-1, 1)
    axes = (0, 2, 3, 4)
    both, either = (shares * wanted).sum(axes), shares.sum(axes) + wanted.sum(axes)
    dice = (2 * both + 1) / (either + 1)
    return F.cross_entropy(logits, truth) + 1 - dice[wanted.sum(axes) > 0].mean()


@dataclass(frozen=True, eq=False)
class Lesson:
    """The scan at one resolution: image (1, Z, Y, X), outputs (Z, Y, X), voxels of each output."""

    image: torch.Tensor
    truth: torch.Tensor
    places: list[np.ndarray]

    @classmethod
    def at(cls, volume: Volume, mask: Mask, coarser: float) -> Lesson:
        mm = volume.geometry.spacing_mm
        wanted = replace(recipe(), spacing_mm=(mm[0] * coarser, mm[1] * coarser, mm[2] * coarser))
        prepared = prepare(volume, wanted)
        truth = prepare_mask(mask, prepared, wanted)
        places = [np.argwhere(truth.numpy() == n) for n in range(len(LABELS) + 1)]
        return cls(prepared.tensor, truth, places)


def crop(lesson: Lesson, random: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A patch of a random extent around a voxel of a random label, brightness varied."""
    image, truth = lesson.image, lesson.truth
    size = min(int(random.choice(EXTENTS, p=SHARES)), 96 if min(truth.shape) < 128 else 128)
    around = lesson.places[random.integers(len(lesson.places))]
    middle = around[random.integers(len(around))] - random.integers(0, size, 3)
    start = [int(np.clip(m, 0, n - size)) for m, n in zip(middle, truth.shape, strict=True)]
    z, y, x = (slice(s, s + size) for s in start)
    patch = image[None, :, z, y, x] * random.normal(1, 0.1) + random.normal(0, 0.05)
    return patch + 0.03 * torch.randn_like(patch), truth[None, z, y, x].long()


def fit(network: Network, minutes: float) -> None:
    """Train in place for that long."""
    volume, mask = scan()
    fine, coarse = Lesson.at(volume, mask, 1.0), Lesson.at(volume, mask, SCOUT)
    random = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-4)
    started, step = time.monotonic(), 0
    while (done := (time.monotonic() - started) / (60 * minutes)) < 1:
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - done) ** 0.9
        patch, wanted = crop(coarse if random.random() < SCOUT_SHARE else fine, random)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(patch)
        assert isinstance(logits, torch.Tensor)
        loss = loss_of(logits.float(), wanted)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimiser.step()
        step += 1
        if step % 20 == 0:
            sys.stdout.write(f"step {step}, {100 * done:.0f} %: loss {loss.item():.3f}\n")
            sys.stdout.flush()


def main() -> int:
    """Train and save; 0 when done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--features", default="16,32,64,128,128")
    parser.add_argument("--start", type=Path, help="go on with this network")
    args = parser.parse_args()
    torch.manual_seed(0)
    shape = config(tuple(int(n) for n in args.features.split(",")))
    network = build(shape, 1, len(LABELS) + 1)
    if args.start:
        load_weights(network, checkpoint.load(args.start).weights)
    fit(network.train(), args.minutes)
    lineage = Lineage(how="train", cases=1, note="For benchmarks: trained on the scan it segments.")
    checkpoint.save(Segmenter("organs", shape, weights_of(network), recipe(), lineage), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
