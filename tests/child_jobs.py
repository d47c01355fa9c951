"""Jobs that tests run in a child process; the child finds this file by PYTHONPATH."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import ReadError
from napari_medseg.jobs import Child, Job, Listening, Progress


def count(n: int) -> Job[int]:
    for i in range(n):
        yield Progress(i + 1, n)
    return os.getpid()


def refuse(name: str) -> Job[None]:
    yield Progress(0, 1)
    raise ReadError("must be whole, got half; copy it again", name)


def stumble() -> Job[None]:
    yield Progress(0, 1)
    raise KeyError("a bug")


def die(how: int) -> Job[None]:
    yield Progress(0, 1)
    os.kill(os.getpid(), how)
    time.sleep(60)


def vanish() -> Job[None]:
    yield Progress(0, 1)
    os._exit(7)


def sleep_long(seconds: float) -> Job[None]:
    yield Progress(0, 1)
    time.sleep(seconds)


def deaf(seconds: float) -> Job[None]:
    """A long step that no polite signal ends, as one inside native code."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield Progress(0, 1)
    time.sleep(seconds)


def double(array: npt.NDArray[np.float32]) -> Job[npt.NDArray[np.float32]]:
    yield array[0]
    yield Progress(1, 1)
    return array * 2


def tidy(mark: str) -> Job[None]:
    """Yields for ever; leaves a file behind when it is closed properly."""
    try:
        while True:
            yield Progress(0, 0)
            time.sleep(0.01)
    finally:
        Path(mark).write_text("closed")


def unsendable() -> Job[object]:
    yield Progress(0, 1)
    return lambda: None


def chatter() -> Job[str]:
    """Write to standard output, as some libraries do; the pipe must not mind."""
    sys.stdout.write("hello\n")
    yield Progress(0, 1)
    return "done"


def listen(n: int) -> Job[list[object]]:
    """Gives all that it was told, and yields how much that is."""
    heard: list[object] = []
    for _ in range(n):
        told = yield len(heard)
        heard += [] if told is None else [told]
        time.sleep(0.01)  # what is sent meanwhile waits in the pipe
    return heard


def orphan() -> None:
    """The parent's side: tell the child's number once it is in a long step, and wait to die."""
    child = Child()
    running = child.run("child_jobs:sleep_long", 60.0)
    next(running)
    assert child._process is not None
    sys.stdout.write(f"{child._process.pid}\n")
    sys.stdout.flush()
    time.sleep(60)


def wait_for_words(n: int) -> Job[list[object]]:
    """Gives the first `n` things that it was told, and asks for nothing meanwhile."""
    heard: list[object] = []
    while len(heard) < n:
        heard.append((yield Listening()))
    return heard


def wait_after_a_while(seconds: float) -> Job[None]:
    """Says what it is told once it listens."""
    early = yield Progress(0, 1)
    time.sleep(seconds)
    yield ("heard", early or (yield Listening()))


def talk(n: int, size: int) -> Job[int]:
    """Says `n` things of `size` bytes without a pause; gives how often it was answered."""
    answers = 0
    for _ in range(n):
        answers += (yield bytes(size)) is not None
    return answers


def freeze(n: int) -> Job[None]:
    """Says `n` things and stands still, all its threads: a library may hold Python as long."""
    for _ in range(n):
        yield os.getpid()
    os.kill(os.getpid(), signal.SIGSTOP)
    yield "never"


def lecture(mark: str) -> Job[None]:
    """Says long things, whoever listens; leaves a file behind when it is closed properly."""
    try:
        for _ in range(5):
            yield bytes(1_000_000)
        yield Listening()
    finally:
        Path(mark).write_text("closed")
