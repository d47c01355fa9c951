"""Which tool is in the hand and how it is set; one for all views of a window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from qtpy.QtCore import QObject, Signal

LARGEST_MM = 100.0
STEP = 1.15  # of the size, by a key or a notch of the wheel


class Tool(StrEnum):
    """What the left button does."""

    PAN = "pan"
    BRUSH = "brush"
    ERASER = "eraser"
    PENCIL = "pencil"
    LASSO = "lasso"
    POLYGON = "polygon"
    SCISSORS = "scissors"
    FILL = "fill"
    LABEL = "pick a structure"
    GREY = "pick a grey range"


ROUND = (Tool.BRUSH, Tool.ERASER, Tool.GREY)  # their size shows as a circle
STROKES = (Tool.BRUSH, Tool.ERASER, Tool.PENCIL)
PICKS = (Tool.LABEL, Tool.GREY)  # they write nothing
OUTLINES = (Tool.LASSO, Tool.POLYGON, Tool.SCISSORS)


@dataclass(frozen=True)
class Brush:
    """How the tools are set.

    Attributes
    ----------
    size_mm
        Diameter.
    ball
        In 3-D; else a disc in the slice that is looked at.
    keep
        The scissors keep what lies inside, else they cut it.
    around
        Slices on either side of the viewed one that the scissors reach; None: all.
    spread
        Standard deviations on either side of the mean of a picked grey range.
    """

    tool: Tool = Tool.PAN
    size_mm: float = 10.0
    ball: bool = False
    keep: bool = False
    around: int | None = None
    spread: float = 2.0


class BrushState(QObject):
    """The brush as it is now.

    Signals
    -------
    changed
        Something of it is other than before.
    """

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.now = Brush()
        self.smallest_mm = 0.1

    def set(self, **changes: Any) -> None:
        """Change some of it; sizes are kept within bounds."""
        if "size_mm" in changes:
            changes["size_mm"] = min(max(changes["size_mm"], self.smallest_mm), LARGEST_MM)
        new = replace(self.now, **changes)
        if new != self.now:
            self.now = new
            self.changed.emit()

    def grow(self, steps: float) -> None:
        """A larger brush, by so many steps, a voxel at least; negative: a smaller one."""
        size = self.now.size_mm
        change = size * STEP**steps - size
        least = self.smallest_mm if steps > 0 else -self.smallest_mm
        self.set(size_mm=size + max(change, least, key=abs))
