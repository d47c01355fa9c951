"""What the new model would change on the open scan: its mask beside the one that is there."""

from __future__ import annotations

from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject
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


class Beside(QObject):
    """One for each desk: the mask of the model that awaits its verdict, compared with the open one.

    It goes when that model is decided upon, by whomever, and when another scan or none is open: a
    dock that is closed meanwhile leaves nothing behind.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self._asked: tuple[Case, ModelCard] | None = None
        self.layer: Labels | None = None
        self.run = Run(self, desk.stroke_is_on)
        self.run.changed.connect(self._on_run)
        desk.case_changed.connect(self.clear)
        desk.learning.changed.connect(self._on_learning)

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
        """Take the new model's mask away, and let none come that is on its way."""
        self._asked = None
        self.run.stop()
        if not self._desk.closed:
            self._take_away()

    def _take_away(self) -> None:
        layer, self.layer = self.layer, None
        views = self._desk.views
        if layer is not None and views is not None and views.bar.compare.other is layer:
            views.bar.compare_no_more()
        if layer is not None and layer in self._desk.viewer.layers:
            self._desk.viewer.layers.remove(layer)

    def _on_learning(self) -> None:
        outcome = self._desk.learning.result
        if self._asked is not None and (outcome is None or outcome.candidate != self._asked[1]):
            self.clear()

    def _on_run(self) -> None:
        if not self.run.running and self.run.result is not None:
            labels, self.run.result = self.run.result, None
            self._lay(labels)

    def _lay(self, labels: Any) -> None:
        """The mask as a layer of its own that nobody paints, compared with the open one."""
        mine = self._desk.labels
        if mine is None or self._asked is None or self._asked[0] is not self._desk.case:
            return
        self._take_away()
        self.layer = layers.beside(self._desk.viewer, mine, labels, NAME, mine.colormap)
        self._desk.select_labels()
        if self._desk.views is not None:
            self._desk.views.bar.compare_with(self.layer)


def beside_of(desk: Desk) -> Beside:
    """The one of a desk; made at the first call."""
    found = desk.findChild(Beside)
    return Beside(desk) if found is None else found


class BeforeAfter(QWidget):
    """A button that shows the candidate's mask against the open one, in the row *Compare*."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.beside = beside_of(desk)
        self.run = self.beside.run
        self.see = style.button("See it on this scan", TIP)
        self.bar = style.bar()
        rows = style.column(self)
        rows.addWidget(self.see)
        rows.addWidget(self.bar)
        self.see.clicked.connect(self.beside.toggle)
        self.run.changed.connect(self._show)
        desk.case_changed.connect(self._show)
        self._show()

    @property
    def layer(self) -> Labels | None:
        """The candidate's mask, where it is shown."""
        return self.beside.layer

    def _show(self) -> None:
        running = self.run.running
        self.see.setText("Stop" if running else "See it on this scan")
        self.see.setEnabled(self._desk.case is not None and not self.run.stopping)
        self.bar.setVisible(running)
        told = self.run.progress
        style.show_progress(self.bar, told.done if told else 0, told.total if told else 0)
