"""What the new model would change on the open scan: its mask beside the one that is there."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from qtpy.QtWidgets import QWidget

from napari_medseg.inference.config import PredictConfig
from napari_medseg.models.card import ModelCard
from napari_medseg.widgets import layers, style
from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.runs import Run
from napari_medseg.workbench.case import Case
from napari_medseg.workbench.rehearsal import rehearse

NAME = "new model"
TIP = "Segment this scan with the new model beside your mask, which stays as it is"


class BeforeAfter(QWidget):
    """A button that shows the candidate's mask against the open one, in the row *Compare*."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._asked: tuple[Case, ModelCard] | None = None
        self.layer: Labels | None = None
        self.run = Run(desk, desk.stroke_is_on)  # it outlives a dock that is closed
        self.see = style.button("See it on this scan", TIP)
        self.bar = style.bar()
        rows = style.column(self)
        rows.addWidget(self.see)
        rows.addWidget(self.bar)
        self.see.clicked.connect(self.toggle)
        self.run.changed.connect(self._show)
        desk.case_changed.connect(self._on_case)
        self._show()

    def toggle(self) -> None:
        """Start, or stop what runs."""
        if self.run.running:
            self.run.stop()
            return
        case, outcome = self._desk.case, self._desk.learning.result
        if case is not None and outcome is not None:
            self._asked = case, outcome.candidate
            self.run.start(rehearse(case, outcome.candidate, PredictConfig()))

    def clear(self) -> None:
        """Take the new model's mask away: it was decided."""
        self.run.stop()
        self._asked = None
        layer, self.layer = self.layer, None
        views = self._desk.views
        if layer is not None and views is not None and views.bar.compare.other is layer:
            views.bar.compare_no_more()
        if layer is not None and layer in self._desk.viewer.layers:
            self._desk.viewer.layers.remove(layer)

    def _on_case(self) -> None:
        self.clear()
        self._show()

    def _show(self) -> None:
        running = self.run.running
        self.see.setText("Stop" if running else "See it on this scan")
        self.see.setEnabled(self._desk.case is not None and not self.run.stopping)
        self.bar.setVisible(running)
        told = self.run.progress
        style.show_progress(self.bar, told.done if told else 0, told.total if told else 0)
        if not running and self.run.result is not None:
            labels, self.run.result = self.run.result, None
            self._lay(labels)

    def _lay(self, labels: Any) -> None:
        """The mask as a layer of its own that nobody paints, compared with the open one."""
        mine = self._desk.labels
        if mine is None or self._asked is None or self._asked[0] is not self._desk.case:
            return
        asked = self._asked
        self.clear()
        self._asked = asked
        self.layer = layers.beside(self._desk.viewer, mine, labels, NAME, mine.colormap)
        self._desk.select_labels()
        if self._desk.views is not None:
            self._desk.views.bar.compare_with(self.layer)
