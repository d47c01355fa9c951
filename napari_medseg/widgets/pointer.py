"""What a person shows a tool with the mouse: a click, a stroke or an outline, in voxels."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from napari_medseg.correction.tools.tool import Wants

STILL = (Wants.STROKE, Wants.OUTLINE, Wants.SEEDS, Wants.ANCHORS)  # the mouse moves no view
DRAWN = (Wants.STROKE, Wants.OUTLINE, Wants.SEEDS)
LEFT = 1

Points: TypeAlias = npt.NDArray[np.int64]


class Pointer(QObject):
    """Follows the left button on the mask; while something is to be drawn the view stays put.

    Signals
    -------
    pointed
        int64 (N, 3): the voxels from press to release, one for a click; and the layer.
    """

    pointed = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._layers: list[Labels] = []
        self._wants = Wants.NOTHING

    def watch(self, layers: Iterable[Labels], wants: Wants) -> None:
        """Begin to follow on the layers of some views."""
        self.let_go()
        if wants is Wants.NOTHING:
            return
        self._wants = wants
        for layer in layers:
            self._layers.append(layer)
            layer.mode = "pan_zoom"
            layer.mouse_pan = wants not in STILL
            layer.mouse_drag_callbacks.append(self._follow)
            layer.events.mode.connect(self._on_mode)

    def let_go(self) -> None:
        """Follow no more; the mouse moves the view again."""
        layers, self._layers = self._layers, []
        for layer in layers:
            layer.events.mode.disconnect(self._on_mode)
            if self._follow in layer.mouse_drag_callbacks:
                layer.mouse_drag_callbacks.remove(self._follow)
            layer.mouse_pan = str(layer.mode) == "pan_zoom"

    def _on_mode(self, event: Any = None) -> None:
        if any(layer.visible and str(layer.mode) != "pan_zoom" for layer in self._layers):
            self.let_go()  # a brush was taken up

    def _follow(self, layer: Labels, event: Any) -> Generator[None, None, None]:
        if event.button != LEFT or event.modifiers:
            return
        voxels = [self._voxel(layer, event)]
        yield
        moved = False
        while event.type == "mouse_move":
            moved = True
            if self._wants in DRAWN:
                voxels.append(self._voxel(layer, event))
            yield
        if self._wants in STILL or not moved:
            self.pointed.emit(self._inside(layer, voxels), layer)

    @staticmethod
    def _voxel(layer: Labels, event: Any) -> Points:
        place = np.asarray(layer.world_to_data(event.position[-3:]))
        voxel: Points = np.rint(place).astype(np.int64)
        return voxel

    @staticmethod
    def _inside(layer: Labels, voxels: list[Points]) -> Points:
        """The voxels within the mask, each step of the hand once."""
        points = np.array(voxels, np.int64)
        inside = ((points >= 0) & (points < layer.data.shape)).all(1)
        points = points[inside]
        new = np.ones(len(points), bool)
        new[1:] = (points[1:] != points[:-1]).any(1)
        kept: Points = points[new]
        return kept
