"""Not one stroke lost: kills, power cuts, full disks, and what the journal costs; prints tables.

    python benchmarks/durability.py [--kills 1000] [--cuts 10000] [--only kills,cuts,full,cost]

Kills, power cuts and small disks are those of the tests (`tests/correction`), only more of them.
The real full disk is a tmpfs that is mounted for it: as root, or else it is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "correction"))

from napari_medseg.correction import journal as journal_module  # noqa: E402  the path comes first
from napari_medseg.correction.edit import Edit  # noqa: E402
from napari_medseg.correction.store import Store  # noqa: E402
from napari_medseg.volume import Geometry, Volume  # noqa: E402
from napari_medseg.workbench import Workbench  # noqa: E402

SHAPE = (600, 512, 512)
RADIUS = 40  # voxels; strokes of 12 steps of a brush this size change about 70 000
STROKES = 1000
WHOLES = 20
DISKS = [16 + 12 * number for number in range(32)]  # kB


def row(*cells: object) -> None:
    """One line of a Markdown table."""
    sys.stdout.write(f"| {' | '.join(str(cell) for cell in cells)} |\n")
    sys.stdout.flush()


def table(*heads: str) -> None:
    """The head of a table."""
    sys.stdout.write("\n")
    row(*heads)
    row(*["---"] * len(heads))


# -- kills -----------------------------------------------------------------------------------------


def kills(number: int) -> None:
    """kill -9 at random moments and at every named point."""
    table("kill -9", "kills", "strokes acknowledged", "lost", "unreadable")
    for name, how in (("random", ["random", str(number)]), ("named points", ["points"])):
        with tempfile.TemporaryDirectory() as folder:
            args = [sys.executable, str(ROOT / "tests/correction/killing.py"), folder, *how]
            done = subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
        row(name, *json.loads(done.stdout).values())


# -- power cuts ------------------------------------------------------------------------------------


def power_cuts(states: int) -> None:
    """States after a power cut that drops unsynced writes, and with one guard taken out."""
    from power import NoFileSync, NoFolderSync, NoLogSync, NoRename, RecordingDisk
    from test_power_cut import lost

    journal_module.STATE_EVERY = 7
    table("power cut", "states", "lost or unreadable")
    for disk, count in (
        (RecordingDisk(), states),
        *((kind(), 300) for kind in (NoFileSync, NoFolderSync, NoLogSync, NoRename)),
    ):
        with tempfile.TemporaryDirectory(dir=_memory()) as folder:
            name = "as it is" if type(disk) is RecordingDisk else type(disk).__name__
            row(name, count, lost(Path(folder), disk, count))


def _memory() -> str | None:
    """A folder that needs no disk, where there is one."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


# -- full disks ------------------------------------------------------------------------------------


def full_disks() -> None:
    """Strokes on a real small disk that fills up, and then gets space."""
    from painting import Session, same

    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        sys.stdout.write("\nreal full disks need root, to mount one\n")
        return
    journal_module.RETRY_S, journal_module.STATE_EVERY = 0.01, 40
    told = lost = filled = 0
    for size_kb in DISKS:
        with tempfile.TemporaryDirectory() as folder, _mounted(Path(folder), size_kb):
            session = Session(Path(folder))
            session.paint(120)
            trouble = not session.journal.flush(1.0)
            filled += trouble
            told += any("free some space" in one for one in session.reports)
            _mount("remount,size=16m", folder)
            session.journal.flush(20)
            session.close()
            found = Store(Path(folder) / "cases").recover(_key())
            lost += not same(found.state, session.history[-1])
    table("disks of 16 to 388 kB", "filled up", "user told", "lost once there is space")
    row(len(DISKS), filled, told, lost)


def _key() -> str:
    from painting import KEY

    return KEY


