"""A smart tool at work: what is pointed at, its proposal as a preview, and the yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils import DirectLabelColormap
from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.correction.edit import Aim
from napari_medseg.correction.forbidden import Forbidden
from napari_medseg.correction.tools.tool import (
    Proposal,
    Tool,
    Wants,
    fitted,
    propose,
    still_fits,
)
from napari_medseg.widgets.brush_hand import viewed_slice
from napari_medseg.widgets.layers import KEY, Origin
from napari_medseg.widgets.pointer import Pointer
from napari_medseg.widgets.preview_colors import preview_colors
from napari_medseg.widgets.ruling import why_nothing
from napari_medseg.widgets.runs import Run

if TYPE_CHECKING:
    from napari_medseg.widgets.desk import Desk

NAME = "proposal"
OPACITY = 0.75
NO_POINTS = np.zeros((0, 3), np.int64)
AGAIN_MS = 120  # after a knob was turned or the mask changed


class _ProposeRun(Run):
    """A tool that computes; `proposed` brings a first answer, `forbade` the rules against it."""

    proposed = Signal(object)
    forbade = Signal(object)

    def take(self, event: object) -> None:
        if isinstance(event, Proposal):
            self.proposed.emit(event)
        elif isinstance(event, Forbidden):
            self.forbade.emit(event)
        else:
            super().take(event)


class ToolRun(QObject):
    """One tool of one desk; the dock shows it, closing the dock changes nothing.

    Signals
    -------
    changed
        Another tool, another proposal, or one that is being computed.
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self.tool: Tool | None = None
        self.knobs: Any = None
        self.proposal: Proposal | None = None
        self.said = ""
        self._aim: Aim | None = None
        self._seeds: dict[int, npt.NDArray[np.int64]] = {}
        self._layer: Labels | None = None
        self._anchors = NO_POINTS
        self._applying = self._again = self._ends = False
        self._run = _ProposeRun(self)
        self._run.changed.connect(self._on_run)
        self._run.proposed.connect(self._show)
        self._run.forbade.connect(self._on_forbidden)
        self._pointer = Pointer(self)
        self._pointer.pointed.connect(self._on_pointed)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(AGAIN_MS)
        self._soon.timeout.connect(self._compute)
        desk.case_changed.connect(self.put_away)
        desk.corrected.connect(self._on_mask_changed)

    @property
    def busy(self) -> bool:
        """Whether a proposal is being computed."""
        return self._run.running

    def choose(self, tool: Tool) -> None:
        """Take a tool up; what it wants to be shown is drawn on the mask's layer."""
        self.cancel()
        self.tool, self.knobs = tool, tool.knobs
        if (case := self._desk.case) is not None:
            self.knobs = fitted(tool.knobs, case.volume.geometry.spacing_mm)
        layer = self._desk.labels
        if layer is not None:
            self._desk.select_labels()
            self._pointer.watch(self._desk.brush.layers, tool.wants)
        self.changed.emit()

    def put_away(self) -> None:
        """No tool is in hand."""
        self.tool = None
        self._pointer.let_go()
        self.cancel()

    def turn(self, knobs: Any) -> None:
        """Other knobs: what is proposed follows."""
        self.knobs = knobs
        if self._aim is not None:
            self._soon.start()

    def preview(self) -> None:
        """Propose something for what was shown so far; a tool that wants nothing may begin."""
        self._aim_at(NO_POINTS)

    def apply(self) -> bool:
        """Write the proposal, as one step; False where there is none that is whole."""
        editor, proposal = self._desk.workbench.editor, self.proposal
        tool, aim = self.tool, self._aim
        if editor is None or proposal is None or tool is None or aim is None:
            return False
        if not proposal.final:
            return False
        edit = still_fits(proposal, editor.scene())
        self._applying = True
        try:
            if edit is not None:
                editor.apply(edit, tool.name, aim.label)
        finally:
            self._applying = False
        self._forget()
        if edit is not None and tool.goes_on:
            self._go_on(aim, tool.goes_on)
        return edit is not None

    def _go_on(self, aim: Aim, slices: int) -> None:
        """To the slice that was written, at the same place in it."""
        desk = self._desk
        if desk.labels is not None:
            point = desk.viewer.dims.point[-3:] if desk.views is None else desk.views.at
            voxel = np.rint(desk.labels.world_to_data(point)).astype(int)
            voxel[aim.axis] = aim.index + slices
            desk.look_at(voxel.tolist())

    def finish(self) -> bool:
        """As `apply`; a line of clicks that is still being computed is written once it is there."""
        clicks = self.tool is not None and self.tool.wants is Wants.ANCHORS
        if clicks and self._aim is not None and (self.busy or self._soon.isActive()):
            self._ends = True
            return True
        return self.apply()

    def step_back(self) -> bool:
        """The last click of a line never was; whether there was one."""
        if not len(self._anchors) or self._aim is None:
            return False
        self._anchors = self._anchors[:-1]
        if len(self._anchors):
            self._aim_at(self._anchors, (self._aim.axis, self._aim.index))
        else:
            self.cancel()
        return True

    def cancel(self) -> None:
        """Propose nothing; the mask is as it was."""
        self._run.stop()
        self._forget()

    def _forget(self) -> None:
        self._soon.stop()
        self._aim, self._seeds, self._anchors = None, {}, NO_POINTS
        self._again = self._ends = False
        self.proposal, self.said = None, ""
        self._hide()
        self.changed.emit()

    # -- pointing -----------------------------------------------------------------------------

    def _on_pointed(self, points: npt.NDArray[np.int64], layer: Labels) -> None:
        if self.tool is not None and self.tool.wants is Wants.SEEDS:
            before = self._seeds.get(self._chosen(), np.zeros((0, 3), np.int64))
            self._seeds[self._chosen()] = np.concatenate([before, points])
        hand = self._desk.brush.hand_of(layer)
        viewed = None if hand is None else viewed_slice(hand.viewer, layer)
        if viewed is not None:  # in 3-D no slice is meant
            self._aim_at(self._line(points, viewed), viewed)

    def _line(self, points: npt.NDArray[np.int64], viewed: tuple[int, int]) -> Any:
        """All clicks in this slice, for a tool that wants them; a click elsewhere begins anew."""
        if self.tool is None or self.tool.wants is not Wants.ANCHORS:
            return points
        if self._aim is None or (self._aim.axis, self._aim.index) != viewed:
            self._anchors = NO_POINTS
        self._anchors = np.concatenate([self._anchors, points[:1]])
        return self._anchors

    def _aim_at(self, points: npt.NDArray[np.int64], viewed: tuple[int, int] | None = None) -> None:
        axis, index = viewed or self._desk.toolbox.focus.viewed() or (0, 0)
        self._aim = Aim(self._chosen(), axis, index, points, dict(self._seeds))
        self._compute()

    def _chosen(self) -> int:
        return 0 if self._desk.labels is None else int(self._desk.labels.selected_label)

    # -- computing ----------------------------------------------------------------------------

    def _compute(self) -> None:
        """Propose; where an older proposal is still being computed, right after it."""
        editor = self._desk.workbench.editor
        if self.tool is None or self._aim is None or editor is None:
            return
        if self._run.running:
            self._again = True
            self._run.stop()
            return
        self.said = ""
        scene = editor.scene()
        self._run.start(propose(self.tool, scene, self._aim, self.knobs, editor.rules))

    def _on_run(self) -> None:
        if self._run.worker is not None:  # it runs, or its end is not all told yet
            self.changed.emit()
            return
        if self._again:
            self._again = False
            self._compute()
            return
        if self._aim is not None and self._run.ended_early is None:
            self._show(self._run.result)
            if self._run.result is None:
                self._nothing()
        self.changed.emit()
        if self._ends and self.proposal is not None:
            self._desk.try_to(self.apply)
        self._ends = False

    def _nothing(self) -> None:
        self.proposal, self.said = None, self.said or "Nothing would change."
        self._hide()

    def _on_forbidden(self, rules: Forbidden) -> None:
        case = self._desk.case
        self.said = why_nothing(rules, () if case is None else case.names)

    def _on_mask_changed(self) -> None:
        """A stroke, an undo: the proposal was made for another mask."""
        if self._aim is not None and not self._applying:
            self._soon.start()

    # -- showing ------------------------------------------------------------------------------

    def _show(self, event: object) -> None:
        """The proposal as a layer on top of the mask."""
        mask, case = self._desk.labels, self._desk.case
        if not isinstance(event, Proposal) or self._aim is None or mask is None or case is None:
            return
        self.proposal = event
        if event.voxels or not self.said:
            self.said = event.edit.said or f"{event.voxels} voxels would change."
        self._hide()
        kinds, start = shown(event)
        self._layer = Labels(
            kinds,
            name=NAME,
            scale=mask.scale,
            translate=np.asarray(mask.translate) + start * np.asarray(mask.scale),
            units=mask.units,
            axis_labels=mask.axis_labels,
            opacity=OPACITY,
            colormap=DirectLabelColormap(color_dict=preview_colors(case.names)),
            metadata={KEY: Origin(case.turn, derived=True)},
        )
        self._layer.editable = False
        self._desk.viewer.add_layer(self._layer)
        self._desk.select_labels()
        self.changed.emit()

    def _hide(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._desk.viewer.layers:
            self._desk.viewer.layers.remove(layer)


def shown(proposal: Proposal) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """What is drawn of a proposal, in kinds of change, and the voxel (z, y, x) of its corner."""
    drawn = proposal.edit.drawn
    if drawn is None:
        return proposal.kinds, np.array([part.start for part in proposal.box])
    start = drawn[:, :3].min(0)
    kinds = np.zeros(drawn[:, :3].max(0) - start + 1, np.uint8)
    kinds[tuple((drawn[:, :3] - start).T)] = drawn[:, 3]
    return kinds, start
