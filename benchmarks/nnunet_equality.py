"""Whether an imported nnU-Net model gives the mask that nnU-Net gives: a table.

    python benchmarks/nnunet_equality.py --peer-python PEERS/bin/python

Trains small models with nnU-Net itself (`nnunet_peer.py`, in an environment with nnunetv2), lets
nnU-Net segment six cases, imports the models and segments the same files. nnU-Net sums its tiles in
float16; the second half of the table is against nnU-Net's own code with float32 in its place. About
half an hour on one core.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from napari_medseg import io
from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import finish
from napari_medseg.models import nnunet, nnunet_write

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data" / "hippocampus"


@dataclass(frozen=True)
class Row:
    """One model and the way it is asked."""

    what: str
    dataset: str
    configuration: str
    plans: str = "nnUNetPlans"
    folds: tuple[int, ...] = (0,)
    mirror: bool = False
    before: str = ""

    @property
    def model(self) -> str:
        return f"{self.dataset}/nnUNetTrainer__{self.plans}__{self.configuration}"


ROWS = (
    Row("3d_fullres", "Dataset901_Plain", "3d_fullres"),
    Row("3d_fullres, 2 folds", "Dataset901_Plain", "3d_fullres", folds=(0, 1)),
    Row("3d_fullres, mirrored", "Dataset901_Plain", "3d_fullres", mirror=True),
    Row("2d", "Dataset901_Plain", "2d"),
    Row("ResEnc, 3d_fullres", "Dataset901_Plain", "3d_fullres", "nnUNetResEncUNetMPlans"),
    Row("3d_lowres (1.6 mm)", "Dataset901_Plain", "3d_lowres"),
    Row("regions, CT, 3d_fullres", "Dataset902_Regions", "3d_fullres"),
    Row("thick slices, zero border, 3d_fullres", "Dataset903_Thick", "3d_fullres"),
    Row("thick slices, zero border, 2d", "Dataset903_Thick", "2d"),
    Row(
        "3d_lowres, then an untrained cascade",
        "Dataset901_Plain",
        "3d_cascade_fullres",
        before="3d_lowres",
    ),
)


@dataclass(frozen=True)
class Score:
    """How far two sets of masks agree."""

    cases: int
    voxels: int
    different: int
    dice: tuple[float, ...]

    def __str__(self) -> str:
        agreement = 100 * (1 - self.different / self.voxels)
        mean, worst = np.mean(self.dice), np.min(self.dice)
        return (
            f"{self.cases} | {self.different} of {self.voxels} | {agreement:.4f} % | "
            f"{mean:.5f} | {worst:.5f}"
        )


def main() -> None:
    args = _arguments()
    torch.set_num_threads(1)
    work = Path(args.work)
    peer = [args.peer_python, str(HERE / "nnunet_peer.py"), str(args.data), str(work)]
    _prepare(peer, work)
    lines = [_heading(args.peer_python)]
    for wide in (False, True):
        lines.append(_title(wide))
        for row in ROWS:
            theirs = _theirs(peer, work, row, wide)
            lines.append(f"| {row.what} | {_score(theirs, _ours(work, row))} |")
    lines += ["", "## Back into nnU-Net", "", *_exported(peer, work)]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if args.out:
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        Path(args.out).write_text(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer-python", required=True, help="a Python with nnunetv2")
    parser.add_argument("--data", default=DATA, type=Path, help="hippocampus images and labels")
    parser.add_argument("--work", default="nnunet_equality", help="kept, and used again if there")
    parser.add_argument("--out", default="", help="also write the table to this file")
    return parser.parse_args()


def _prepare(peer: list[str], work: Path) -> None:
    """Train what is not there yet."""
    if not (work / "preprocessed").exists():
        _run([*peer, "prepare"], work)
    for row in ROWS:
        for fold in row.folds:
            if not (work / "results" / row.model / f"fold_{fold}" / nnunet.FINAL).exists():
                how = [row.dataset, row.configuration, row.plans, str(fold)]
                _run([*peer, "train", *how], work)


def _theirs(peer: list[str], work: Path, row: Row, wide: bool, model: Path | None = None) -> Path:
    """The folder of nnU-Net's masks."""
    folds = ",".join(str(fold) for fold in row.folds)
    source = model or work / "results" / row.model
    kind = ("wide" if wide else "plain") + ("_mirrored" * row.mirror) + ("_export" * bool(model))
    out = work / "peer" / kind / f"{row.model.replace('/', '__')}_{folds}"
    if not any(out.glob("*.nii.gz")):
        out.mkdir(parents=True, exist_ok=True)
        flags = [str(int(row.mirror)), str(int(wide))]
        if row.before:
            flags.append(
                str(_theirs(peer, work, replace(row, configuration=row.before, before=""), wide))
            )
        _run([*peer, "predict", str(source), folds, str(out), *flags], work)
    return out


