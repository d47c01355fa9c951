"""Loss and Dice of a running fine-tune, drawn live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QWidget

from napari_medseg.evaluation.chart import COLOURS
from napari_medseg.widgets import style

Points: TypeAlias = Sequence[tuple[float, float]]

HEIGHT_PX = 80
MOST_POINTS = 400  # more than the plot has pixels


class Curves(QWidget):
    """Two small plots below each other; pyqtgraph is imported when they are first shown."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = style.column(self)
        self._loss: Any = None
        self._dice: Any = None
        self._last: tuple[Any, ...] = ([], [], [])

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        if self._loss is None:
            self._build()
            self.draw(*self._last)
        super().showEvent(event)

    def _build(self) -> None:
        import pyqtgraph

        self._loss = self._plot(pyqtgraph, "Loss", style.ACCENT)
        self._dice = self._plot(pyqtgraph, "Dice", style.GOOD, symbol="o")

    def _plot(self, pyqtgraph: Any, name: str, color: str, symbol: str | None = None) -> Any:
        plot = pyqtgraph.PlotWidget(background=None)
        plot.setFixedHeight(HEIGHT_PX)
        plot.setMinimumWidth(200)
        plot.setMouseEnabled(False, False)
        plot.setMenuEnabled(False)
        plot.hideButtons()
        plot.showGrid(x=False, y=True, alpha=0.15)
        left = plot.getAxis("left")
        left.enableAutoSIPrefix(False)
        left.setWidth(56)
        left.setLabel(name)
        pen = pyqtgraph.mkPen(color, width=2)
        curve = plot.plot([], [], pen=pen, symbol=symbol, symbolSize=6, symbolBrush=color)
        curve.setSymbolPen(None)
        self._rows.addWidget(plot)
        return curve

    def draw(
        self,
        steps: Sequence[int],
        losses: Sequence[float],
        checks: Sequence[tuple[int, float]],
    ) -> None:
        """Show the losses of `steps` and the (step, mean Dice) of the checks so far."""
        self._last = (steps, losses, checks)
        if self._loss is None:
            return
        self._loss.setData(*thinned(steps, losses))
        self._dice.setData([step for step, _ in checks], [dice for _, dice in checks])


class NamedCurves(QWidget):
    """One plot with a line for each name, in the colours of the saved chart."""

    def __init__(self, left: str, bottom: str) -> None:
        super().__init__()
        self._rows = style.column(self)
        self._words = (left, bottom)
        self._plot: Any = None
        self._last: Mapping[str, Points] = {}

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        if self._plot is None:
            import pyqtgraph

            self._plot = pyqtgraph.PlotWidget(background=None)
            self._plot.setFixedHeight(3 * HEIGHT_PX)
            self._plot.setMouseEnabled(False, False)
            self._plot.setMenuEnabled(False)
            self._plot.hideButtons()
            self._plot.showGrid(x=False, y=True, alpha=0.15)
            self._plot.getAxis("left").enableAutoSIPrefix(False)
            self._plot.setLabel("left", self._words[0])
            self._plot.setLabel("bottom", self._words[1])
            self._plot.addLegend(offset=(4, 1), verSpacing=-8)  # curves rise: there is room
            self._rows.addWidget(self._plot)
            self.draw(self._last)
        super().showEvent(event)

    def draw(self, lines: Mapping[str, Points]) -> None:
        """Show the points (x, y) of each name instead of those before."""
        self._last = lines
        if self._plot is None:
            return
        self._plot.clear()
        for number, (name, points) in enumerate(lines.items()):
            color = COLOURS[number % len(COLOURS)]
            curve = self._plot.plot(
                [x for x, _ in points],
                [y for _, y in points],
                pen={"color": color, "width": 2},
                symbol="o",
                symbolSize=6,
                symbolBrush=color,
                name=name,
            )
            curve.setSymbolPen(None)


def thinned(
    steps: Sequence[int], losses: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Means of neighbouring steps, so that the curve is calm and has at most so many points."""
    width = -(-len(steps) // MOST_POINTS)
    if width <= 1:
        return list(steps), list(losses)
    starts = range(0, len(steps), width)
    return (
        [sum(steps[a : a + width]) / len(steps[a : a + width]) for a in starts],
        [sum(losses[a : a + width]) / len(losses[a : a + width]) for a in starts],
    )
