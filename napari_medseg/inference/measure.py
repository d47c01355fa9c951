"""Which engine is the fastest on this machine with this model, among those that agree.

Measured once on a piece of the first tile and remembered in the user's cache folder: for the
machine, the versions of the engines and the weights. An engine counts only if at least 99.9 % of
its labels are those of the float32 reference, and of every label nearly all of its voxels; a piece
that shows no label proves nothing and is not remembered.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import platformdirs
import torch

from napari_medseg.inference.config import EngineName
from napari_medseg.inference.engine import Engine

LOG = logging.getLogger(__name__)
AGREES = 0.999  # share of voxels with the reference's label
SAME = 0.98  # least Dice of each label of the piece with the reference's
FEWEST = 50  # voxels of a label: of fewer one more or less is much
LONGEST = 64  # voxels of the measured piece along each axis
LONGEST_FLAT = 256  # of a 2-D network: a piece must take longer than a thread takes to wake
REMEMBERED = 200  # models; the oldest go

Make = Callable[[EngineName, Sequence[int]], Engine]
Decide = Callable[[torch.Tensor], torch.Tensor]


def pick(
    names: Sequence[EngineName],
    make: Make,
    decide: Decide,
    sample: torch.Tensor,
    step: Sequence[int],
    model: str,
    pays: bool = True,
) -> EngineName:
    """The name of the engine to use.

    Parameters
    ----------
    names
        What can run here; the last is the reference.
    make
        Builds an engine for a shape (C, Z, Y, X); one that cannot be built is left out.
    decide
        Label numbers (Z, Y, X) of an engine's answer (L, Z, Y, X); 0 is background.
    sample
        float32 (C, Z, Y, X), a tile that holds something.
    step
        What the sizes (Z, Y, X) of a tile must be multiples of.
    model
        What tells this network and these weights from all others.
    pays
        Whether there is so much to compute that a measurement is worth its seconds; else what is
        not known yet is the reference's.
    """
    if len(names) == 1:
        return names[0]
    key = _key(names, model, sample.device)
    remembered = _read().get(key)
    for name in names:
        if name == remembered:
            return name
    if not pays:
        return names[-1]
    best, proven = _fastest(names, make, decide, _middle(sample, step))
    if proven:
        _remember(key, best)
    return best


def agreement(labels: torch.Tensor, reference: torch.Tensor) -> float:
    """Share of voxels with the same number."""
    return float((labels == reference).double().mean())


def _fastest(
    names: Sequence[EngineName], make: Make, decide: Decide, piece: torch.Tensor
) -> tuple[EngineName, bool]:
    """The fastest engine that agrees, and whether the piece shows enough to say so."""
    seconds, wanted = _timed(make(names[-1], piece.shape), piece)
    best, reference = names[-1], decide(wanted).cpu()
    if int((reference != 0).sum()) < FEWEST:
        return best, False
    for name in names[:-1]:
        try:
            taken, answer = _timed(make(name, piece.shape), piece)
        except Exception:  # an engine that cannot run this network is not taken
            LOG.info("%s cannot run this network", name, exc_info=True)
            continue
        if taken < seconds and _agrees(answer, decide(answer).cpu(), reference):
            best, seconds = name, taken
    return best, True


def _timed(engine: Engine, piece: torch.Tensor) -> tuple[float, torch.Tensor]:
    """Seconds of the second call, and its logits; the first one may compile."""
    engine(piece)
    started = time.perf_counter()
    logits = engine(piece)
    if logits.is_cuda:
        torch.cuda.synchronize(logits.device)
    return time.perf_counter() - started, logits


def _agrees(answer: torch.Tensor, labels: torch.Tensor, reference: torch.Tensor) -> bool:
    if not torch.isfinite(answer).all() or agreement(labels, reference) < AGREES:
        return False
    for label in torch.unique(torch.cat([labels.flatten(), reference.flatten()])).tolist():
        one, two = labels == label, reference == label
        total = int(one.sum() + two.sum())
        if total >= 2 * FEWEST and 2 * int((one & two).sum()) < SAME * total:
            return False
    return True


def _middle(sample: torch.Tensor, step: Sequence[int]) -> torch.Tensor:
    """The middle of a tile, short enough for a measurement of a second."""
    longest = LONGEST if sample.shape[1] > 1 else LONGEST_FLAT
    for axis, one in enumerate(step, start=1):
        size = sample.shape[axis]
        short = min(size, max(one, longest // one * one))
        sample = sample.narrow(axis, (size - short) // 2, short)
    return sample.contiguous()


def _key(names: Sequence[EngineName], model: str, device: torch.device) -> str:
    about = [_machine(), str(device), str(torch.get_num_threads()), *names, model]
    return hashlib.sha256("\n".join(about).encode()).hexdigest()[:24]


@cache
def _machine() -> str:
    """The processor and the versions of what computes."""
    found = [platform.node(), _processor(), f"torch {torch.__version__}"]
    with suppress(PackageNotFoundError):
        found.append(f"openvino {version('openvino')}")
    return " ".join(found)


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line
    return platform.processor() or platform.machine()


def _file() -> Path:
    """MEDSEG_CACHE_DIR moves it."""
    base = os.environ.get("MEDSEG_CACHE_DIR") or platformdirs.user_cache_dir(appauthor=False)
    return Path(base) / "napari-medseg" / "engines.json"


def _read() -> dict[str, Any]:
    """What was measured before; nothing where the file is missing or damaged: it is a cache."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(key: str, name: EngineName) -> None:
    """Keep it; a cache that cannot be written costs the measurement next time, nothing more."""
    known = {**_read(), key: str(name)}
    newest = dict(list(known.items())[-REMEMBERED:])
    with suppress(OSError):
        path = _file()
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(newest, indent=1), encoding="utf-8")
        beside.replace(path)
