"""A mouse over one view of the mask: what it does there becomes places in voxels.

napari's own picker is the mode behind all our tools: in it the mouse moves no view, no
double-click zooms, no Alt-drag draws a zoom box, and nothing paints into napari's own history.
What it does on a click is taken out of the layer's callbacks.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels

from napari_medseg.correction.brush import Place
from napari_medseg.correction.record import Box
from napari_medseg.correction.record import Labels as Voxels
from napari_medseg.widgets.brush_state import PICKS, ROUND, Tool
from napari_medseg.widgets.outline_layer import OutlineLayer
from napari_medseg.widgets.strokes import OURS

if TYPE_CHECKING:
    from napari_medseg.widgets.brush_tool import BrushTool

IDLE, CARRIER = "pan_zoom", OURS  # napari's modes
STANDS_FOR = {  # napari's mode, and which of our tools stands for it
    "paint": Tool.BRUSH,
    "erase": Tool.ERASER,
    "polygon": Tool.POLYGON,
    "fill": Tool.FILL,
}
LEFT, RIGHT = 1, 2


class Hand:
    """One view in which the brush works; `close` takes it out."""

    def __init__(self, tool: BrushTool, viewer: ViewerModel, layer: Labels) -> None:
        self.tool, self.viewer, self.layer = tool, viewer, layer
        self.outline = OutlineLayer(viewer, layer)
        self._held = False  # Space: the mouse moves the view for a while
        self._taking = False
        self._turn = 0  # of the presses
        layer.mouse_drag_callbacks.append(self._drag)
        layer.mouse_move_callbacks.append(self._move)
        layer.mouse_wheel_callbacks.append(self._wheel)
        layer.mouse_double_click_callbacks.append(self._double)
        layer.events.mode.connect(self._on_mode)
        layer.events.brush_size.connect(self._on_size)
        layer.events.n_edit_dimensions.connect(self._on_dimensions)
        viewer.dims.events.ndisplay.connect(self.take_up)
        viewer.layers.selection.events.active.connect(self._on_active)
        self.take_up()

    def close(self) -> None:
        """Let the layer go, as napari had it."""
        layer = self.layer
        self.outline.hide()
        for callbacks, own in (
            (layer.mouse_drag_callbacks, self._drag),
            (layer.mouse_move_callbacks, self._move),
            (layer.mouse_wheel_callbacks, self._wheel),
            (layer.mouse_double_click_callbacks, self._double),
        ):
            if own in callbacks:
                callbacks.remove(own)
        layer.events.mode.disconnect(self._on_mode)
        layer.events.brush_size.disconnect(self._on_size)
        layer.events.n_edit_dimensions.disconnect(self._on_dimensions)
        self.viewer.dims.events.ndisplay.disconnect(self.take_up)
        self.viewer.layers.selection.events.active.disconnect(self._on_active)
        self._set_mode(IDLE)

    # -- what napari is told ------------------------------------------------------------------

    def take_up(self, event: Any = None) -> None:
        """Let the mouse do what the tool in hand does, and show its cursor."""
        brush = self.tool.state.now
        if brush.tool is Tool.PAN or self._held or self.axis is None:
            if str(self.layer.mode) == CARRIER:
                self._set_mode(IDLE)
            return
        self._set_mode(CARRIER)
        self.layer.cursor_size = brush.size_mm
        self.layer.cursor = "circle" if brush.tool in ROUND else "cross"

    def redraw(self, labels: Voxels | None = None, box: Box | None = None) -> None:
        """Show again what changed inside a box of the mask; None: all of the slice.

        napari tells the canvas of its own strokes by the same event; it carries what lies in the
        box as the canvas holds it, which is the labels themselves where they are bytes. A whole
        slice takes 3 ms more.
        """
        piece = None if labels is None or box is None else self._piece(labels, box)
        if piece is None:
            self.layer.refresh(extent=False, thumbnail=False, highlight=False)
        else:
            self.layer.events.labels_update(data=piece[0], offset=piece[1])

    def _piece(self, labels: Voxels, box: Box) -> tuple[Voxels, list[int]] | None:
        """The viewed slice of a box, turned as the view is, and where it begins there."""
        viewed, layer = viewed_slice(self.viewer, self.layer), self.layer
        if viewed is None or labels.dtype != np.uint8 or layer.contour or not layer.loaded:
            return None
        axis, index = viewed
        if not box[axis].start <= index < box[axis].stop:
            return None
        dims = self.viewer.dims
        rows, columns = (int(one) - (dims.ndim - 3) for one in dims.order[-2:])
        part = labels[box].take(index - box[axis].start, axis)
        return (part.T if rows > columns else part), [box[rows].start, box[columns].start]

    def _set_mode(self, mode: str) -> None:
        self._taking = True
        try:
            self.layer.mode = mode
        finally:
            self._taking = False
        self._strip()

    def _strip(self) -> None:
        """Away with what napari's picker does; it stands behind ours after a change of mode."""
        calls = self.layer.mouse_drag_callbacks
        if str(self.layer.mode) == CARRIER:
            for call in [one for one in calls if getattr(one, "__name__", "") == CARRIER]:
                calls.remove(call)

    def _on_mode(self, event: Any) -> None:
        """napari's own buttons and keys take up our tools."""
        mode = str(self.layer.mode)
        if self._taking or not self.layer.visible:
            return  # napari itself puts the mode of a hidden layer aside, and back again
        event.blocked = True  # nobody shall see a mode that lasts no longer than this event
        if mode in STANDS_FOR:
            self.tool.state.set(tool=STANDS_FOR[mode])
        elif mode == CARRIER and self.tool.state.now.tool is Tool.PAN:
            self.tool.state.set(tool=Tool.LABEL)
        elif mode != CARRIER:
            event.blocked = False
            self.tool.state.set(tool=Tool.PAN)
        self.take_up()

    def _on_size(self, event: Any = None) -> None:
        """napari's own slider, in voxels."""
        self.tool.state.set(size_mm=self.layer.brush_size * self.finest_mm)

    def _on_dimensions(self, event: Any = None) -> None:
        self.tool.state.set(ball=self.layer.n_edit_dimensions == 3)

    def _on_active(self, event: Any = None) -> None:
        """napari tells the layer nothing more of a drag that began on it."""
        gone = self.viewer.layers.selection.active is not self.layer and not self.outline.coming
        if gone and self.tool.busy(self):
            self._turn += 1
            self.tool.release(self)

    def hold(self) -> None:
        """The mouse moves the view until `let_go`."""
        self._held = True
        self.take_up()

    def let_go(self) -> None:
        self._held = False
        self.take_up()

    # -- where things are ---------------------------------------------------------------------

    @property
    def finest_mm(self) -> float:
        return float(np.min(np.abs(self.layer.scale)))

    @property
    def axis(self) -> int | None:
        """Across which axis of the mask the view cuts; None in 3-D."""
        return axis_of(self.viewer)

    def place(self, event: Any) -> Place:
        """Where the mouse is, in voxels, in the viewed slice."""
        found = np.asarray(self.layer.world_to_data(event.position[-3:]), float)
        if self.axis is not None:
            last = self.layer.data.shape[self.axis] - 1
            found[self.axis] = min(max(round(found[self.axis]), 0), last)
        return found

    # -- the mouse ----------------------------------------------------------------------------

    def _drag(self, layer: Labels, event: Any) -> Generator[None, None, None] | None:
        if self.tool.state.now.tool is Tool.PAN or self._held or self.axis is None:
            return None
        if event.button == RIGHT or (event.button == LEFT and "Alt" in event.modifiers):
            return self._resize(event) if not event.modifiers or "Alt" in event.modifiers else None
        if event.button != LEFT or "Shift" in event.modifiers:
            return None
        if not layer.editable and self.tool.state.now.tool not in PICKS:
            self.tool.refuse()
            return None
        return self._use(event)

    def _use(self, event: Any) -> Generator[None, None, None]:
        """From press to release; a press whose release was never told ends with the next one."""
        self._turn += 1
        turn = self._turn
        self.tool.press(self, self.place(event), "Control" in event.modifiers)
        try:
            yield
            while event.type == "mouse_move":
                if turn == self._turn:
                    self.tool.drag(self, self.place(event))
                yield
            if turn == self._turn:  # the last moves before it may not be told
                self.tool.drag(self, self.place(event))
        finally:
            if turn == self._turn:
                self.tool.release(self)

    def _resize(self, event: Any) -> Generator[None, None, None]:
        began, size = float(event.pos[0]), self.tool.state.now.size_mm
        self.layer.cursor = "circle_frozen"
        try:
            yield
            while event.type == "mouse_move":
                moved = (float(event.pos[0]) - began) / event.camera_zoom
                self.tool.state.set(size_mm=size + 2 * moved)
                self.layer.cursor = "circle_frozen"
                yield
        finally:
            self.take_up()

    def _move(self, layer: Labels, event: Any) -> None:
        if self.tool.state.now.tool is Tool.POLYGON:
            self.tool.hover(self, self.place(event))

    def _double(self, layer: Labels, event: Any) -> None:
        if self.tool.state.now.tool is Tool.POLYGON:
            self.tool.close_outline()

    def _wheel(self, layer: Labels, event: Any) -> None:
        if "Shift" in event.modifiers and self.tool.state.now.tool is not Tool.PAN:
            notches = float(np.sum(event.delta))
            self.tool.state.grow(float(np.clip(notches, -1, 1)))


def axis_of(viewer: ViewerModel) -> int | None:
    """Across which of the last three axes a view cuts; None in 3-D."""
    dims = viewer.dims
    if dims.ndisplay != 2:
        return None
    axis = dims.order[-3] - (dims.ndim - 3)
    return int(axis) if 0 <= axis < 3 else None


def viewed_slice(viewer: ViewerModel, layer: Labels) -> tuple[int, int] | None:
    """(axis, index) of the slice of a layer on the screen; None in 3-D."""
    axis = axis_of(viewer)
    if axis is None:
        return None
    position = float(layer.world_to_data(viewer.dims.point[-3:])[axis])
    return axis, min(max(round(position), 0), layer.data.shape[axis] - 1)
