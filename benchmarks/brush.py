"""How long a mouse move takes while the brush paints: ours and napari's own, side by side.

Real mouse events over a scan of 512 x 512 x 600 voxels; of each setting a stroke with ours and one
with napari's own paint in turn, in one window, so that a busy machine slows both. Then memory
after many strokes. Prints Markdown.

    QT_API=pyqt5 xvfb-run -s "-screen 0 1280x720x24" python benchmarks/brush.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from napari import Viewer
from napari.layers import Labels
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_medseg.volume import Geometry, Volume
from napari_medseg.widgets.attach import desk_of
from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.desk import Desk

SHAPE = (600, 512, 512)
SETTINGS = (("disc of 10", 10, False), ("disc of 40", 40, False), ("ball of 40", 40, True))
MOVES = 40
GAP_S = 0.012  # napari takes a move each 5 ms
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton


def send(canvas: object, kind: QEvent.Type, spot: QPointF, button: object, held: object) -> None:
    place = QPointF(canvas.mapToGlobal(spot.toPoint()))
    event = QMouseEvent(kind, spot, place, button, held, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)


def settle(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        QApplication.processEvents()
        time.sleep(0.001)


def stroke(viewer: Viewer, turn: int, moves: int = MOVES) -> tuple[list[float], list[float]]:
    """Milliseconds of each move, by the clock and of this thread's own computing."""
    canvas = viewer.window._qt_viewer.canvas.native
    width, height = canvas.width(), canvas.height()
    angles = np.linspace(0, 2, moves) + turn * 0.7
    away = height * (0.15 + 0.05 * (turn % 4))
    spots = [QPointF(width / 2 + away * np.cos(a), height / 2 + away * np.sin(a)) for a in angles]
    wall, cpu = [], []
    send(canvas, QEvent.Type.MouseButtonPress, spots[0], LEFT, LEFT)
    for spot in spots[1:]:
        began, computed = time.perf_counter(), time.thread_time()
        send(canvas, QEvent.Type.MouseMove, spot, NONE, LEFT)
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.thread_time() - computed) * 1000)
        settle(max(GAP_S - wall[-1] / 1000, 0.006))
    send(canvas, QEvent.Type.MouseButtonRelease, spots[-1], LEFT, NONE)
    return wall, cpu


def open_window() -> tuple[Viewer, Desk]:
    viewer = Viewer()
    viewer.window.resize(900, 700)
    image = np.zeros(SHAPE, np.uint8)
    image[::4] = 90
    desk = desk_of(viewer)
    desk.open_volume(Volume(image, Geometry.from_spacing(SHAPE, (1.0, 1.0, 1.0)), name="bench"))
    viewer.reset_view()
    settle(1.0)
    return viewer, desk


def ours(desk: Desk, size: int, ball: bool, label: int) -> None:
    desk.select_labels()
    desk.labels.selected_label = label
    desk.brush.state.set(tool=Tool.BRUSH, size_mm=float(size), ball=ball)


def theirs(viewer: Viewer, size: int, ball: bool, label: int) -> Labels:
    """A layer of napari's own beside ours, on an array of its own."""
    if "theirs" not in viewer.layers:
        viewer.add_labels(np.zeros(SHAPE, np.uint8), name="theirs")
    layer = viewer.layers["theirs"]
    viewer.layers.selection.active = layer
    layer.mode, layer.brush_size, layer.selected_label = "paint", size, label
    layer.n_edit_dimensions = 3 if ball else 2
    return layer


def row(name: str, who: str, values: Sequence[float], computed: Sequence[float]) -> str:
    p50, p95 = np.percentile(values, [50, 95])
    cpu50, cpu95 = np.percentile(computed, [50, 95])
    return (
        f"| {name} | {who} | {len(values)} | {p50:.1f} | {p95:.1f} | {max(values):.1f} "
        f"| {cpu50:.1f} | {cpu95:.1f} | {max(computed):.1f} |"
    )


def memory_mb() -> float:
    fields = Path("/proc/self/status").read_text().splitlines()
    found = next(line for line in fields if line.startswith("VmRSS"))
    return int(found.split()[1]) / 1024


def latency(viewer: Viewer, desk: Desk, strokes: int) -> list[str]:
    lines = [
        "| brush, voxels | whose | moves | p50 ms | p95 | worst | own CPU p50 ms | p95 | worst |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, size, ball in SETTINGS:
        found: dict[str, tuple[list[float], list[float]]] = {"ours": ([], []), "napari's": ([], [])}
        for turn in range(-1, strokes):
            viewer.dims.set_current_step(0, 300 + 50 * (turn % 3))
            for who in found:
                label = 1 + turn % 5
                ours(desk, size, ball, label) if who == "ours" else theirs(
                    viewer, size, ball, label
                )
                settle(0.1)
                wall, cpu = stroke(viewer, turn)
                settle(0.4)
                if turn >= 0:  # the first one warms up
                    found[who][0].extend(wall)
                    found[who][1].extend(cpu)
        lines += [row(name, who, *values) for who, values in found.items()]
    return lines


def memory(viewer: Viewer, desk: Desk, strokes: int) -> str:
    """Each stroke paints what is not painted yet: other labels, another place."""
    ours(desk, 40, True, 1)
    desk.labels.data[...] = 0  # memory that the system had only promised so far
    desk.workbench.commit(name="")
    settle(0.5)
    before, steps = memory_mb(), len(desk.workbench.editor.history.steps)
    for turn in range(strokes):
        viewer.dims.set_current_step(0, 20 + turn % 560)
        desk.labels.selected_label = 1 + turn % 7
        stroke(viewer, turn, moves=4)
    settle(1.0)
    history = desk.workbench.editor.history
    return (
        f"{len(history.steps) - steps} strokes with a ball of 40 voxels: "
        f"{memory_mb() - before:+.0f} MB of memory, {history.n_bytes / 2**20:.1f} MB of it steps"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=int, default=6, help="of each setting and brush")
    parser.add_argument("--many", type=int, default=1000, help="strokes to fill the history")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDSEG_DATA_DIR"] = folder
        viewer, desk = open_window()
        if given.strokes:
            print("\n".join(latency(viewer, desk, given.strokes)), flush=True)  # noqa: T201
            viewer.layers.remove("theirs")
        if given.many:
            print("\n" + memory(viewer, desk, given.many))  # noqa: T201
        desk.close()
        viewer.close()


if __name__ == "__main__":
    main()
