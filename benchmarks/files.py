"""From file to file beside nnU-Net's predictor: the same model, the same scan, stage by stage.

    python benchmarks/ct_network.py organs.safetensors
    python benchmarks/files.py organs.safetensors --peer-python PEERS/bin/python [--labels 118]

The network is written as an nnU-Net results folder at 1.5 times the scan's spacing; nnU-Net
segments the file with it, then we do with the same folder imported. No mirroring. Loading the model
is not counted, for neither. With more labels than the network has, the others never win.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from ct_network import LABELS, scan
from engine import machine

from napari_medseg import io
from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.device import keep_freed_memory
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.predict import predict
from napari_medseg.inference.runner import runner_of
from napari_medseg.jobs import Progress, finish
from napari_medseg.models import checkpoint, nnunet, nnunet_write
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.nnunet_plan import Intensity, NnUNetPlan, Scheme
from napari_medseg.volume import Label

COARSER = 1.5
STAGES = ("read and prepare", "network and blending", "labels and writing", "all")


def as_nnunet(segmenter: Segmenter, n_labels: int, spacing_mm: tuple[float, ...]) -> Segmenter:
    """The network as one that nnU-Net could have trained, with as many labels as asked for."""
    known = len(LABELS)
    extra = tuple(Label(n, f"never {n}") for n in range(known + 1, n_labels + 1))
    weights = dict(segmenter.weights)
    for name, tensor in segmenter.weights.items():
        if ".seg_layers." in name and extra:
            more = torch.zeros(len(extra), *tensor.shape[1:])
            more -= 100.0 * (tensor.ndim == 1)  # the bias: no other label ever wins
            weights[name] = torch.cat([tensor, more])
    z, y, x = (mm * COARSER for mm in spacing_mm)
    plan = NnUNetPlan((Intensity(Scheme.CT, mean=0.0, std=1000.0, low=-1000.0, high=1000.0),))
    recipe = replace(
        segmenter.recipe,
        labels=(*LABELS, *extra),
        spacing_mm=(z, y, x),
        nnunet=plan,
        scout=1.0,
    )
    return replace(segmenter, recipe=recipe, weights=weights)


def ours(model: Path, scan_path: Path, mask_path: Path) -> dict[str, object]:
    """Read, predict and write in this process; seconds (wall, CPU) of each stage."""
    keep_freed_memory()
    segmenter = nnunet.read(model)
    config = PredictConfig("cpu", engine=EngineName.OPENVINO_HALF, mode=Mode.FULL)
    runner = runner_of(segmenter, torch.device("cpu"))
    runner.forward(config.engine, runner.tile)
    marks = {"start": (time.perf_counter(), time.process_time())}

    def mark(name: str, again: bool = False) -> None:
        if again or name not in marks:
            marks[name] = (time.perf_counter(), time.process_time())

    def note(event: object) -> None:
        if isinstance(event, Progress) and event.text == "Segmenting":
            mark("tile", again=True)
        elif isinstance(event, BoxDone):
            mark("box")

    volume = io.read(scan_path)
    mark("read")
    prediction = finish(predict(volume, segmenter, config), note)
    mark("predicted")
    io.write_mask(prediction.mask, mask_path)
    mark("written")
    spent = {
        "read": _between(marks, "start", "read"),
        "prepare, network, blending and labels": _between(marks, "read", "predicted"),
        "writing": _between(marks, "predicted", "written"),
        "all": _between(marks, "start", "written"),
    }
    return {"spent": spent, "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


def _between(marks: dict[str, tuple[float, float]], first: str, last: str) -> list[float]:
    return [after - before for before, after in zip(marks[first], marks[last], strict=True)]


def measured(command: list[str]) -> dict[str, object]:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stderr)
    sys.stderr.write(ran.stdout.splitlines()[-1] + "\n")
    return dict(json.loads(ran.stdout.splitlines()[-1]))


def table(runs: dict[str, list[dict[str, object]]], agree: float, args: argparse.Namespace) -> str:
    """Markdown."""
    known = next(iter(runs["nnU-Net"]), {}).get("version", "")
    lines = [
        f"{date.today()}; {machine()}, {known}; {args.labels} labels, spacing {COARSER} times the "
        f"scan's, median of {args.rounds} interleaved rounds; labels equal: {agree:.4%}.",
        "",
        "| | stage | wall s | CPU s | peak GB |",
        "|---|---|---|---|---|",
    ]
    for name, many in runs.items():
        peak = statistics.median(float(run["peak_gb"]) for run in many)  # type: ignore[arg-type]
        for stage in many[0]["spent"]:  # type: ignore[attr-defined]
            wall, cpu = (
                statistics.median(run["spent"][stage][n] for run in many)  # type: ignore[index]
                for n in (0, 1)
            )
            lines.append(f"| {name} | {stage} | {wall:.1f} | {cpu:.1f} | {peak:.1f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print; 0 when done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--labels", type=int, default=len(LABELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--files", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.files:
        sys.stdout.write(json.dumps(ours(args.model, *args.files)) + "\n")
        return 0
    volume, _ = scan()
    segmenter = as_nnunet(checkpoint.load(args.model), args.labels, volume.geometry.spacing_mm)
    runs: dict[str, list[dict[str, object]]] = {"nnU-Net": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = work / "nnUNetTrainer__nnUNetPlans__3d_fullres"
        nnunet_write.write(segmenter, model)
        image, theirs, mine = work / "a_0000.nii.gz", work / "a", work / "b.nii.gz"
        io.write_volume(volume, image)
        peer = [args.peer_python, str(Path(__file__).with_name("files_peer.py"))]
        us = [sys.executable, __file__, str(model), "--peer-python", "", "--files"]
        for _ in range(args.rounds):
            runs["nnU-Net"].append(measured([*peer, str(model), str(image), str(theirs)]))
            runs["ours"].append(measured([*us, str(image), str(mine)]))
        one, two = (io.read_mask(path).labels for path in (work / "a.nii.gz", mine))
        agree = float(np.mean(one == two))
    sys.stdout.write(table(runs, agree, args) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
