"""What the open case took: a few numbers, a small chart, and all cases as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QFileDialog, QVBoxLayout, QWidget

from napari_medseg.correction.effort import Effort, table
from napari_medseg.correction.whole import whole
from napari_medseg.widgets import style
from napari_medseg.widgets.notices import tell, warn
from napari_medseg.widgets.tally import words

SIZE = (420, 360)
CHART_HEIGHT = 110
FEWEST_MINUTES = 10  # on the axis: else the first minute is as wide as the window


class EffortSheet(QDialog):
    """A look at one case; pyqtgraph is imported when it is first shown."""

    def __init__(
        self, effort: Effort, all_cases: Mapping[str, Effort], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._effort, self._all = effort, all_cases
        self.setWindowTitle("Effort")
        self.resize(*SIZE)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._rows = QVBoxLayout(self)
        self.text = style.hint(summary(effort), color="")
        self._rows.addWidget(self.text)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.export = buttons.addButton(
            f"Export {words(len(all_cases), 'case')} as CSV…",
            QDialogButtonBox.ButtonRole.ActionRole,
        )
        if self.export is not None:
            self.export.clicked.connect(self._export)
        buttons.rejected.connect(self.reject)
        self._rows.addStretch(1)
        self._rows.addWidget(buttons)
        self._drawn = False

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        if not self._drawn:
            self._drawn = True
            self._draw()
        super().showEvent(event)

    def _draw(self) -> None:
        import pyqtgraph

        tools = self._effort.strokes.most_common()
        minutes = self._chart(pyqtgraph, "Strokes", "Minute of work")
        minutes.addItem(_bars(pyqtgraph, self._effort.minutes, style.ACCENT))
        minutes.setXRange(0, max(FEWEST_MINUTES, len(self._effort.minutes)) - 1)
        minutes.getAxis("bottom").enableAutoSIPrefix(False)
        by_tool = self._chart(pyqtgraph, "Strokes", "")
        by_tool.addItem(_bars(pyqtgraph, [count for _, count in tools], style.GOOD))
        names = [(number, name) for number, (name, _) in enumerate(tools)]
        by_tool.getAxis("bottom").setTicks([names])

    def _chart(self, pyqtgraph: Any, left: str, bottom: str) -> Any:
        plot = pyqtgraph.PlotWidget(background=None)
        plot.setFixedHeight(CHART_HEIGHT)
        plot.setMouseEnabled(False, False)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.setLabel("left", left)
        if bottom:
            plot.setLabel("bottom", bottom)
        self._rows.insertWidget(self._rows.count() - 2, plot)
        return plot

    def _export(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export effort", "effort.csv", "CSV (*.csv)")
        if chosen:
            export(self._all, Path(chosen))


def export(cases: Mapping[str, Effort], path: Path) -> None:
    """Write the table of all cases; a failure is told."""
    try:
        with whole(path) as file:
            file.write(table(cases).encode())
    except OSError as error:
        warn(f"{path.name} cannot be written: {error.strerror}; choose another place")
    else:
        tell(f"Effort of {words(len(cases), 'case')} saved as {path.name}.")


def summary(effort: Effort) -> str:
    """Two sentences."""
    strokes = words(effort.strokes.total(), "stroke")
    voxels = words(effort.voxels.total(), "voxel")
    slices = words(len(effort.slices), "slice")
    return f"{duration(effort.seconds)} of active work. {strokes}, {voxels}; {slices} visited."


def duration(seconds: float) -> str:
    """As people say it: "45 s", "3 min 20 s", "1 h 5 min"."""
    whole_s = round(seconds)
    if whole_s < 60:
        return f"{whole_s} s"
    if whole_s < 3600:
        return f"{whole_s // 60} min {whole_s % 60} s"
    return f"{whole_s // 3600} h {whole_s % 3600 // 60} min"


def _bars(pyqtgraph: Any, heights: list[int], color: str) -> Any:
    return pyqtgraph.BarGraphItem(
        x=list(range(len(heights))), height=heights, width=0.7, brush=color
    )
