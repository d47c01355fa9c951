"""What to correct next, as the docks show it: the predicted Dice, and the way to the next slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_medseg.widgets import style
from napari_medseg.widgets.next_slice import next_slice_of
from napari_medseg.widgets.outlook import outlook_of

if TYPE_CHECKING:
    from napari_medseg.widgets.desk import Desk


class OutlookLine(QWidget):
    """The predicted Dice; nothing at all where there is none to tell."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.outlook = outlook_of(desk)
        self.text = style.hint()
        self.ask = style.button("Predict its Dice", "Runs the model some more times, beside")
        rows = style.column(self)
        rows.addWidget(self.text)
        rows.addWidget(self.ask)
        self.ask.clicked.connect(self.outlook.ask)
        self.outlook.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        style.say(self.text, self.outlook.said)
        self.text.setToolTip(self.outlook.tip)
        self.ask.setVisible(self.outlook.waiting)
        self.setVisible(bool(self.outlook.said))


class SlicePanel(QWidget):
    """The way to the slice that is worth most, and why it is; the button may stand elsewhere."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.walk = next_slice_of(desk)
        self.next = style.button("Next slice")
        self.said = style.hint(color="")
        rows = style.column(self)
        rows.addWidget(self.next)
        rows.addWidget(self.said)
        self.next.clicked.connect(self.walk.go_on)
        self.walk.changed.connect(self._show)
        self._show()

    def _show(self) -> None:
        self.next.setEnabled(not self.walk.busy)
        self.next.setToolTip(
            "To the slice where your work is worth most (Shift+N); confirm it (C) and the next one "
            f"comes.\n{self.walk.tip}"
        )
        style.say(self.said, "Looking…" if self.walk.busy else self.walk.said)
        self.setHidden(not self.said.text() and self.next.parent() is not self)
