"""Whole-volume inference beside MONAI and nnU-Net: same network, same scan, in one run.

    python benchmarks/ct_network.py organs.safetensors
    python benchmarks/engine.py organs.safetensors --peer-python PEERS/bin/python [--rounds 3]
    python benchmarks/engine.py organs.safetensors --null 118 --peer-python PEERS/bin/python

Every row runs in a process of its own, row after row, round after round; the table shows medians.
CPU seconds (user and system, all threads) hardly depend on what else the machine does; wall seconds
do. Loading the network and compiling it is not counted, for nobody; reading the scan neither.
`--null L` replaces the network by a ready answer for L outputs, all but the last layer where we
leave that for later: what is left is the bookkeeping. "own GB" is what was taken while it ran.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from ct_network import LABELS, scan

from napari_medseg.evaluation.overlap import dice
from napari_medseg.inference import engine as engines
from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.device import half_type, keep_freed_memory
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.forward import cut
from napari_medseg.inference.head import PAYS
from napari_medseg.inference.predict import predict
from napari_medseg.inference.runner import Runner, runner_of
from napari_medseg.inference.tiles import Tiling
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.prepare import prepare
from napari_medseg.volume import Label, Mask, Volume

FAST = EngineName.OPENVINO_HALF


@dataclass(frozen=True)
class Row:
    """One line of the table: a peer, bare forward passes, or a prediction of ours."""

    name: str
    peer: str = ""
    engine: EngineName = FAST
    raw: bool = False
    overlap: float = 0.5
    mode: Mode = Mode.FULL
    look: bool = False
    keep: bool = True


ROWS = {
    "monai": Row("MONAI sliding window, float32", "monai", keep=False),
    "monai-kept": Row("the same, freed memory kept", "monai"),
    "nnunet": Row("nnU-Net sliding window, float32", "nnunet", keep=False),
    "raw32": Row("bare forward passes, PyTorch float32", engine=EngineName.TORCH, raw=True),
    "raw": Row("bare forward passes, OpenVINO 16 bit", raw=True),
    "ours32": Row("ours, PyTorch float32", engine=EngineName.TORCH),
    "torch": Row("ours, PyTorch 16 bit", engine=EngineName.TORCH_HALF),
    "ours": Row("ours, OpenVINO 16 bit", look=False),
    "looking": Row("the same, the middle slice looked at", look=True),
    "quarter": Row("ours, tiles overlap by a quarter", overlap=0.25),
    "disjoint": Row("ours, tiles hardly overlap", overlap=0.0),
    "regions": Row("ours, coarse to fine, overlap 0", overlap=0.0, mode=Mode.REGIONS),
}
NULL_ROWS = ("nnunet", "raw", "ours")


def null_engine(maps: int) -> object:
    """Instead of a network: a ready answer of so many maps."""
    ready: dict[tuple[int, ...], torch.Tensor] = {}

    def build(*_: object) -> object:
        def compute(tile: torch.Tensor) -> torch.Tensor:
            shape = tuple(tile.shape[1:])
            if shape not in ready:
                generator = torch.Generator().manual_seed(0)
                ready[shape] = torch.randn(maps, *shape, generator=generator)
            return ready[shape].clone()

        return compute

    return build


def many_heads(segmenter: Segmenter, outputs: int) -> dict[str, torch.Tensor]:
    """The weights with as many outputs as asked for."""
    weights = dict(segmenter.weights)
    for name, tensor in segmenter.weights.items():
        if ".seg_layers." in name:
            generator = torch.Generator().manual_seed(0)
            weights[name] = torch.randn(outputs, *tensor.shape[1:], generator=generator)
    return weights


def bare(row: Row, runner: Runner, tensor: torch.Tensor) -> None:
    """The engine on all tiles and nothing else: the floor of the tiling."""
    engine = runner._engines(row.engine, runner.tile)[0]
    z, y, x = tensor.shape[1:]
    tiling = Tiling.over((z, y, x), runner.tile, row.overlap)
    for origin in tiling.touching((slice(0, z), slice(0, y), slice(0, x))):
        engine(cut(tensor, origin, runner.tile))


def one_row(
    row: Row, segmenter: Segmenter, volume: Volume, device: str, out: Path
) -> dict[str, object]:
    """Seconds, memory and labels of one row, in this process."""
    if row.keep:
        keep_freed_memory()
    where = torch.device(device)
    runner = runner_of(segmenter, where)
    runner.forward(row.engine, runner.tile)
    if row.look:
        runner.forward(row.engine, (runner.tile[0] // 4, *runner.tile[1:]))
    first: dict[str, tuple[float, float]] = {}
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu = time.perf_counter(), time.process_time()

    def note(event: object) -> None:
        if isinstance(event, BoxDone):
            kind = "final" if not event.preview else "tiles" if len(event.labels) == 1 else "glance"
            first.setdefault(kind, (time.perf_counter() - wall, time.process_time() - cpu))

    how, labels = "", None
    if row.raw:
        bare(row, runner, prepare(volume, segmenter.recipe).tensor)
    else:
        view = (0, volume.geometry.shape[0] // 2) if row.look else None
        config = PredictConfig(
            device, row.overlap, row.engine, row.mode, slice_zyx=view, clean=False
        )
        prediction = finish(predict(volume, segmenter, config), note)
        how, labels = prediction.how, prediction.mask.labels
    if where.type == "cuda":
        torch.cuda.synchronize()
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    if labels is not None:
        np.save(out, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**seconds, "peak_gb": peak / 1e6, "base_gb": base / 1e6, "how": how, "first": first}


def command_of(key: str, row: Row, args: argparse.Namespace, work: Path) -> list[str]:
    """What runs the row in a process of its own."""
    if not row.peer:
        mine = [sys.executable, __file__, str(args.model), "--row", key, "--work", str(work)]
        return [*mine, "--null", str(args.null), "--device", args.device]
    features = "" if args.null else ",".join(map(str, args.features))
    peer = str(Path(__file__).with_name("engine_peer.py"))
    outputs = args.null or len(LABELS) + 1
    options = ["--features", features, "--outputs", str(outputs), "--device", args.device]
    return [args.peer_python, peer, row.peer, str(work), *options]


def measured(key: str, args: argparse.Namespace, work: Path) -> dict[str, object] | None:
    row = ROWS[key]
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    if row.peer and row.keep:
        env |= {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**35)}
    command = command_of(key, row, args, work)
    ran = subprocess.run(command, capture_output=True, text=True, env=env)
    if ran.returncode:
        sys.stderr.write(f"{key} failed: {ran.stderr.strip().splitlines()[-1:]}\n")
        return None
    result: dict[str, object] = json.loads(ran.stdout.strip().splitlines()[-1])
    sys.stderr.write(f"{key}: {result}\n")
    labels = work / f"{row.peer or key}.npy"
    if labels.exists() and not row.raw:
        result["labels"] = np.load(labels)
        labels.unlink()
    return result


def machine() -> str:
    """Processor, cores and the versions of what computes."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.split(":")[1].strip()
                break
    except OSError:
        pass
    parts = [cpu, f"{os.cpu_count()} cores", f"{torch.get_num_threads()} threads"]
    parts.append(f"16-bit type {half_type(torch.device('cpu'))}")
    for name in ("torch", "openvino", "napari-medseg"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            parts.append(f"no {name}")
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def table(runs: dict[str, list[dict[str, object]]], truth: Mask, args: argparse.Namespace) -> str:
    """Markdown."""
    reference = "monai" if runs.get("monai") else next(iter(runs))

    def median(key: str, what: str) -> float:
        return statistics.median(float(run[what]) for run in runs[key])  # type: ignore[arg-type]

    exact = runs["ours32"][0].get("labels") if runs.get("ours32") else None
    versions = {str(run["version"]) for many in runs.values() for run in many if "version" in run}
    outputs = args.null or len(LABELS) + 1
    lines = [
        f"{date.today()}; {machine()}, {', '.join(sorted(versions))}; {outputs} outputs, "
        f"{'no network' if args.null else f'features {args.features}'}, device {args.device}, "
        f"median of {args.rounds} interleaved rounds.",
        "",
        "| | CPU s | × fewer | wall s | × faster | peak GB | own GB | labels as float32 | Dice |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key, many in runs.items():
        if not many:
            continue
        labels = many[0].get("labels")
        agree = "" if labels is None or exact is None else f"{(labels == exact).mean():.3%}"
        score = ""
        if labels is not None and not args.null:
            mask = Mask(np.asarray(labels), truth.geometry)
            score = f"{np.mean([dice(mask, truth, one.value) for one in LABELS]):.4f}"
        own = median(key, "peak_gb") - median(key, "base_gb")
        lines.append(
            f"| {ROWS[key].name}{_how(many[0])} | {median(key, 'cpu'):.1f} "
            f"| {median(reference, 'cpu') / median(key, 'cpu'):.2f} | {median(key, 'wall'):.1f} "
            f"| {median(reference, 'wall') / median(key, 'wall'):.2f} "
            f"| {median(key, 'peak_gb'):.1f} | {own:.1f} | {agree} | {score} |"
        )
    return "\n".join([*lines, "", *_first(runs, median(reference, "cpu"))])


def _how(run: dict[str, object]) -> str:
    how = str(run.get("how", ""))
    return f" ({', '.join(how.split(', ')[1:])})" if how else ""


def _first(runs: dict[str, list[dict[str, object]]], reference: float) -> list[str]:
    """When the looked-at slice was coloured."""
    lines = []
    for kind, words in (
        ("glance", "by thin tiles, a preview"),
        ("tiles", "by the nearest whole tiles"),
        ("final", "final"),
    ):
        found = [run["first"][kind] for run in runs.get("looking", []) if kind in run["first"]]  # type: ignore[index,operator]
        if found:
            wall, cpu = (statistics.median(one[n] for one in found) for n in (0, 1))
            lines.append(
                f"- the looked-at slice {words}: {cpu:.2f} CPU s, {cpu / reference:.1%} of the "
                f"first row's, {wall:.2f} s wall"
            )
    return lines


def main() -> int:
    """Measure and print; 0 when done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", default="")
    parser.add_argument("--null", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peer-python", default="")
    parser.add_argument("--row", default="", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    segmenter = checkpoint.load(args.model)
    volume, truth = scan()
    if args.null:
        labels = tuple(Label(n, str(n)) for n in range(1, args.null))
        segmenter = replace(segmenter, recipe=replace(segmenter.recipe, labels=labels, scout=1.0))
    if args.row:
        if args.null:
            segmenter = replace(segmenter, weights=many_heads(segmenter, args.null))
            maps = min(args.null, segmenter.network.features[0])
            wanted = maps if args.null >= PAYS * maps else args.null
            engines.build_engine = null_engine(wanted)  # type: ignore[assignment]
        out = args.work / f"{args.row}.npy"
        result = one_row(ROWS[args.row], segmenter, volume, args.device, out)
        sys.stdout.write(json.dumps(result) + "\n")
        return 0
    args.features = segmenter.network.features
    keys = args.rows.split(",") if args.rows else list(NULL_ROWS if args.null else ROWS)
    keys = [key for key in keys if args.peer_python or not ROWS[key].peer]
    runs: dict[str, list[dict[str, object]]] = {key: [] for key in keys}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        np.save(work / "tensor.npy", prepare(volume, segmenter.recipe).tensor.numpy())
        torch.save(dict(segmenter.weights), work / "weights.pt")
        for _ in range(args.rounds):
            for key in keys:
                result = measured(key, args, work)
                if result is not None:
                    runs[key].append(result)
    sys.stdout.write(table({k: v for k, v in runs.items() if v}, truth, args) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
