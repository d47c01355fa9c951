"""The outline that is being drawn, as a layer of short lines: light enough to follow the hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Labels, Vectors

NAME = "outline"
COLOR = "#ffd23f"
WIDTH_PX = 2.0


class OutlineLayer:
    """A closed line above a mask, in one viewer; there only while something is drawn."""

    def __init__(self, viewer: ViewerModel, mask: Labels) -> None:
        self._viewer, self._mask = viewer, mask
        self._layer: Vectors | None = None
        self.coming = False  # while napari makes a new layer the active one

    def show(self, corners: npt.NDArray[np.float64]) -> None:
        """Draw the line; float (N, 3), voxels (z, y, x)."""
        ends = np.roll(corners, -1, axis=0)
        lines = np.stack([corners, ends - corners], axis=1)
        if self._layer is None:
            self._layer = self._add(lines)
        else:
            self._layer.data = lines

    def hide(self) -> None:
        """Take it away."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            active = self._viewer.layers.selection.active
            self._viewer.layers.remove(layer)
            if active is self._mask:
                self._viewer.layers.selection.active = active

    def _add(self, lines: npt.NDArray[Any]) -> Vectors:
        mask = self._mask
        finest = float(np.min(np.abs(mask.scale)))
        width = WIDTH_PX / self._viewer.scene.camera.zoom / finest
        layer = Vectors(
            lines,
            name=NAME,
            vector_style="line",
            edge_color=COLOR,
            edge_width=width,
            scale=mask.scale,
            translate=mask.translate,
            units=mask.units,
            axis_labels=mask.axis_labels,
        )
        self.coming = True
        self._viewer.add_layer(layer)
        self._viewer.layers.selection.active = mask
        self.coming = False
        return layer
