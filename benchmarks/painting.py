"""How fluid painting is while the model learns: time of each mouse move, delay of the event loop.

A 512 x 512 x 300 scan with its mask is painted on in a real window by real mouse moves, one each
33 ms, in rounds with nothing else, with a fine-tune in its child process and with "Learn as I
paint", in turns. Each handler is timed from the event to the end of what the window does for it; a
5 ms timer tells how late the event loop is. Prints a Markdown table; nothing is asserted.

    xvfb-run -a -s "-screen 0 1440x900x24" python benchmarks/painting.py MODEL.safetensors
"""

from __future__ import annotations

import argparse
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from napari import Viewer
from qtpy.QtCore import QEvent, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_medseg.training.config import FineTuneConfig
from napari_medseg.training.events import SliceSeen
from napari_medseg.volume import Geometry, Volume
from napari_medseg.widgets.attach import desk_of, new_viewer, open_all_docks
from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.learn_along import LearnAlong, learn_along_of

SHAPE = (300, 512, 512)
FRESH = itertools.count(SHAPE[0] // 2)
MOVE_MS, MOVES = 33, 60  # a stroke of two seconds
COMMIT_MS = 300  # after a stroke: the commit, the volumes, the journal
TICK_MS = 5
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


def scan(shape: tuple[int, int, int]) -> Volume:
    """Two bright lungs in noise, int16 like a CT."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    image = np.random.default_rng(0).integers(-40, 60, shape, dtype=np.int16)
    for side in (-1, 1):
        middle = shape[2] / 2 + side * shape[2] / 5
        inside = ((y - shape[1] / 2) / 140) ** 2 + ((x - middle) / 80) ** 2 + 0 * z < 1
        image[np.broadcast_to(inside, shape)] -= 800
    return Volume(image, Geometry.from_spacing(shape, (1.5, 0.7, 0.7)), name="bench")


class Clock:
    """Milliseconds: of each mouse move, by how much a 5 ms timer came late, and what the window's
    own thread computed in between, which other programs on the machine cannot blur."""

    def __init__(self) -> None:
        self.moves: list[float] = []
        self.delays: list[float] = []
        self.computed: list[float] = []
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)

    def start(self) -> None:
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def _tick(self) -> None:
        now, cpu = time.perf_counter(), time.thread_time()
        self.delays.append(max(0.0, (now - self._last) * 1000 - TICK_MS))
        self.computed.append((cpu - self._last_cpu) * 1000)
        self._last, self._last_cpu = now, cpu


def wait(milliseconds: float) -> None:
    until = time.perf_counter() + milliseconds / 1000
    while time.perf_counter() < until:
        QApplication.processEvents()
        time.sleep(0.0005)


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.perf_counter() + seconds
    while not condition() and time.perf_counter() < until:
        wait(50)
    return condition()


def send(canvas: object, kind: QEvent.Type, spot: QPointF, button: object, held: object) -> None:
    place = QPointF(canvas.mapToGlobal(spot.toPoint()))
    event = QMouseEvent(kind, spot, place, button, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)


def stroke(viewer: Viewer, clock: Clock, turn: int) -> None:
    """Two seconds of painting across the canvas, at the speed of a hand."""
    canvas = viewer.window._qt_viewer.canvas.native
    width, height = canvas.width(), canvas.height()
    angles = np.linspace(0, 2 * np.pi, MOVES) + turn
    radius = 0.25 + 0.05 * (turn % 3)
    spots = [
        QPointF(width / 2 + radius * height * np.cos(a), height / 2 + radius * height * np.sin(a))
        for a in angles
    ]
    send(canvas, QEvent.Type.MouseButtonPress, spots[0], LEFT, LEFT)
    for spot in spots[1:]:
        began = time.perf_counter()
        send(canvas, QEvent.Type.MouseMove, spot, NONE, LEFT)
        took = (time.perf_counter() - began) * 1000
        clock.moves.append(took)
        wait(max(MOVE_MS - took, 1))
    send(canvas, QEvent.Type.MouseButtonRelease, spots[-1], LEFT, NONE)
    wait(COMMIT_MS)


def round_of(viewer: Viewer, clock: Clock, strokes: int, first: int) -> None:
    """Each stroke in a slice of its own: painted over again it would change and teach nothing."""
    clock.start()
    for turn in range(strokes):
        viewer.dims.set_current_step(0, next(FRESH))
        stroke(viewer, clock, first + turn)
    clock.stop()


def open_window(model: Path, size: tuple[int, int]) -> tuple[Viewer, Desk]:
    viewer = new_viewer(show=True)
    viewer.window.resize(*size)
    open_all_docks(viewer)
    desk = desk_of(viewer)
    desk.workbench.adopt(desk.workbench.add_model(model))
    desk.open_volume(scan(SHAPE))
    labels = desk.labels
    assert labels is not None
    desk.brush.state.set(tool=Tool.BRUSH, size_mm=15.0)
    for index in range(140, 146):  # something to learn from
        labels.data[index, 200:300, 100:200] = 1
        desk.workbench.confirm_slice(0, index)
    desk.select_labels()
    return viewer, desk


def row(name: str, values: Sequence[float]) -> str:
    median, p95 = np.percentile(values, [50, 95])
    return f"| {name} | {len(values)} | {median:.1f} | {p95:.1f} | {max(values):.1f} |"


def report(clocks: dict[str, Clock]) -> str:
    lines = ["| ms | n | median | p95 | worst |", "|---|---|---|---|---|"]
    for name, clock in clocks.items():
        lines.append(row(f"mouse move, {name}", clock.moves))
        lines.append(row(f"event-loop delay, {name}", clock.delays))
        lines.append(row(f"computed between two ticks, {name}", clock.computed))
    return "\n".join(lines)


class Looks:
    """Counts the quick looks that "Learn as I paint" shows."""

    def __init__(self, along: LearnAlong) -> None:
        self.count = 0
        along.switch(True)
        assert along.run.worker is not None
        along.run.worker.told.connect(self._take)

    def _take(self, event: object) -> None:
        self.count += isinstance(event, SliceSeen)

    def wait(self, more: int, seconds: float) -> bool:
        """Whether so many have come in time."""
        return wait_for(lambda: self.count >= more, seconds)


def measure(viewer: Viewer, desk: Desk, rounds: int, strokes: int) -> dict[str, Clock]:
    clocks = {"no training": Clock(), "fine-tuning": Clock(), "learning along": Clock()}
    along, answers = learn_along_of(desk), list[float]()
    round_of(viewer, Clock(), 1, 0)  # shaders, caches
    for number in range(rounds):
        first = number * strokes
        round_of(viewer, clocks["no training"], strokes, first)
        desk.fine_tune(FineTuneConfig(steps=100_000))
        if not wait_for(lambda: len(desk.learning.steps) > 2, 240):
            print("the fine-tune did not start in time")  # noqa: T201
        told = len(desk.learning.steps)
        round_of(viewer, clocks["fine-tuning"], strokes, first)
        print(f"steps during round {number + 1}: {len(desk.learning.steps) - told}")  # noqa: T201
        desk.learning.stop()
        wait_for(lambda: not desk.learning.running, 30)
        looks = Looks(along)
        round_of(viewer, Clock(), 1, first)  # until it has begun
        if not looks.wait(1, 120):
            print("no quick look came")  # noqa: T201
        before = looks.count
        round_of(viewer, clocks["learning along"], strokes, first)
        print(f"quick looks during round {number + 1}: {looks.count - before}")  # noqa: T201
        looks.wait(before + 2, 30)
        wait(3000)  # the last one
        for turn in range(strokes):
            before = looks.count
            round_of(viewer, Clock(), 1, first + turn)
            began = time.perf_counter()
            if looks.wait(before + 1, 30):
                answers.append(time.perf_counter() - began + COMMIT_MS / 1000)
        along.switch(False)
    print(f"s from the end of a stroke to its quick look, then resting: {spread(answers)}")  # noqa: T201
    return clocks


def spread(seconds: Sequence[float]) -> str:
    return ", ".join(f"{one:.1f}" for one in sorted(seconds)) or "none came"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="a checkpoint with patches of real size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strokes", type=int, default=4, help="of two seconds, in each round")
    parser.add_argument("--window", default="1280x720")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDSEG_DATA_DIR"] = folder
        width, height = map(int, given.window.split("x"))
        viewer, desk = open_window(given.model, (width, height))
        print(report(measure(viewer, desk, given.rounds, given.strokes)))  # noqa: T201
        desk.close()
        viewer.close()


if __name__ == "__main__":
    main()
