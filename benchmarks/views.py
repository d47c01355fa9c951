"""How soon a stroke in the axial view is seen in the other two, on a scan of 512 x 512 x 600.

A brush is drawn across the lines of the cursor by real mouse moves. For each stroke: milliseconds
from the first move that the mask took to the end of the next drawing of the coronal and of the
sagittal canvas, on the clock and as computed by the window's own thread. Prints a Markdown table.

    xvfb-run -a -s "-screen 0 1440x900x24" python benchmarks/views.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import numpy as np
from painting import LEFT, NONE, scan, send, wait, wait_for
from qtpy.QtCore import QEvent, QPointF

from napari_medseg.widgets.attach import desk_of, new_viewer, open_all_docks, show_dock
from napari_medseg.widgets.brush_state import Tool
from napari_medseg.widgets.views import PLANES, Views

NAMES = {1: "coronal", 2: "sagittal"}


class Clock:
    """When a view was drawn, after it was asked."""

    def __init__(self, canvas: object) -> None:
        self.walls: list[float] = []
        self.works: list[float] = []
        self._since: tuple[float, float] | None = None
        canvas.frameSwapped.connect(self._drawn)

    def ask(self) -> None:
        self._since = time.perf_counter(), time.thread_time()

    @property
    def waits(self) -> bool:
        return self._since is not None

    def _drawn(self) -> None:
        if self._since is not None:
            self.walls.append((time.perf_counter() - self._since[0]) * 1000)
            self.works.append((time.thread_time() - self._since[1]) * 1000)
            self._since = None


def stroke(views: Views, clocks: dict[int, Clock], number: int) -> None:
    """Across the cursor, so that both other views show a part of it."""
    canvas, look = views.main.canvas, views.main.look()
    assert look is not None
    x, y = look.pixel(views.at)
    spots = [QPointF(x + step, y + step) for step in range(-6, 7, 2)]
    send(canvas, QEvent.Type.MouseButtonPress, spots[0], LEFT, LEFT)
    for clock in clocks.values():
        clock.ask()
    for spot in spots[1:]:
        send(canvas, QEvent.Type.MouseMove, spot, NONE, LEFT)
        wait(10)
    send(canvas, QEvent.Type.MouseButtonRelease, spots[-1], LEFT, NONE)
    wait_for(lambda: not any(clock.waits for clock in clocks.values()), 5)
    wait(200)
    views.step(views.main, 1 if number % 40 < 20 else -1)
    wait(200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=int, default=40)
    parser.add_argument("--slices", type=int, default=600)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MEDSEG_DATA_DIR"] = folder
        viewer = new_viewer(show=True)
        viewer.window.resize(1440, 900)
        open_all_docks(viewer)
        show_dock(viewer, "Correct")
        desk = desk_of(viewer)
        desk.open_volume(scan((given.slices, 512, 512)))
        views = desk.views
        views.show_four(True)
        wait(3000)
        desk.select_labels()
        desk.brush.state.set(tool=Tool.BRUSH, size_mm=14.0)
        clocks = {number: Clock(views.panes[number].eye.canvas) for number in PLANES}
        for number in range(given.strokes):
            stroke(views, clocks, number)
        lines = [
            "| ms | n | p50 | p95 | computed p50 | computed p95 |",
            "|---|---|---|---|---|---|",
        ]
        for number, clock in clocks.items():
            figures = [*np.percentile(clock.walls, (50, 95)), *np.percentile(clock.works, (50, 95))]
            told = " | ".join(f"{one:.1f}" for one in figures)
            lines.append(f"| {NAMES[number]} | {len(clock.walls)} | {told} |")
        print("\n".join(lines))  # noqa: T201
        desk.close()
        viewer.close()


if __name__ == "__main__":
    main()
