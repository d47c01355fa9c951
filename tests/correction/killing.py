"""Kills a process that paints as fast as it can, again and again, and counts what is missing.

    python tests/correction/killing.py FOLDER random KILLS
    python tests/correction/killing.py FOLDER points
    python tests/correction/killing.py FOLDER careless      without a rename: something must be lost

One process with everything imported forks each painter: starting anew would take a second a kill.
Each stroke's voxel is vouched for before it is painted.
Prints one line of JSON: kills, strokes acknowledged, strokes lost, strokes that nobody vouches for
any more, cases unreadable.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from napari_medseg.correction import journal
from napari_medseg.correction.disk import Disk
from napari_medseg.correction.state import State, Vouched
from napari_medseg.correction.store import Recovered, Store
from napari_medseg.correction.tracker import Tracker

SHAPE = (6, 20, 20)
KEY = "0123456789abcdef0123456789abcdef"
IN_FLIGHT = 16  # strokes that are painted ahead of the disk
CALLS = ("create", "sync", "rename", "remove", "sync_folder", "make_folder", "connect")
POINTS = [
    f"{side} {call}"
    for call in (*CALLS, "write", "INSERT", "DELETE", "PRAGMA")
    for side in ("before", "after")
]
PASSED = {"make_folder": (1,), "connect": (1, 2)}  # as often as one process comes by


class DeadlyDisk(Disk):
    """The real disk, on which the process dies at the n-th passing of a named point."""

    def __init__(self, point: str, nth: int) -> None:
        self._point, self._left = point, nth
        for call in CALLS:
            setattr(self, call, self._around(call, getattr(self, call)))
        create, connect = self.create, self.connect
        self.create = lambda path: _File(create(path), self)  # type: ignore
        self.connect = lambda path: _Connection(connect(path), self)  # type: ignore

    def passes(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(10)

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def passing(*arguments: Any) -> Any:
            self.passes(f"before {name}")
            found = call(*arguments)
            self.passes(f"after {name}")
            return found

        return passing


class InPlaceDisk(DeadlyDisk):
    """Writes whole states under their own names at once: what must not be done."""

    def __init__(self, point: str, nth: int) -> None:
        super().__init__(point, nth)
        create = self.create
        self.create = lambda path: create(in_place(path))  # type: ignore
        self.rename = self._around("rename", lambda old, new: None)  # type: ignore


def in_place(beside: Path) -> Path:
    """The name that a file is to have, of the one under which it is written beside."""
    return beside.with_name(beside.name.rsplit(".", 1)[0].removeprefix("."))


class _File:
    """A file in whose middle one can die."""

    def __init__(self, file: BinaryIO, disk: DeadlyDisk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: Any) -> int:
        self._disk.passes("before write")
        half = len(data) // 2
        self._file.write(data[:half])
        self._file.flush()
        self._disk.passes("after write")  # of one half
        return half + self._file.write(data[half:])

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Connection:
    """A database around whose statements one can die."""

    def __init__(self, connection: Any, disk: DeadlyDisk) -> None:
        self._connection, self._disk = connection, disk

    def execute(self, query: str, row: tuple[Any, ...] = ()) -> Any:
        verb = query.split()[0]
        self._disk.passes(f"before {verb}")
        found = self._connection.execute(query, row)
        self._disk.passes(f"after {verb}")
        return found

    def close(self) -> None:
        self._connection.close()


def blank() -> State:
    return State(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8))


def stroke(labels: np.ndarray, number: int) -> None:
    """Each stroke is another one, and the labels tell how many there were."""
    labels[place(number)] = 1 + number % 7


def place(number: int) -> tuple[int, ...]:
    return tuple(int(n) for n in np.unravel_index(number * 7 % blank().labels.size, SHAPE))


def vouch(tracker: Tracker, number: int) -> Vouched:
    """A person vouches for the voxel of the stroke that comes next."""
    z, y, x = (slice(n, n + 1) for n in place(number))
    tracker.vouch((z, y, x), np.ones((1, 1, 1), bool), True)
    seen = tracker.labels[z, y, x].ravel(), tracker.baseline[z, y, x].ravel()
    return Vouched((z, y, x), np.ones((1, 1, 1), bool), True, *seen)


def paint(folder: Path, first: int, disk: Disk, out: int) -> None:
    """Paint for ever; tell the number of the last stroke that is on the disk."""
    journal.STATE_EVERY = 9
    store = Store(folder, disk)
    found = store.recover(KEY, blank())
    tracker = (found.state or blank()).tracker()
    pen = store.journal(
        KEY,
        found,
        lambda: State(*tracker.copies(), tracker.marks, vouched=tracker.vouched.copy()),
        lambda told: None,
    )
    ahead: deque[tuple[int, int]] = deque()
    for number in range(first, 1_000_000):
        pen.append(vouch(tracker, number))
        stroke(tracker.labels, number)
        ahead.append((pen.append(tracker.commit()), number))
        while len(ahead) > IN_FLIGHT or (ahead and ahead[0][0] <= pen.acknowledged):
            if ahead[0][0] <= pen.acknowledged:
                os.write(out, b"%d\n" % ahead.popleft()[1])
            else:
                time.sleep(0.0005)


def killed(folder: Path, first: int, disk: Disk, after_s: float | None) -> int:
    """Let a process paint until it is killed; the last stroke that it was told is safe."""
    told, out = os.pipe()
    if (child := os.fork()) == 0:
        os.close(told)
        try:
            paint(folder, first, disk, out)
        finally:
            os._exit(1)
    os.close(out)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(told, "rb") as lines:
        acknowledged = [int(line) for line in lines if line.endswith(b"\n")]
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the painter ended by itself"
    return acknowledged[-1] if acknowledged else first - 1


class Count(Counter[str]):
    """Kills, and what they did."""

    def __init__(self, folder: Path) -> None:
        super().__init__(kills=0, acknowledged=0, lost=0, unvouched=0, unreadable=0)
        self.folder, self.labels, self.next = folder, blank().labels, 0

    def kill(self, disk: Disk, after_s: float | None) -> None:
        """Kill once more and look at what is there."""
        acknowledged = killed(self.folder, self.next, disk, after_s)
        found = Store(self.folder).recover(KEY, blank())
        self["kills"] += 1
        self["acknowledged"] += acknowledged + 1 - self.next
        self["unreadable"] += bool(found.warning)
        self["lost"] += not self._there(found, acknowledged)
        vouched = found.state is not None and found.state.vouched
        self["unvouched"] += not all(
            vouched and vouched[tuple(slice(n, n + 1) for n in place(number))].all()  # type: ignore
            for number in range(acknowledged + 1)
        )

    def _there(self, found: Recovered, acknowledged: int) -> bool:
        """Whether the labels are those after some stroke from the last acknowledged one on."""
        labels = (found.state or blank()).labels
        for number in range(self.next, acknowledged + 1):
            stroke(self.labels, number)
        for number in range(acknowledged + 1, acknowledged + 100):
            if np.array_equal(labels, self.labels):
                self.next = number
                return True
            stroke(self.labels, number)
        self.labels, self.next = labels.copy(), acknowledged + 100
        return False


def at_random(folder: Path, kills: int) -> Count:
    """Kill at random moments, one case all the time."""
    moments, count = random.Random(0), Count(folder)
    for _ in range(kills):
        count.kill(Disk(), 0.01 + 0.24 * moments.random())
    return count


def at_points(folder: Path, disk: type[DeadlyDisk]) -> Count:
    """Kill at each named point: the first time that a process comes by, and some times later."""
    count = Count(folder)
    for point in POINTS:
        for nth in PASSED.get(point.split()[1], (1, 4)):
            count.kill(disk(point, nth), None)
    return count


if __name__ == "__main__":
    where, how = Path(sys.argv[1]), sys.argv[2]
    if how == "random":
        result = at_random(where, int(sys.argv[3]))
    else:
        result = at_points(where, DeadlyDisk if how == "points" else InPlaceDisk)
    sys.stdout.write(json.dumps(dict(result)))
