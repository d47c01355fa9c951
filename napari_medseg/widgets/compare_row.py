"""The row above the views in which another mask is laid beside the open one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils import DirectLabelColormap
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QButtonGroup, QComboBox, QFileDialog, QLabel, QSizePolicy

from napari_medseg import io
from napari_medseg.correction.record import Correction
from napari_medseg.errors import GridError, InputError
from napari_medseg.volume import mask_to_canonical
from napari_medseg.volume.resample import mask_on
from napari_medseg.widgets import layers, style
from napari_medseg.widgets.compare import BOTH, COLORS, EVERY, ONLY_A, ONLY_B, Comparison

if TYPE_CHECKING:
    from napari_medseg.widgets.views import Views

NAME = "difference"
SHOWS = {"A": "The open mask", "B": "The other mask", "Difference": "Where only one has it"}
FILE = "A file…"
WHAT_PX = 84  # wide: the legend needs the rest


class CompareRow(style.Slim):
    """A and B, one of them or their difference; shown while masks are compared."""

    def __init__(self, views: Views) -> None:
        super().__init__()
        self._views = views
        self._desk = views.desk
        self.comparison: Comparison | None = None
        self.other: Labels | None = None
        self.layer: Labels | None = None
        self._shown = "Difference"
        self.choice, self.what = QComboBox(), QComboBox()
        self.choice.setToolTip("The mask to compare with")
        self.what.setToolTip("The structure to compare")
        self.choice.setMinimumContentsLength(10)
        self.what.setMaximumWidth(WHAT_PX)
        self.group = QButtonGroup(self)
        self.buttons = {name: style.button(name, tip) for name, tip in SHOWS.items()}
        for name, one in self.buttons.items():
            one.setCheckable(True)
            self.group.addButton(one)
            one.clicked.connect(lambda _=False, name=name: self.show_only(name))
        self.legend = QLabel()
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = style.row(
            QLabel("B"), self.choice, self.what, *self.buttons.values(), self.legend,
            stretch=(0, 0, 0, 0, 0, 0, 1),
        )  # fmt: skip
        row.setContentsMargins(4, 0, 4, 0)
        row.setSizeConstraint(row.SizeConstraint.SetNoConstraint)
        self.spare = (self.legend, self.what)
        self.setLayout(row)
        self.hide()
        self._connect()

    def _connect(self) -> None:
        self.choice.activated.connect(self._on_choice)
        self.what.activated.connect(lambda _: self._compare())
        self._bench = self._desk.workbench
        self._bench.correction_committed.connect(self._on_corrected)
        self._bench.labels_changed.connect(self._on_box)
        self._events = self._desk.viewer.layers.events
        self._events.removed.connect(self._on_removed)

    def close_row(self) -> None:
        """Hear nothing more."""
        self._bench.correction_committed.disconnect(self._on_corrected)
        self._bench.labels_changed.disconnect(self._on_box)
        self._events.removed.disconnect(self._on_removed)

    # -- which masks ----------------------------------------------------------------------------

    def set_on(self, on: bool) -> None:
        """Begin or end to compare."""
        self.setVisible(on)
        if on:
            self.fill()
            self._on_choice(self.choice.currentIndex())
        else:
            self.end()

    def fill(self) -> None:
        """The masks and structures that there are."""
        blocker = QSignalBlocker(self.choice)
        self.choice.clear()
        for layer in self._candidates():
            self.choice.addItem(str(layer.name), layer)
        self.choice.addItem(FILE)
        del blocker
        self.what.clear()
        self.what.addItem("All", EVERY)
        for one in () if self._desk.case is None else self._desk.case.names:
            self.what.addItem(one.name, one.value)

    def _candidates(self) -> list[Labels]:
        mine = self._desk.labels
        return [
            layer
            for layer in self._desk.viewer.layers
            if isinstance(layer, Labels) and layer not in (mine, self.layer)
            if mine is not None and layer.data.shape == mine.data.shape
            if (origin := layers.origin_of(layer)) is None or not origin.derived
        ]

    def _on_choice(self, index: int) -> None:
        other = self.choice.itemData(index)
        if isinstance(other, Labels):
            self.compare_with(other)
        elif self.isVisible() and self.choice.itemText(index) == FILE:
            self._ask()

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A mask to compare with")
        if path:
            self._desk.try_to(self.open_file, Path(path))

    def open_file(self, path: Path) -> None:
        """Compare with the mask of a file.

        Raises
        ------
        GridError
            It lies on another grid than the scan.
        """
        case = self._desk.case
        if case is None:
            raise InputError("a scan must be open to compare masks, none is; open one first")
        mask = mask_on(io.read_mask(path), case.turn.source)
        shown, _ = mask_to_canonical(mask)
        if not shown.geometry.same_grid(case.volume.geometry):
            raise GridError("two masks must share a grid to be compared; resample one first")
        (layer,) = layers.show(self._desk.viewer, mask, path.name)
        self._desk.select_labels()
        self.fill()
        self.choice.setCurrentIndex(max(self.choice.findData(layer), 0))
        self.compare_with(layer)

    # -- the comparison -------------------------------------------------------------------------

    def compare_with(self, other: Labels) -> None:
        """Show where this mask and the open one differ."""
        self.other = other
        self._compare()

    def _compare(self) -> None:
        case, mine, other = self._desk.case, self._desk.labels, self.other
        if case is None or mine is None or other is None:
            return
        value = int(self.what.currentData() or EVERY)
        ml = case.volume.geometry.voxel_ml
        self.comparison = self._desk.try_to(Comparison, mine.data, other.data, value, ml)
        if self.comparison is not None:
            self._show_layer(mine, self.comparison.difference)
            self.show_only(self._shown)
            self._say()

    def _show_layer(self, mine: Labels, difference: npt.NDArray[np.uint8]) -> None:
        if self.layer is not None and self.layer in self._desk.viewer.layers:
            self.layer.data = difference
            return
        colors: dict[int | None, str] = {None: "#00000000", 0: "#00000000"}
        colors.update(COLORS.items())
        shown = DirectLabelColormap(color_dict=colors)
        self.layer = layers.beside(self._desk.viewer, mine, difference, NAME, shown)
        self._desk.select_labels()

    def show_only(self, name: str) -> None:
        """A, B or the difference in all views."""
        self._shown = name
        self.buttons[name].setChecked(True)
        self._show(name)

    def flicker(self, on: bool) -> None:
        """The other mask for as long as a key is held."""
        if self.other is not None:
            self._show(("A" if self._shown == "B" else "B") if on else self._shown)

    def _show(self, name: str) -> None:
        shown = {"A": self._desk.labels, "B": self.other, "Difference": self.layer}
        for one, layer in shown.items():
            if layer is not None and layer.visible != (one == name):
                layer.visible = one == name

    def _say(self) -> None:
        found = self.comparison
        if found is None:
            self.legend.setText("")
            return
        words = {ONLY_A: "only A", ONLY_B: "only B", BOTH: "both"}
        parts = [
            f'<span style="color:{COLORS[key]}">■</span> {name} {found.ml(key):.1f}'
            for key, name in words.items()
        ]
        told = [f"<b>{_dice_words(found.dice)}</b>", *parts]
        both = parts.pop().rsplit(" ", 1)[0]  # how much is common is the least news
        brief = f"<b>{_dice_words(found.dice)}</b>&nbsp; {'&nbsp; '.join(parts)} ml&nbsp; {both}"
        self.legend.setText(brief.replace("only ", ""))
        self.legend.setToolTip("&nbsp; ".join(told) + " ml")

    def _on_corrected(self, correction: Correction) -> None:
        self._on_box(correction.box)

    def _on_box(self, box: Any) -> None:
        if self.comparison is not None and self.layer is not None:
            self.comparison.update(box)
            if self.layer.visible:
                self.layer.refresh(extent=False, thumbnail=False, highlight=False)
            self._say()

    def _on_removed(self, event: Any) -> None:
        gone = event.value
        self.choice.removeItem(self.choice.findData(gone))  # -1, which is none, removes none
        if gone is self.other or gone is self._desk.labels or gone is self.layer is not None:
            self.end()

    def end(self) -> None:
        """Compare no more: the open mask is shown as it was."""
        layer, self.layer, self.comparison, self.other = self.layer, None, None, None
        self.legend.setText("")
        if layer is not None and layer in self._desk.viewer.layers:
            self._desk.viewer.layers.remove(layer)
        if self._desk.labels is not None:
            self._desk.labels.visible = True


def _dice_words(dice: float) -> str:
    """1 is said only of masks that are the same."""
    if np.isnan(dice):
        return "Dice –"
    return f"Dice {dice if dice == 1 else min(dice, 0.999):.3f}"
