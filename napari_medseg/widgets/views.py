"""The scan in four views: axial, coronal, sagittal and 3-D, with one cursor and one mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Layer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QLabel, QMainWindow

from napari_medseg.correction.store import data_folder
from napari_medseg.errors import MedsegError
from napari_medseg.widgets import readout, view_state, windowing
from napari_medseg.widgets.keys import KeyMap
from napari_medseg.widgets.look import Look, Place
from napari_medseg.widgets.sharing import Sharing
from napari_medseg.widgets.solid_view import SolidView
from napari_medseg.widgets.stage import Stage
from napari_medseg.widgets.twins import Twins
from napari_medseg.widgets.view_bar import ViewBar
from napari_medseg.widgets.view_pane import Eye, Pane, color_of, qt_viewer_of, title_of

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_medseg.widgets.desk import Desk

PLANES, SOLID = (1, 2), 3
READ_MS = 30  # the value under the mouse is said at most so often
FIT_MS = 30  # until a canvas has its new size
PaneCall = Callable[["ViewerModel", Labels], None]


class Views(QObject):
    """The views of one window; all of them show what the desk has open.

    Signals
    -------
    pane_added, pane_removed
        A viewer model and its layer of the open mask: tools work there too from now on, or no more.
    hovered
        A view's model, and the place of the patient under the mouse there, None outside.
    doubled
        A double-click while a smart tool is in the hand.
    moved
        The cursor.
    changed
        How the views are arranged and what is switched on.
    """

    pane_added = Signal(object, object)
    pane_removed = Signal(object, object)
    hovered = Signal(object, object)
    doubled = Signal()
    moved = Signal()
    changed = Signal()

    def __init__(self, desk: Desk, window: QMainWindow, keys: KeyMap | None = None) -> None:
        super().__init__(desk)
        main = qt_viewer_of(window, desk.viewer)
        if main is None:
            raise MedsegError("the window must be napari's, it has no canvas of this viewer")
        self.desk = desk
        self.state = view_state.load(data_folder())
        self.at: Place = np.zeros(3)
        self.panes: dict[int, Pane] = {}
        self._twins: dict[int, Twins] = {}
        self._painted: dict[int, Labels] = {}
        self._sharings: dict[Layer, Sharing] = {}
        self._solid: SolidView | None = None
        self._busy = self._closed = False
        self._hovered: Eye | None = None
        self._unit = ""
        self.main = Eye(desk.viewer, main, lambda: self.state.scrolls and self.open)
        self.status = QLabel()
        self.status.setMinimumWidth(1)  # a long line is cut, the window stays as it is
        self.bar = ViewBar(self)
        self._stage = Stage(
            window,
            main,
            self.main.header,
            (self.bar, self.bar.compare, self.bar.whose),
            self.status,
        )
        self._read_soon = self._once(READ_MS, self._read)
        self._fit_soon = self._once(FIT_MS, self.fit)
        self.keys = KeyMap(data_folder() / "keys.json", self) if keys is None else keys
        self.keys.register(*self.bar.commands())
        if keys is None:
            self.keys.attach(desk.viewer)
        self._connect()
        self._on_case()

    def _once(self, milliseconds: int, call: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(call)
        return timer

    def _connect(self) -> None:
        self._watch(self.main)
        self.desk.case_changed.connect(self._on_case)
        self.desk.workbench.labels_changed.connect(self._read_again)
        self._removed = self.desk.viewer.layers.events.removed
        self._removed.connect(self._on_removed)

    def _watch(self, eye: Eye, number: int = 0) -> None:
        eye.pointed.connect(self.go_to)
        eye.hovered.connect(lambda at: self._on_hovered(eye, at))
        eye.hovered.connect(lambda at: self.hovered.emit(eye.model, at))
        eye.doubled.connect(self.doubled)
        eye.stepped.connect(lambda steps: self.step(eye, steps))
        eye.windowed.connect(self.drag_window)
        eye.enlarge.connect(lambda: self.enlarge(number))
        eye.turned.connect(lambda: self._on_turned(eye))

    # -- which views ----------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether a scan is open, so that there is something to see."""
        return self.desk.labels is not None

    @property
    def four(self) -> bool:
        """Whether all views are there."""
        return self.state.four and self.open

    def show_four(self, on: bool) -> None:
        """All views, or napari's own alone."""
        if on and not self.panes:
            self._make()
        self.choose(four=on, enlarged=-1)

    def enlarge(self, number: int) -> None:
        """One view alone, or all again."""
        if self.four:
            self.choose(enlarged=-1 if self.state.enlarged == number else number)

    def enlarge_hovered(self) -> None:
        """The view under the mouse alone, or all again."""
        if self.state.enlarged >= 0:
            self.choose(enlarged=-1)
            return
        under = [n for n, pane in self.panes.items() if pane.underMouse()]
        self.enlarge(under[0] if under else 0)

    def choose(self, **choices: Any) -> None:
        """Change what is remembered: `four`, `enlarged`, `crosshair`, `linked`, `scrolls`."""
        self.state = replace(self.state, **choices)
        view_state.keep(self.state, data_folder())
        self._arrange()

    def _arrange(self) -> None:
        """Show what the state says."""
        self.bar.setVisible(self.open)
        self.status.setVisible(self.open)
        self._busy = True  # a view that comes to light says where it is before it was told
        self._stage.show(self.four and bool(self.panes), self.state.enlarged)
        self._busy = False
        if self._solid is not None:
            self._solid.set_on(self.four and self.state.enlarged in (-1, SOLID))
        self._tell()
        self._fit_soon.start()
        self.changed.emit()

    def _make(self) -> None:
        """The other views; they cost half a second each, so not before somebody wants them."""
        keys = self.main.canvas
        for number in (*PLANES, SOLID):
            pane = Pane(number, lambda: self.state.scrolls, keys)
            self.panes[number] = pane
            self._watch(pane.eye, number)
            self._stage.put(number, pane)
            if number in PLANES:
                self._twins[number] = Twins(
                    self.desk.viewer,
                    pane.model,
                    self.sharing,
                    _seen(pane.eye),
                    self.main.make_current,  # napari's own canvas may not be done with the layer
                )
        self._solid = SolidView(self.panes[SOLID].model, self.desk, self)
        self._adopt()

    def fit(self) -> None:
        """Show all of the scan in each view, and what changed while a view was not seen."""
        if self.main.seen:
            self.desk.viewer.reset_view()
        for pane in self.panes.values():
            if pane.seen:
                pane.fit()
        self._tell()
        for sharing in self._sharings.values():
            sharing.draw()

    # -- one mask --------------------------------------------------------------------------------

    def sharing(self, layer: Layer) -> Sharing:
        """Who shares a layer's array; the layer itself does."""
        if layer not in self._sharings:
            made = self._sharings[layer] = Sharing(self)
            made.add(layer, self.desk.viewer, _seen(self.main))
        return self._sharings[layer]

    def attach(self, call: PaneCall) -> None:
        """Call with each pane's viewer model and mask, those of now and those that come."""
        self.pane_added.connect(call)
        for number, layer in self._painted.items():
            call(self.panes[number].model, layer)

    def _adopt(self) -> None:
        """Let what is painted in the panes be noted, on the mask that is open now."""
        for number, twins in self._twins.items():
            copy = twins.copy_of(self.desk.labels)
            if self._painted.get(number) is not copy:
                self._let_go(number)
                if copy is not None and self.desk.painting is not None:
                    self._painted[number] = copy
                    self.desk.painting.watch(copy)
                    self.pane_added.emit(self.panes[number].model, copy)
        if self._solid is not None:
            self._solid.follow(None if self.desk.labels is None else self.sharing(self.desk.labels))

    def _let_go(self, number: int) -> None:
        layer = self._painted.pop(number, None)
        if layer is not None:
            if self.desk.painting is not None:
                self.desk.painting.watch_no_more(layer)
            self.pane_removed.emit(self.panes[number].model, layer)

    def _on_removed(self, event: Any) -> None:
        sharing = self._sharings.pop(event.value, None)
        if sharing is not None:
            sharing.close()
            sharing.deleteLater()

    def _on_case(self) -> None:
        if self._closed:
            return
        if self.open:
            if self.state.four and not self.panes:
                self._make()
            extent = self._corners()
            self.at = self._snapped((extent[0] + extent[1]) / 2)
            self._unit = "" if self.desk.case is None else readout.unit_of(self.desk.case.volume)
            look = self.main.look()
            if look is not None:
                self.at[look.order[0]] = look.depth
        self._adopt()
        self.bar.show_case()
        self._arrange()

    # -- one cursor ------------------------------------------------------------------------------

    def eyes(self) -> list[Eye]:
        """All views that show a plane and are seen."""
        panes = [self.panes[number].eye for number in PLANES if number in self.panes]
        return [eye for eye in (self.main, *panes) if eye.seen]

    def go_to(self, at: Place) -> None:
        """Move the cursor, and with it all views."""
        if self.open:
            self.at = self._snapped(at)
            self._tell()

    def step(self, eye: Eye, steps: int) -> None:
        """Turn slices in one view."""
        look, layer = eye.look(), self.desk.labels
        if look is None or layer is None:
            return
        at = self.at.copy()
        at[look.order[0]] = look.depth + steps * float(layer.scale[-3:][look.order[0]])
        self.go_to(at)

    def _corners(self) -> tuple[Place, Place]:
        layer = self.desk.labels
        assert layer is not None
        last = np.array(layer.data.shape) - 1
        return np.asarray(layer.data_to_world((0, 0, 0))), np.asarray(layer.data_to_world(last))

    def voxel(self, at: Place) -> tuple[int, int, int]:
        """The voxel (z, y, x) at a place; may lie outside of the scan."""
        layer = self.desk.labels
        assert layer is not None
        z, y, x = (round(float(n)) for n in layer.world_to_data(at))
        return z, y, x

    def _snapped(self, at: Place) -> Place:
        """The middle of the nearest voxel of the scan."""
        layer = self.desk.labels
        assert layer is not None
        last = np.array(layer.data.shape) - 1
        return np.array(layer.data_to_world(np.clip(self.voxel(at), 0, last)), np.float64)

    def _on_turned(self, eye: Eye) -> None:
        """A view went to another slice, or looks another way, by napari's own means."""
        if self._busy or not self.open:
            return
        look = eye.look()
        if look is not None and eye.seen:
            self.at[look.order[0]] = look.depth
            if self.state.linked:
                self._link(eye, look)
        self._tell()

    def _tell(self) -> None:
        """Let all views show the cursor."""
        if self._busy:
            return
        self._busy = True
        try:
            for eye in self.eyes():
                look = eye.look()
                if self.open and look is not None and look.depth != self.at[look.order[0]]:
                    eye.go_to(self.at)
                    look = eye.look()
                shown = self.open and self.state.crosshair and self.four
                eye.crosshair.point(look, self.at if shown else None)
                eye.letters.show(look if self.open else None)
                self._head(eye, look)
        finally:
            self._busy = False
        self._read_again()
        self.moved.emit()

    def _link(self, source: Eye, look: Look) -> None:
        """The other views at the same zoom, around the same place."""
        middle = self.at.copy()
        middle[[look.order[1], look.order[2]]] = look.center
        self._busy = True
        for eye in self.eyes():
            other = eye.look()
            if eye is not source and other is not None:
                camera = eye.model.scene.camera
                camera.zoom = look.zoom
                camera.center = (0.0, middle[other.order[1]], middle[other.order[2]])
        self._busy = False

    def _head(self, eye: Eye, look: Look | None) -> None:
        if look is None or self.desk.labels is None:
            eye.header.say(title_of(SOLID), color_of(SOLID), "")
            return
        axis = look.order[0]
        count = self.desk.labels.data.shape[axis]
        text = f"{self.voxel(self.at)[axis] + 1} / {count}   {self._depth_words(axis)}"
        eye.header.say(title_of(axis), color_of(axis), text)

    def _depth_words(self, axis: int) -> str:
        case = self.desk.case
        if case is None:
            return ""
        place = case.volume.geometry.world([self.voxel(self.at)])[0]
        return f"{'zyx'[axis]} {place[2 - axis]:.1f} mm"

    # -- what is under the mouse -----------------------------------------------------------------

    @property
    def hover(self) -> Place | None:
        """The place of the patient under the mouse; None where it is over no view."""
        eye = self._hovered
        return eye.under_mouse() if eye is not None and eye.seen else None

    def _on_hovered(self, eye: Eye, at: Place | None) -> None:
        self._hovered = None if at is None else eye
        self._read_again()

    def _read_again(self, *_: object) -> None:
        """Soon, and once for whatever happens until then."""
        if not self._read_soon.isActive():
            self._read_soon.start()

    def _read(self) -> None:
        case, editor = self.desk.case, self.desk.workbench.editor
        if case is None or not self.open or self._closed:
            return
        chances = {} if editor is None else editor.chances
        at = self.at if (under := self.hover) is None else under
        self.status.setText(readout.reading(case, self.voxel(at), chances, self._unit))

    # -- how it looks ----------------------------------------------------------------------------

    def set_window(self, low: float, high: float) -> None:
        """Show the grey values between two, in all views."""
        if self.desk.image is not None and low < high:
            self.desk.image.contrast_limits = (low, high)

    def drag_window(self, right: float, down: float) -> None:
        """The window after a drag of so many pixels."""
        if self.desk.image is not None:
            low, high = self.desk.image.contrast_limits
            self.set_window(*windowing.dragged((float(low), float(high)), right, down))

    def hide_mask(self, hidden: bool) -> None:
        """The scan without the mask, for as long as a key is held."""
        if self.desk.labels is not None:
            self.desk.labels.visible = not hidden

    def set_outline(self, on: bool) -> None:
        """Borders only, or filled."""
        if self.desk.labels is not None:
            self.desk.labels.contour = 1 if on else 0

    def close(self) -> None:
        """End all views but napari's own, which is left as it was."""
        if self._closed:
            return
        self._closed = True
        self._hovered = None
        self._removed.disconnect(self._on_removed)
        for timer in (self._read_soon, self._fit_soon):
            timer.stop()
        if self._solid is not None:
            self._solid.close()
        if isalive(self.main.canvas):  # type: ignore[no-untyped-call]
            self._take_down()
        else:  # Qt has taken the window and all that stands in it
            self._stage.forget()
            for eye in (self.main, *(pane.eye for pane in self.panes.values())):
                eye.forget()
        for mine in (self._painted, self._twins, self._sharings, self.panes):
            mine.clear()

    def _take_down(self) -> None:
        for number in list(self._painted):
            self._let_go(number)
        self.bar.close_bar()
        for twins in self._twins.values():
            twins.close()
        for sharing in self._sharings.values():
            sharing.close()
        self._stage.close()
        for pane in self.panes.values():
            pane.close_view()
        self.main.close()


def _seen(eye: Eye) -> Callable[[], bool]:
    return lambda: eye.seen