def _ours(work: Path, row: Row) -> Iterator[tuple[str, np.ndarray]]:
    """Name and mask of each case, by our import and prediction."""
    segmenter = nnunet.read(work / "results" / row.model, folds=row.folds)
    config = PredictConfig(device="cpu", engine=EngineName.TORCH, mode=Mode.FULL, mirror=row.mirror)
    for path in sorted((work / "raw" / row.dataset / "imagesTs").glob("*.nii.gz")):
        mask = finish(predict(io.read(path), segmenter, config)).mask
        yield path.name.replace("_0000", ""), mask.labels


def _score(theirs: Path, masks: Iterator[tuple[str, np.ndarray]]) -> Score:
    cases = voxels = different = 0
    dice: list[float] = []
    for name, ours in masks:
        truth = io.read_mask(theirs / name).labels
        cases, voxels = cases + 1, voxels + truth.size
        different += int((ours != truth).sum())
        for value in np.unique(truth)[1:]:
            a, b = ours == value, truth == value
            dice.append(float(2 * (a & b).sum() / (a.sum() + b.sum())))
    return Score(cases, voxels, different, tuple(dice))


def _exported(peer: list[str], work: Path) -> Iterator[str]:
    """nnU-Net's masks with the model it trained, against those with what we wrote of it."""
    yield "| model | cases | different voxels | agreement | mean Dice | worst Dice |"
    yield "|---|---|---|---|---|---|"
    for row in (ROWS[1], ROWS[6]):
        target = work / "export" / row.model
        if not target.exists():
            nnunet_write.write(nnunet.read(work / "results" / row.model, folds=row.folds), target)
        again = _theirs(peer, work, row, False, target)
        first = _theirs(peer, work, row, False)
        masks = ((path.name, io.read_mask(path).labels) for path in sorted(again.glob("*.nii.gz")))
        yield f"| {row.what} | {_score(first, masks)} |"


def _run(command: list[str], work: Path) -> None:
    """A peer's task; its output goes to a file."""
    started = time.monotonic()
    work.mkdir(parents=True, exist_ok=True)
    with (work / "log.txt").open("a") as log:
        subprocess.run(command, stdout=log, stderr=log, check=True)
    sys.stderr.write(f"{' '.join(command[4:])}: {time.monotonic() - started:.0f} s\n")


def _heading(peer_python: str) -> str:
    code = (
        "import json, torch; from importlib.metadata import version as v; "
        "print(json.dumps([v('nnunetv2'), torch.__version__]))"
    )
    found = subprocess.run([peer_python, "-c", code], capture_output=True, text=True, check=True)
    theirs, torch_theirs = json.loads(found.stdout.splitlines()[-1])
    day = datetime.now(UTC).date().isoformat()
    return (
        "# nnU-Net equality\n\n"
        "Models that nnU-Net trained here for some minutes on hippocampus (199 cropped MR scans, "
        "12 taught, 6 tested; CT and thick slices are made of them), segmented by nnU-Net and, "
        "after import, by us: the same files, step 0.5, Gaussian weights, float32 engine, every "
        "tile. Plans are nnU-Net's own with a quarter of the features and 0.6 of the patch.\n\n"
        f"{day}, {platform.machine()}, one thread; nnunetv2 {theirs} on torch {torch_theirs}, "
        f"napari-medseg {version('napari-medseg')} on torch {torch.__version__}.\n"
    )


def _title(wide: bool) -> str:
    kind = "with its tiles summed in float32" if wide else "as it is (tiles summed in float16)"
    return (
        f"\n## Against nnU-Net {kind}\n\n"
        "| configuration | cases | different voxels | agreement | mean Dice | worst Dice |\n"
        "|---|---|---|---|---|---|"
    )


if __name__ == "__main__":
    main()
