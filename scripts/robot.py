"""A hand for the real window: clicks, strokes with the mouse, waiting, pictures.

Used by demo.py and screenshots.py; every event goes through Qt, as a person's would.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

MOVE_S = 0.012  # napari merges moves that come faster than 5 ms
Point = tuple[float, ...]


class StepError(Exception):
    """A step of the session did not do what it must."""


class Robot:
    """Acts on one napari viewer."""

    def __init__(self, viewer: Any, folder: Path) -> None:
        self.viewer = viewer
        self.folder = folder
        self.failures: list[str] = []
        self.handler_ms: list[float] = []  # how long the window took for each painted move
        folder.mkdir(parents=True, exist_ok=True)
        sys.excepthook = self._on_exception

    def _on_exception(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """An exception inside a Qt slot: PyQt5 would abort the process without this."""
        self.failures.append(f"{kind.__name__}: {error}")
        sys.__excepthook__(kind, error, trace)

    def rest(self, seconds: float = 0.05) -> None:
        """Let the window work for a while."""
        end = time.monotonic() + seconds
        while True:
            QApplication.processEvents()
            if time.monotonic() >= end:
                return
            time.sleep(0.004)

    def until(self, what: str, ready: Callable[[], bool], timeout_s: float) -> float:
        """Wait for it; the seconds it took.

        Raises
        ------
        StepError
            It did not come in time, or something went wrong meanwhile.
        """
        start = time.monotonic()
        while not ready():
            if self.failures:
                raise StepError(f"{what}: {self.failures[0]}")
            if time.monotonic() - start > timeout_s:
                raise StepError(f"{what}: not within {timeout_s:.0f} s")
            self.rest(0.03)
        return time.monotonic() - start

    def click(self, button: QWidget) -> None:
        """A left click in the middle of a widget; StepError where it cannot be clicked."""
        self.rest()
        if not button.isVisible() or not button.isEnabled():
            raise StepError(f"'{button.property('text')}' cannot be clicked")
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self.rest()

    def drag(self, layer: Any, points: Sequence[Point]) -> None:
        """A stroke with the left button over voxels (z, y, x) of a layer."""
        native = self.viewer.window._qt_viewer.canvas.native
        places = [self._pixel(layer, point) for point in points]
        left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        self._send(native, QEvent.Type.MouseMove, places[0], none, none)
        self.rest(MOVE_S)
        self._send(native, QEvent.Type.MouseButtonPress, places[0], left, left)
        for place in places[1:]:
            self.rest(MOVE_S)
            start = time.perf_counter()
            self._send(native, QEvent.Type.MouseMove, place, none, left)
            self.handler_ms.append(1000 * (time.perf_counter() - start))
        self.rest(MOVE_S)
        self._send(native, QEvent.Type.MouseButtonRelease, places[-1], left, none)
        self.rest()

    def hover(self, x: float, y: float) -> None:
        """The mouse at a pixel of the canvas, no button held."""
        none = Qt.MouseButton.NoButton
        native = self.viewer.window._qt_viewer.canvas.native
        self._send(native, QEvent.Type.MouseMove, QPointF(x, y), none, none)

    def _pixel(self, layer: Any, point: Point) -> QPointF:
        """Where a voxel of the shown slice lies on the canvas."""
        world = np.asarray(layer.data_to_world(point))[list(self.viewer.dims.displayed)]
        scene = self.viewer.window._qt_viewer.canvas.view.scene.transform
        x, y, _, w = scene.map([*world[::-1], 0, 1])
        return QPointF(x / w, y / w)

    @staticmethod
    def _send(native: QWidget, kind: Any, place: QPointF, button: Any, held: Any) -> None:
        on_screen = QPointF(native.mapToGlobal(place.toPoint()))
        event = QMouseEvent(kind, place, on_screen, button, held, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(native, event)

    def fill_by_hand(
        self, layer: Any, index: int, shape: npt.NDArray[np.bool_], brush_mm: float
    ) -> None:
        """Paint a (Y, X) shape in an axial slice with a brush of that diameter, row by row."""
        for stroke in strokes_over(shape, max(1, int(brush_mm / layer.scale[-1]))):
            self.drag(layer, [(index, y, x) for y, x in stroke])

    def picture(self, name: str) -> Path:
        """The whole window as a PNG."""
        self.rest(0.3)
        path = self.folder / f"{name}.png"
        self.viewer.window._qt_window.grab().save(str(path))
        return path


def strokes_over(shape: npt.NDArray[np.bool_], brush: int) -> list[list[tuple[float, float]]]:
    """Strokes, as lists of (y, x), that cover a shape with a round brush and stay inside it.

    As a person does: once around along the border, then the inside.
    """
    from scipy import ndimage as ndi

    parts, count = ndi.label(shape)
    strokes = []
    for number in range(1, count + 1):
        one = parts == number
        inside = ndi.distance_transform_edt(one) >= brush / 2
        if inside.any():
            strokes += [*_outlines(inside), _rows(inside, max(2, brush // 2))]
        else:
            y, x = np.argwhere(one).mean(axis=0)
            strokes.append([(y, x), (y, x)])
    return strokes


def _outlines(inside: npt.NDArray[np.bool_]) -> list[list[tuple[float, float]]]:
    """Around each part, a point every few pixels."""
    from skimage.measure import find_contours

    return [
        [(float(y), float(x)) for y, x in (*(line[::5] - 1), line[-1] - 1)]
        for line in find_contours(np.pad(inside, 1).astype(float), 0.5)
        if len(line) > 8
    ]


def _rows(inside: npt.NDArray[np.bool_], step: int) -> list[tuple[float, float]]:
    """There and back over the rows of a shape, the last row too."""
    rows = np.flatnonzero(inside.any(axis=1))
    chosen = [*rows[::step], rows[-1]]
    path: list[tuple[float, float]] = []
    for number, y in enumerate(chosen):
        xs = np.flatnonzero(inside[y])
        ends = (xs[0], xs[-1]) if number % 2 == 0 else (xs[-1], xs[0])
        path += [(float(y), float(x)) for x in np.linspace(*ends, 4)]
    return path
