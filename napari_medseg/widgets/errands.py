"""Next error: goes to the most doubtful place, and proposes a fix where one is plain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_medseg.correction.edit import Aim, Edit, Scene
from napari_medseg.correction.tools.tool import Tool, Wants
from napari_medseg.jobs import Job, Progress
from napari_medseg.widgets.runs import Run

if TYPE_CHECKING:
    from napari_medseg.correction.tools.doubts import Doubt
    from napari_medseg.widgets.desk import Desk
    from napari_medseg.widgets.tool_run import ToolRun

NONE_LEFT = "No doubtful place is left that you have not seen."


@dataclass(frozen=True)
class NoKnobs:
    """Nothing to turn."""


class NextError(QObject):
    """One walk through the doubtful places of the open mask, the worst first.

    Signals
    -------
    changed
        It looks for places, or is at another one.
    """

    changed = Signal()

    def __init__(self, desk: Desk, smart: ToolRun) -> None:
        super().__init__(desk)
        self._desk, self._smart = desk, smart
        self.said = ""
        self._seen: set[tuple[Any, ...]] = set()
        self._run = Run(self, desk.stroke_is_on)
        self._run.changed.connect(self._on_run)
        desk.case_changed.connect(self._on_case)

    @property
    def busy(self) -> bool:
        return self._run.running

    def go_on(self) -> None:
        """To the next place; what was proposed at the last one is left as it is."""
        editor, case = self._desk.workbench.editor, self._desk.case
        if editor is None or case is None or self.busy:
            return
        self._smart.put_away()
        names = {label.value: label.name for label in case.names}
        self._run.start(_looked(editor.scene(), names))

    def _on_case(self) -> None:
        self._run.stop()
        self._seen.clear()
        self.said = ""
        self.changed.emit()

    def _on_run(self) -> None:
        if not self._run.running and self._run.result is not None:
            places, self._run.result = self._run.result, None
            self._go_to(next((one for one in places if _known_as(one) not in self._seen), None))
        self.changed.emit()

    def _go_to(self, doubt: Doubt | None) -> None:
        if doubt is None:
            self.said = NONE_LEFT
            self._seen.clear()  # the next walk begins anew
            return
        self._seen.add(_known_as(doubt))
        self.said = doubt.why
        layer = self._desk.labels
        if layer is None:
            return
        layer.selected_label = doubt.label
        self._desk.look_at(doubt.voxel)
        if doubt.edit is not None:
            before = layer.data[doubt.edit.box].copy()
            self._smart.choose(_fix(doubt.edit, before, str(doubt.kind), doubt.why))
            self._smart.preview()


def _looked(scene: Scene, names: dict[int, str]) -> Job[tuple[Doubt, ...]]:
    from napari_medseg.correction.tools.doubts import doubts

    yield Progress(0, 0, "Looking for doubtful places")
    return doubts(scene, names)


def _known_as(doubt: Doubt) -> tuple[Any, ...]:
    return doubt.kind, doubt.label, tuple(doubt.voxel)


def _fix(edit: Edit, before: Any, kind: str, why: str) -> Tool:
    """The fix of one place as a tool, so that it is looked at, taken or left like any other.

    Voxels that are not as `before` any more somebody has put right already.
    """

    def run(scene: Scene, aim: Aim, knobs: NoKnobs) -> Edit:
        now = scene.labels[edit.box]
        return Edit(edit.box, np.where(now == before, edit.labels, now), edit.said)

    return Tool(f"fix: {kind}", "Next error", why, Wants.NOTHING, NoKnobs(), run)
