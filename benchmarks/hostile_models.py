"""Hostile model files through every reader, as a Markdown table; 1 if one of them got through.

    python benchmarks/hostile_models.py [--out FILE] [--bomb-gb 4] [--flips 1000]

Each file is read in a process of its own that was forked after torch was imported: seconds, memory
and what it did count from there. An audit hook watches for processes, libraries and connections;
gadgets that run leave a file behind. The control unpickles the same files without any protection.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import foreign_models
import hostile_models as hostile
import onnx.checker
import onnx.shape_inference  # noqa: F401
import torch

from napari_medseg.errors import MedsegError, ModelError, one_line
from napari_medseg.models import checkpoint, foreign
from napari_medseg.models.card import read_card

WATCHED = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn",
           "ctypes.dlopen", "socket.connect", "os.symlink", "shutil.")  # fmt: skip
MOST_SECONDS, LONGEST_LINE = 2.0, 200


@dataclass
class Outcome:
    """What became of one file."""

    name: str
    line: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    grown_mb: float = 0.0
    events: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return self.line.startswith("error: ")

    @property
    def plain(self) -> bool:
        """One line, short, and no advice to switch protection off."""
        short = len(self.line) <= LONGEST_LINE and "\n" not in self.line
        return self.refused and short and "weights_only" not in self.line


def read(case: hostile.Case, path: Path) -> None:
    """Give the file to its reader, as `medseg models` does."""
    if case.reader == "own":
        read_card(path)
        checkpoint.load(path)
    else:
        foreign.import_model(path)


def apart(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` gives, from a fork of this process."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        try:
            answer = work()
        except Exception as error:  # noqa: BLE001  told to the parent
            answer = {"line": f"FAULT {type(error).__name__}: {error}"[:300]}
        os.write(into, json.dumps(answer).encode()[:60_000])
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        data = pipe.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(data) if data else {"line": f"DIED {status}"}


def judged(case: hostile.Case, path: Path) -> dict[str, Any]:
    """In the fork: read the file, watched."""
    seen: list[str] = []
    sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(WATCHED) else None)
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    try:
        read(case, path)
        line = "NOT REFUSED"
    except MedsegError as error:
        line = one_line(error) if isinstance(error, ModelError) else f"WRONG KIND {error}"
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "line": line,
        "seconds": seconds,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "grown_mb": (after.ru_maxrss - before.ru_maxrss) / 1024,
        "events": tuple(seen),
    }


def try_all(folder: Path, canaries: Path, bomb_bytes: int) -> list[Outcome]:
    """Every case, one after another."""
    outcomes = []
    for number, case in enumerate(hostile.cases(bomb_bytes)):
        place = folder / str(number)
        place.mkdir()
        path = case.make(place, canaries)
        answer = apart(lambda case=case, path=path: judged(case, path))
        answer["events"] = tuple(answer.get("events", ()))
        outcomes.append(Outcome(case.name, **answer))
        for one in place.rglob("*"):
            if one.is_file() and not one.is_symlink():
                one.unlink()
    return outcomes


def control(canaries: Path) -> int:
    """How many gadgets run when nothing protects."""
    fired = 0
    for name in hostile.gadgets(canaries / "x"):
        canary = canaries / name.replace(".", "-")
        hostile.lay_out(canary)

        def unprotected(canary: Path = canary, name: str = name) -> dict[str, Any]:
            data = hostile.archive(hostile.pickled(hostile.gadgets(canary)[name]))
            sys.path.insert(0, str(canary.parent))
            file = canary.with_suffix(".pt")
            file.write_bytes(data)
            torch.load(file, weights_only=False)
            return {"line": ""}

        apart(unprotected)
        time.sleep(0.05)  # Popen does not wait
        fired += canary.exists()
    return fired


def flips(folder: Path, number: int) -> int:
    """How many of so many random bit flips of our own checkpoint are noticed."""
    path, chance, noticed = folder / "own.safetensors", random.Random(0), 0
    checkpoint.save(foreign_models.small_segmenter(), path)
    whole = path.read_bytes()
    for _ in range(number):
        place, bit = chance.randrange(len(whole)), chance.randrange(8)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(bytes(damaged))
        try:
            checkpoint.load(path)
        except ModelError:
            noticed += 1
    return noticed


def table(outcomes: list[Outcome], ran: int, fired: int, noticed: int, n_flips: int) -> str:
    """The results as Markdown."""
    late = [one for one in outcomes if one.cpu_seconds > MOST_SECONDS]
    slowest = max(outcomes, key=lambda one: one.cpu_seconds)
    largest = max(outcomes, key=lambda one: one.grown_mb)
    hooked = [one for one in outcomes if one.events]
    day, n_gadgets = datetime.now(UTC).date(), len(hostile.gadgets(Path("x")))
    n_plain = sum(one.plain for one in outcomes)
    lines = [
        "# Hostile model files",
        "",
        f"{day}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"torch {torch.__version__}; `python benchmarks/hostile_models.py`.",
        "Seconds and memory count from a process that has imported torch and onnx; the machine was "
        "shared, so processor seconds are what to compare.",
        "",
        "| | |",
        "|---|---|",
        f"| hostile files | {len(outcomes)} |",
        f"| ran code (canaries written) | {ran} |",
        f"| started a process, loaded a library or connected (audit hook) | {len(hooked)} |",
        f"| control: gadgets that run without protection | {fired} of {n_gadgets} |",
        f"| refused | {sum(one.refused for one in outcomes)} |",
        f"| in one line of at most {LONGEST_LINE} characters | {n_plain} |",
        f"| later than {MOST_SECONDS:.0f} processor seconds | {len(late)} |",
        f"| slowest | {slowest.cpu_seconds:.2f} s ({slowest.name}); "
        f"wall {max(one.seconds for one in outcomes):.2f} s |",
        f"| most memory more | {largest.grown_mb:.0f} MB ({largest.name}) |",
        f"| bit flips of our own checkpoint that were noticed | {noticed} of {n_flips} |",
        "",
        "| file | what was said | s | MB |",
        "|---|---|--:|--:|",
    ]
    for one in outcomes:
        said = one.line.replace("|", "\\|").removeprefix("error: ")
        lines.append(f"| {one.name} | {said} | {one.cpu_seconds:.2f} | {one.grown_mb:.0f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the table; 1 if anything got through."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--bomb-gb", type=float, default=4.0)
    parser.add_argument("--flips", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        canaries, controls = folder / "canaries", folder / "controls"
        canaries.mkdir()
        controls.mkdir()
        outcomes = try_all(folder, canaries, int(options.bomb_gb * (1 << 30)))
        ran = sum(1 for one in canaries.iterdir() if not one.suffix)
        fired = control(controls)
        noticed = flips(folder, options.flips)
    text = table(outcomes, ran, fired, noticed, options.flips)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text)
    sys.stdout.write(text)
    fine = ran == 0 and noticed == options.flips and fired >= 12
    quick = all(
        one.plain and not one.events and one.cpu_seconds <= MOST_SECONDS for one in outcomes
    )
    return 0 if fine and quick else 1


if __name__ == "__main__":
    sys.exit(main())
