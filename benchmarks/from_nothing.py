"""From nothing: a structure painted in three slices of one scan, Dice of the whole structure.

    python benchmarks/from_nothing.py ../shared/data --steps 60

The three slices lie at 25, 50 and 75 % of the structure's extent; they are the truth's, and nothing
else is told: not even where the structure ends. Times are CPU-seconds, so that other work on the
machine does not count; two idle cores take half of them where the work is spread over both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cc3d
import numpy as np

from napari_medseg import io
from napari_medseg.correction.record import Example
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.training.begun import Draft, ScratchConfig
from napari_medseg.training.scratch import Scratch, from_nothing
from napari_medseg.volume import Mask
from napari_medseg.volume.orient import mask_to_canonical, to_canonical

TORSO = ("ct_torso/ct.nii.gz", "ct_torso/ct_seg.nii.gz")
CORD = "spinal_cord_mr/{0}/{0}{1}"
BONE = "vertebra_ct_mr/sample_ct/sub-ct_{}.nii.gz"
SARCOMA = "sts_pet_mr_ct/STS_{}/MR_T1_{}.nii.gz"
CASES = {  # image, mask, value, axis across the painted slices
    "cord, T2 MR": ("spinal_cord_mr/t2/t2.nii.gz", "spinal_cord_mr/t2/t2_seg-manual.nii.gz", 1, 0),
    "cord, T1 MR": (
        "spinal_cord_mr/t1/t1w.nii.gz",
        "spinal_cord_mr/t1/t1w_seg-manual.nii.gz",
        1,
        0,
    ),
    "spleen, CT": (*TORSO, 1, 0),
    "liver, CT": (*TORSO, 5, 0),
    "aorta, CT": (*TORSO, 52, 0),
    "sarcoma 43, MR": (SARCOMA.format("043", "image"), SARCOMA.format("043", "mask"), 1, 0),
    "sarcoma 50, MR": (SARCOMA.format("050", "image"), SARCOMA.format("050", "mask"), 1, 0),
    "vertebra, CT": (BONE.format("label-22_ct"), BONE.format("seg-vert_label-22_msk"), 22, 2),
}
PAINTED = (0.25, 0.5, 0.75)
HEADING = """\
| structure | voxels | interpolated: Dice (CPU-s) | mask: Dice (CPU-s) | between the outer painted \
slices | network alone: Dice (CPU-s, steps) |
|---|---|---|---|---|---|
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path)
    options.add_argument("--steps", type=int, default=60, help="of the network")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--only", default="")
    said = options.parse_args()
    sys.stdout.write(HEADING)
    for name, where in CASES.items():
        if said.only in name:
            sys.stdout.write(f"| {name} | {' | '.join(_row(said, *where))} |\n")
            sys.stdout.flush()


def _row(said: argparse.Namespace, image: str, mask: str, value: int, axis: int) -> Iterator[str]:
    volume, _ = to_canonical(io.read(said.data / image))
    numbers, _ = mask_to_canonical(io.read_mask(said.data / mask))
    truth = numbers.labels == value
    there = np.flatnonzero(np.moveaxis(truth, axis, 0).any((1, 2)))
    slices = [round(there[0] + share * (there[-1] - there[0])) for share in PAINTED]
    confirmed = np.zeros(truth.shape, bool)
    np.moveaxis(confirmed, axis, 0)[slices] = True
    example = Example(
        volume, Mask((truth & confirmed).astype(np.uint8), volume.geometry), confirmed
    )
    yield str(np.count_nonzero(truth))
    config = ScratchConfig(steps=said.steps, threads=said.threads)
    started = time.process_time()
    job = from_nothing(example, config)
    done: Scratch | None = None
    while done is None:
        try:
            event = next(job)
        except StopIteration as ended:
            done = ended.value
            break
        if isinstance(event, Draft):
            seconds = time.process_time() - started
            yield f"{_dice(event.mask.labels == 1, truth):.3f} ({seconds:.1f})"
    seconds = time.process_time() - started
    inner = [
        np.moveaxis(one, axis, 0)[slices[0] : slices[-1] + 1]
        for one in (done.mask.labels == 1, truth)
    ]
    yield f"{_dice(*inner):.3f}"
    alone = finish(predict(volume, done.segmenter)).mask.labels == 1
    pieces = cc3d.connected_components(alone, connectivity=6)
    touched = np.unique(pieces[truth & confirmed])
    alone = np.isin(pieces, touched[touched > 0])
    yield f"{_dice(alone, truth):.3f} ({seconds:.0f}, {said.steps})"


def _dice(a: Any, b: Any) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


if __name__ == "__main__":
    main()