@contextmanager
def _mounted(folder: Path, size_kb: int) -> Iterator[None]:
    _mount(f"size={size_kb}k", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _mount(options: str, folder: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)


# -- cost ------------------------------------------------------------------------------------------


def cost() -> None:
    """What a stroke costs the calling thread, the memory of many, and how fast they are back."""
    image = np.zeros(SHAPE, np.int16)
    image[:, 100:400, 100:400] = np.random.default_rng(0).integers(-1000, 1000, (300, 300))
    volume = Volume(image, Geometry.from_spacing(SHAPE, (1.0, 0.7, 0.7)))
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(Path(folder))
        bench.open_case(volume)
        table("512 x 512 x 600", "p50", "p95", "p95 CPU", "memory more", "on disk")
        _measure("1000 brush strokes of 70 000 voxels", bench, Path(folder), _strokes(bench))
        labels = bench.case.labels.copy() if bench.case else None
        assert bench.flush(60)
        _crash(bench, Path(folder), volume, labels)
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(Path(folder))
        bench.open_case(volume)
        _measure(f"{WHOLES} edits of the whole volume", bench, Path(folder), _wholes(bench))
        bench.close()


def _strokes(bench: Workbench) -> Iterator[Callable[[], object]]:
    random = np.random.default_rng(0)
    labels = bench.case.labels if bench.case else np.zeros(SHAPE, np.uint8)
    for number in range(STROKES):
        box, where = _stroke(random)
        labels[box][where] = 1 + number % 5
        yield lambda box=box: bench.commit(box, "brush")


def _stroke(random: np.random.Generator) -> tuple[tuple[slice, slice, slice], np.ndarray]:
    """A wide stroke through one slice: its box, and which voxels, about 70 000."""
    z, y = int(random.integers(0, SHAPE[0])), int(random.integers(0, SHAPE[1] - 4 * RADIUS))
    rows, columns = np.ogrid[: 4 * RADIUS, : SHAPE[2]]
    wave = 2 * RADIUS + RADIUS * 0.15 * np.sin(columns / 30 + random.random())
    where = np.abs(rows - wave) <= 1.7 * RADIUS + random.random((1, SHAPE[2]))
    return (slice(z, z + 1), slice(y, y + 4 * RADIUS), slice(0, SHAPE[2])), where[None]


def _wholes(bench: Workbench) -> Iterator[Callable[[], object]]:
    """As tools do it: masks of a whole organ's size, moved and relabelled."""
    assert bench.editor is not None
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    for number in range(WHOLES):
        edges = ((z // 7 + y // 5 + x // 9 + number) % 5).astype(np.uint8)
        edit = Edit((slice(0, SHAPE[0]), slice(0, SHAPE[1]), slice(0, SHAPE[2])), edges)
        yield lambda edit=edit: bench.editor.apply(edit, "tool", 1) if bench.editor else None


def _measure(
    name: str, bench: Workbench, folder: Path, calls: Iterator[Callable[[], object]]
) -> None:
    before, taken, busy = _resident_mb(), [], []
    for call in calls:
        start, cpu = time.perf_counter(), time.thread_time()
        call()
        taken.append(1000 * (time.perf_counter() - start))
        busy.append(1000 * (time.thread_time() - cpu))
        time.sleep(0.02)  # nobody paints faster
    bench.flush(120)
    size = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()) / 1e6
    history = bench.editor.history.n_bytes / 1e6 if bench.editor else 0
    worst, used = (statistics.quantiles(all_of, n=20)[-1] for all_of in (taken, busy))
    memory = f"{_resident_mb() - before:.0f} MB, history {history:.1f} MB"
    times = (f"{ms:.1f} ms" for ms in (statistics.median(taken), worst, used))
    row(name, *times, memory, f"{size:.1f} MB")


def _crash(bench: Workbench, folder: Path, volume: Volume, labels: np.ndarray | None) -> None:
    """Open the case again as after a kill: from a copy of what is on the disk now."""
    copied = folder / "copied"
    subprocess.run(["cp", "-r", str(folder / "cases"), str(copied)], check=True)
    key = bench.case.key if bench.case else ""
    bench.close()
    start = time.perf_counter()
    found = Store(copied).recover(key)
    taken = time.perf_counter() - start
    same = found.state is not None and np.array_equal(found.state.labels, labels)
    table("after a crash", "steps to take back", "seconds", "bit for bit")
    row("opened again", found.history.at, f"{taken:.2f}", same)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Print all tables, or those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=10_000)
    parser.add_argument("--only", default="cost,full,cuts,kills")
    options = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "cost": cost,
        "full": full_disks,
        "cuts": lambda: power_cuts(options.cuts),
        "kills": lambda: kills(options.kills),
    }
    for name in options.only.split(","):
        parts[name]()


if __name__ == "__main__":
    main()
