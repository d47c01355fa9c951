"""Brush, eraser, pencil, lasso, polygon, scissors and fill on the open case, in any of its views.

Whatever is drawn is written into the case's own array under the editor's rules, and becomes one
step of its history when the hand lets go. napari's own history hears of nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.correction.brush import Place, footprint, line
from napari_medseg.correction.edit import Edit, Extent, Reach
from napari_medseg.correction.forbidden import forbidden_of
from napari_medseg.correction.outline import fill_outline, pour, scissors
from napari_medseg.correction.paint import Paint, grey_range
from napari_medseg.errors import MedsegError
from napari_medseg.widgets.brush_hand import Hand
from napari_medseg.widgets.brush_state import OUTLINES, STROKES, BrushState, Tool
from napari_medseg.widgets.notices import tell_error, warn
from napari_medseg.widgets.ruling import why_nothing
from napari_medseg.workbench import Case, Workbench
from napari_medseg.workbench.editor import Editor

THUMBNAIL_MS = 250  # after the last stroke
FIRST_VOXELS = 10  # as wide is the brush of the first scan, as napari's
DRAGGED = (Tool.LASSO, Tool.SCISSORS)


@dataclass(eq=False)
class _Stroke:
    """One press of a brush; `last` is where the hand was, None after a change of slice."""

    hand: Hand
    paint: Paint
    tool: Tool
    last: Place | None = None
    axis: int = 0


@dataclass(eq=False)
class _Drawn:
    """An outline that is being drawn in one slice."""

    hand: Hand
    axis: int
    index: int
    erases: bool
    corners: list[Place] = field(default_factory=list)


class BrushTool(QObject):
    """One tool in the hand for all views of a case.

    Signals
    -------
    stepped
        A step of the open case was done, taken back or done again.
    ruled
        The rules of the case are others.
    said
        A sentence for the user; "" for none.
    """

    stepped = Signal()
    ruled = Signal()
    said = Signal(str)

    def __init__(self, bench: Workbench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        self.bind_keys: Callable[[Labels], None] = _unbound
        self.state = BrushState(self)
        self.state.changed.connect(self._on_state)
        self._before = self.state.now
        self._told = ""  # why the last stroke painted nothing
        self._sized = False  # whether the size was fitted to a first scan
        self._hands: list[Hand] = []
        self._heard: Editor | None = None
        self._stroke: _Stroke | None = None
        self._drawn: _Drawn | None = None
        self._thumbnails = QTimer(self)
        self._thumbnails.setSingleShot(True)
        self._thumbnails.setInterval(THUMBNAIL_MS)
        self._thumbnails.timeout.connect(self._show_thumbnails)

    @property
    def stroke_is_on(self) -> bool:
        """Whether a button is held while voxels are written."""
        return self._stroke is not None

    def busy(self, hand: Hand) -> bool:
        """Whether this hand has a button down and writes or draws."""
        stroke, drawn = self._stroke, self._drawn
        draws = drawn is not None and drawn.hand is hand and self.state.now.tool in DRAGGED
        return draws or (stroke is not None and stroke.hand is hand)

    @property
    def editor(self) -> Editor | None:
        return self._bench.editor

    # -- views --------------------------------------------------------------------------------

    def attach(self, viewer: ViewerModel, layer: Labels) -> None:
        """Let the tools work on a layer that shares its array with the open case."""
        if self.editor is not None and self.editor is not self._heard:
            self._heard = self.editor
            self.editor.history_changed.connect(self._on_step)
        hand = Hand(self, viewer, layer)
        self._hands.append(hand)
        self.state.smallest_mm = hand.finest_mm
        if not self._sized:
            self._sized = True
            self.state.set(size_mm=FIRST_VOXELS * hand.finest_mm)
        self._bind()

    @property
    def layers(self) -> list[Labels]:
        """The layers of the open mask that can be painted on, one a view."""
        return [hand.layer for hand in self._hands]

    def hand_of(self, layer: Labels) -> Hand | None:
        """The hand over a layer; None where there is none."""
        return next((one for one in self._hands if one.layer is layer), None)

    def _bind(self) -> None:
        """With each tool anew: another one may have taken Enter and Escape meanwhile."""
        for hand in self._hands:
            self.bind_keys(hand.layer)

    def detach(self, layer: Labels) -> None:
        """Let a layer go; a stroke on it ends."""
        for hand in [one for one in self._hands if one.layer is layer]:
            self.finish(hand)
            self._hands.remove(hand)
            hand.close()

    def _on_step(self) -> None:
        self.stepped.emit()

    def hold(self) -> None:
        """The mouse moves the views until `let_go`."""
        for hand in self._hands:
            hand.hold()

    def let_go(self) -> None:
        for hand in self._hands:
            hand.let_go()

    def _on_state(self) -> None:
        if self.state.now.tool is not self._before.tool:
            self._forget_outline()
            self.said.emit("")
            if self.state.now.tool is not Tool.PAN:
                self._bind()
        self._before = self.state.now
        for hand in self._hands:
            hand.take_up()

    # -- the hand -----------------------------------------------------------------------------

    def press(self, hand: Hand, place: Place, erases: bool) -> None:
        """The left button goes down."""
        self.finish()
        tool, editor, axis = self.state.now.tool, self.editor, hand.axis
        if editor is None or axis is None:
            return
        if tool in STROKES:
            self._begin(hand, editor, tool, erases)
            self.drag(hand, place)
        elif tool in OUTLINES:
            self._add_corner(hand, axis, place, erases)
        elif (voxel := _voxel(place, editor.scene().shape)) is not None:
            self._click(hand, editor, axis, voxel, 0 if erases else _chosen(hand))

    def refuse(self) -> None:
        """The button goes down on a mask that cannot be painted: say why."""
        if self._bench.case is not None:
            _may_write(self._bench.case)

    def drag(self, hand: Hand, place: Place) -> None:
        """The mouse moves while the button is down."""
        stroke, drawn = self._stroke, self._drawn
        if stroke is not None and stroke.hand is hand:
            self._paint_to(stroke, place)
        elif drawn is not None and self.busy(hand):
            if not _same_slice(drawn, hand, place):
                self._forget_outline()
            elif np.abs(place - drawn.corners[-1]).max() > 0:
                drawn.corners.append(place)
                hand.outline.show(np.array(drawn.corners))

    def release(self, hand: Hand) -> None:
        """The button comes up."""
        if self._stroke is not None and self._stroke.hand is hand:
            self.finish()
        elif self.busy(hand):
            self.close_outline()

    def hover(self, hand: Hand, place: Place) -> None:
        """The mouse moves over a polygon that is not closed."""
        drawn = self._drawn
        if drawn is not None and drawn.hand is hand and _same_slice(drawn, hand, place):
            hand.outline.show(np.array([*drawn.corners, place]))

    # -- strokes ------------------------------------------------------------------------------

    def _begin(self, hand: Hand, editor: Editor, tool: Tool, erases: bool) -> None:
        chosen, case = _chosen(hand), self._bench.case
        value = 0 if erases or tool is Tool.ERASER else chosen
        if case is None or not _may_write(case):
            return
        case.previews.step_aside(case.tracker, value)
        paint = Paint(editor.scene(), editor.rules, value, chosen)
        self._stroke = _Stroke(hand, paint, tool)

    def _paint_to(self, stroke: _Stroke, place: Place) -> None:
        axis = stroke.hand.axis
        if axis is None:
            return
        last = stroke.last
        if last is None or axis != stroke.axis or place[axis] != last[axis]:
            last = place  # another slice: nothing is drawn from one to the other
        stroke.last, stroke.axis = place, axis
        brush, scene = self.state.now, stroke.paint
        if stroke.tool is Tool.PENCIL:
            found = line(last, place, scene.shape)
        else:
            across = None if brush.ball else axis
            spacing = scene.spacing_mm
            found = footprint(last, place, brush.size_mm / 2, spacing, scene.shape, across)
        if found is not None and scene.put(found):
            stroke.hand.redraw(scene.labels, found[0])

    def finish(self, hand: Hand | None = None) -> None:
        """A stroke that is on ends here, as one step; those of another hand go on."""
        stroke = self._stroke
        if stroke is None or (hand is not None and hand is not stroke.hand):
            return
        self._stroke = None
        box, case = stroke.paint.box, self._bench.case
        if case is None or case.labels is not stroke.paint.labels:
            return
        case.previews.come_back(case.tracker)
        self._say("" if box is not None else why_nothing(stroke.paint.forbidden, case.names))
        if box is not None:
            self._try(lambda: self._bench.commit(box, _name(stroke)))
            self._done()

    def cancel(self) -> None:
        """A stroke or an outline that is not done yet is taken back."""
        self._forget_outline()
        stroke, self._stroke = self._stroke, None
        case = self._bench.case
        if stroke is not None and case is not None and case.labels is stroke.paint.labels:
            stroke.paint.take_back()
            case.previews.come_back(case.tracker)
            stroke.hand.redraw()

    def _say(self, text: str) -> None:
        """In the panel; why nothing was painted also where the eyes are."""
        self.said.emit(text)
        if text and text != self._told:
            warn(text)
        self._told = text

    # -- outlines -----------------------------------------------------------------------------

    def _add_corner(self, hand: Hand, axis: int, place: Place, erases: bool) -> None:
        drawn = self._drawn
        if drawn is None or not _same_slice(drawn, hand, place):
            self._forget_outline()
            drawn = self._drawn = _Drawn(hand, axis, int(place[axis]), erases)
        if not drawn.corners or np.abs(place - drawn.corners[-1]).max() > 0:
            drawn.corners.append(place)
        hand.outline.show(np.array(drawn.corners))

    def close_outline(self) -> None:
        """Fill, erase or cut what the outline encloses."""
        drawn, editor = self._drawn, self.editor
        self._forget_outline()
        if drawn is None or editor is None or len(drawn.corners) < 3:
            return
        scene, brush, chosen = editor.scene(), self.state.now, _chosen(drawn.hand)
        outline = np.delete(np.array(drawn.corners), drawn.axis, axis=1)
        if brush.tool is Tool.SCISSORS:
            reach = self._slices(drawn, scene.shape[drawn.axis])
            edit = scissors(scene, outline, drawn.axis, chosen, brush.keep, reach)
        else:
            value = 0 if drawn.erases else chosen
            edit = fill_outline(scene, outline, drawn.axis, drawn.index, value)
        self._apply(editor, edit, str(brush.tool), chosen, drawn.hand)

    def step_back(self) -> None:
        """Take the last corner of a polygon away."""
        drawn = self._drawn
        if drawn is not None and self.state.now.tool is Tool.POLYGON:
            del drawn.corners[-1:]
            if drawn.corners:
                drawn.hand.outline.show(np.array(drawn.corners))
            else:
                self._forget_outline()

    def _slices(self, drawn: _Drawn, count: int) -> slice | None:
        around = self.state.now.around
        if around is None:
            return None
        return slice(max(drawn.index - around, 0), min(drawn.index + around + 1, count))

    def _forget_outline(self) -> None:
        drawn, self._drawn = self._drawn, None
        if drawn is not None:
            drawn.hand.outline.hide()

    # -- clicks -------------------------------------------------------------------------------

    def _click(
        self, hand: Hand, editor: Editor, axis: int, voxel: tuple[int, int, int], value: int
    ) -> None:
        scene, brush = editor.scene(), self.state.now
        if brush.tool is Tool.FILL:
            reach = Reach.VOLUME if brush.ball else Reach.SLICE
            edit = pour(scene, voxel, axis, value, reach)
            self._apply(editor, edit, "fill", _chosen(hand), hand)
        elif brush.tool is Tool.LABEL:
            if not scene.labels[voxel]:
                self.said.emit("That is background; click on a structure.")
                return
            hand.layer.selected_label = int(scene.labels[voxel])
            self.said.emit("")
            self.state.set(tool=Tool.BRUSH)
        elif brush.tool is Tool.GREY:
            disc = footprint(voxel, voxel, brush.size_mm / 2, scene.spacing_mm, scene.shape, axis)
            found = None if disc is None else grey_range(scene.image, disc, brush.spread)
            if found is not None:
                self.limit(*found)
                self.state.set(tool=Tool.BRUSH)

    def limit(self, low: float | None, high: float | None) -> None:
        """Change only voxels with grey values in a range from now on; None: no limit."""
        if self.editor is not None:
            self.editor.rules = replace(self.editor.rules, low=low, high=high)
            self.ruled.emit()

    def lock(self, value: int) -> None:
        """No rule lets this structure be changed from now on, or again."""
        if self.editor is not None and value:
            rules = self.editor.rules
            self.editor.rules = replace(rules, locked=rules.locked ^ {value})
            self.ruled.emit()

    def _apply(self, editor: Editor, edit: Edit | None, name: str, chosen: int, hand: Hand) -> None:
        """Write an edit as one step."""
        if edit is None:
            return
        case, done = self._bench.case, self._try(lambda: editor.apply(edit, name, chosen))
        forbade = forbidden_of(edit, editor.scene(), editor.rules, chosen)
        self._say("" if done is not None or case is None else why_nothing(forbade, case.names))
        hand.redraw()
        self._done()

    # -- steps --------------------------------------------------------------------------------

    def undo(self) -> None:
        """Take the last step back, of whatever tool."""
        self.finish()
        if self.editor is not None:
            self._try(self.editor.undo)
            self._redraw_all()

    def redo(self) -> None:
        """Do again what was taken back last."""
        self.finish()
        if self.editor is not None:
            self._try(self.editor.redo)
            self._redraw_all()

    def _redraw_all(self) -> None:
        for hand in self._hands:
            hand.redraw()
        self._thumbnails.start()

    def _done(self) -> None:
        self._thumbnails.start()

    def _show_thumbnails(self) -> None:
        if self.stroke_is_on:
            self._thumbnails.start()
            return
        for hand in self._hands[:1]:
            hand.layer.refresh(extent=False, highlight=False)

    @staticmethod
    def _try(call: Callable[[], object]) -> object:
        try:
            return call()
        except MedsegError as error:
            tell_error(error)
            return None


def _may_write(case: Case) -> bool:
    """Whether the case may be corrected; if not, the user is told."""
    try:
        case.check_writable()
    except MedsegError as error:
        tell_error(error)
        return False
    return True


def _chosen(hand: Hand) -> int:
    return int(hand.layer.selected_label)


def _name(stroke: _Stroke) -> str:
    return "eraser" if stroke.paint.value == 0 else str(stroke.tool)


def _same_slice(drawn: _Drawn, hand: Hand, place: Place) -> bool:
    return drawn.hand is hand and drawn.axis == hand.axis and place[drawn.axis] == drawn.index


def _voxel(place: Place, shape: Extent) -> tuple[int, int, int] | None:
    """The voxel at a place; None outside."""
    z, y, x = (int(n) for n in np.floor(place + 0.5))
    inside = 0 <= z < shape[0] and 0 <= y < shape[1] and 0 <= x < shape[2]
    return (z, y, x) if inside else None


def _unbound(layer: Labels) -> None:
    """No keys: nobody has given any yet."""
