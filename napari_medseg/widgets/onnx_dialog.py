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
    Normalise.CT_WINDOW: "CT window to −1 … 1",
    Normalise.RANGE: "window to 0 … 1",
    Normalise.MEAN_STD: "mean 0, deviation 1",
    Normalise.Z_SCORE: "likewise, without the outermost 1 %",
    Normalise.PERCENTILES: "percentiles to 0 … 1",
}


class OnnxDialog(QDialog):
    """A form; `options()` after it was accepted."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"Import {name}")
        self.labels, self.channels = QLineEdit(), QLineEdit("image")
        self.labels.setPlaceholderText("liver, tumour")
        self.normalise = QComboBox()
        for kind, text in SCALINGS.items():
            self.normalise.addItem(text, kind)
        self.window_ends = QLineEdit("-1000, 1000")
        self.patch, self.spacing = QLineEdit(), QLineEdit()
        self.patch.setPlaceholderText("Z, Y, X; empty: the file's own")
        self.spacing.setPlaceholderText("Z, Y, X; empty: each scan's own")
        self.trouble = style.hint(color=style.BAD)
        self._build()

    def options(self) -> ImportOptions:
        """What was entered.

        Raises
        ------
        ValueError
            A field holds no numbers, or not as many as it should.
        """
        window = _numbers(self.window_ends.text(), float, 2)
        return ImportOptions(
            labels=_words(self.labels.text()),
            channels=_words(self.channels.text()),
            normalise=Normalise(self.normalise.currentData()),
            window=(window[0], window[1]) if window else None,
            patch=_numbers(self.patch.text(), int, 3),
            spacing_mm=_numbers(self.spacing.text(), float, 3),
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
        rows.addRow("Tile in voxels", self.patch)
        rows.addRow("Spacing in mm", self.spacing)
        rows.addRow(self.trouble)
        self.trouble.hide()
        buttons = QDialogButtonBox()
        buttons.addButton(QDialogButtonBox.StandardButton.Ok)
        buttons.addButton(QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        rows.addRow(buttons)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str, kind: Callable[[str], T], how_many: int) -> tuple[T, ...]:
    try:
        found = tuple(kind(word) for word in _words(text))
    except ValueError:
        raise ValueError(f"'{text}' must be numbers with commas between them.") from None
    if found and len(found) != how_many:
        raise ValueError(f"'{text}' must be {how_many} numbers.")
    return found
