"""Asks what an ONNX file does not say: its labels, and how a scan becomes its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qtpy.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QLineEdit, QWidget

from napari_medseg.models.import_options import ImportOptions
from napari_medseg.preprocess.recipe import Normalise
from napari_medseg.widgets import style

T = TypeVar("T", int, float)
WHY = (
    "The file does not say how its network was trained. Enter it as it was: with other numbers the "
    "masks will be wrong."
)
SCALINGS = {
    Normalise.CT_WINDOW: "the window below, scaled to −1 … 1",
    Normalise.RANGE: "the window below, scaled to 0 … 1",
    Normalise.MEAN_STD: "mean 0 and deviation 1, over all voxels",
    Normalise.Z_SCORE: "mean 0 and deviation 1, after clipping 0.5 % at either end",
    Normalise.PERCENTILES: "0.5 to 99.5 % of the voxels, scaled to 0 … 1",
}
CHOOSE = "Choose…"
ORIENTATIONS = ("LPS: as files of this plugin", "SAR: exported from MONAI (RAS)")
SIDES = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}


class OnnxDialog(QDialog):
    """A form; `options()` after it was accepted."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Import {name}")
        self.labels, self.channels = QLineEdit(), QLineEdit("image")
        self.labels.setPlaceholderText("liver, tumour")
        self.normalise = QComboBox()
        self.normalise.addItem(CHOOSE, None)
        for kind, text in SCALINGS.items():
            self.normalise.addItem(text, kind)
        self.window_ends = QLineEdit("-1000, 1000")
        self.orientation = QComboBox()
        self.orientation.setEditable(True)
        self.orientation.addItems(ORIENTATIONS)
        self.orientation.setToolTip(
            "The sides that x, y and z of the network's array grow to; or type three letters"
        )
        self.patch, self.spacing = QLineEdit(), QLineEdit()
        self.patch.setPlaceholderText("Z, Y, X; empty: the file's own")
        self.spacing.setPlaceholderText("Z, Y, X; empty: each scan's own")
        self.ok = style.button("OK")
        self.trouble = style.hint(color=style.BAD)
        self._build()

    def options(self) -> ImportOptions:
        """What was entered.

        Raises
        ------
        ValueError
            A field holds no numbers, or not as many as it should; or a choice was not made.
        """
        if self.normalise.currentData() is None:
            raise ValueError("Choose how intensities are scaled.")
        window = _numbers(self.window_ends.text(), float, 2)
        return ImportOptions(
            labels=_words(self.labels.text()),
            channels=_words(self.channels.text()),
            normalise=Normalise(self.normalise.currentData()),
            window=(window[0], window[1]) if window else None,
            patch=_numbers(self.patch.text(), int, 3),
            spacing_mm=_numbers(self.spacing.text(), float, 3),
            orientation=_sides(self.orientation.currentText()),
        )

    def accept(self) -> None:
        """Close, if all can be read."""
        try:
            self.options()
        except ValueError as error:
            style.say(self.trouble, str(error))
        else:
            super().accept()

    def _build(self) -> None:
        rows = QFormLayout(self)
        why = style.hint(WHY)
        why.setMinimumWidth(360)
        rows.addRow(why)
        rows.addRow("Labels", self.labels)
        rows.addRow("Channels", self.channels)
        rows.addRow("Intensities", self.normalise)
        rows.addRow("Window (low, high)", self.window_ends)
        rows.addRow("Axes", self.orientation)
        rows.addRow("Tile in voxels", self.patch)
        rows.addRow("Spacing in mm", self.spacing)
        rows.addRow(self.trouble)
        self.trouble.hide()
        buttons = QDialogButtonBox()
        buttons.addButton(self.ok, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        rows.addRow(buttons)
        self.normalise.currentIndexChanged.connect(self._allow)
        self._allow()

    def _allow(self, *_: object) -> None:
        """A wrong scaling makes wrong masks without a word, so none is taken for granted."""
        self.ok.setEnabled(self.normalise.currentData() is not None)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _sides(text: str) -> str:
    """ "SAR" of "SAR: exported from MONAI (RAS)"."""
    letters = text.partition(":")[0].strip().upper()
    if sorted(SIDES.get(letter, -1) for letter in letters) != [0, 1, 2]:
        raise ValueError(f"'{text}' must be three sides such as LPS.")
    return letters


def _numbers(text: str, kind: Callable[[str], T], how_many: int) -> tuple[T, ...]:
    try:
        found = tuple(kind(word) for word in _words(text))
    except ValueError:
        raise ValueError(f"'{text}' must be numbers with commas between them.") from None
    if found and len(found) != how_many:
        raise ValueError(f"'{text}' must be {how_many} numbers.")
    return found
