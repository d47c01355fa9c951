"""The row above the views that names the tints of "who set what", and the layer that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils import DirectLabelColormap
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_medseg.correction.record import Box, Correction
from napari_medseg.widgets import layers, style
from napari_medseg.widgets.whose import COLORS, WORDS, Whose

if TYPE_CHECKING:
    from napari_medseg.widgets.views import Views

NAME = "who set what"
OPACITY = 0.6  # the scan is still seen
CLEAR = "#00000000"


class WhoseRow(style.Slim):
    """Shown while the tints are; they are drawn in all views, and never a mask of their own.

    Signals
    -------
    changed
        They are shown, or no more.
    """

    changed = Signal()

    def __init__(self, views: Views) -> None:
        super().__init__()
        self._views, self._desk = views, views.desk
        self.layer: Labels | None = None
        self._mask: Labels | None = None
        self.legend = QLabel(_legend())
        self.legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = style.row(QLabel("Who set what"), self.legend, stretch=(0, 1))
        row.setContentsMargins(4, 0, 4, 0)
        self.setLayout(row)
        self.hide()
        self._bench = self._desk.workbench
        self._calls = (
            (self._bench.correction_committed, self._on_corrected),
            (self._bench.labels_changed, self._on_box),
            (self._bench.marks_changed, self._on_all),
            (self._desk.viewer.layers.events.removed, self._on_removed),
        )
        for emitter, call in self._calls:
            emitter.connect(call)

    def close_row(self) -> None:
        """Hear nothing more."""
        self.set_on(False)
        for emitter, call in self._calls:
            emitter.disconnect(call)

    @property
    def on(self) -> bool:
        return self.layer is not None

    def set_on(self, on: bool) -> None:
        """Show the tints, or no more."""
        if on and not self.on:
            self._add()
        elif not on:
            self._remove()
        self.setVisible(self.on)
        self.changed.emit()

    def _add(self) -> None:
        case, mask = self._desk.case, self._desk.labels
        if case is None or mask is None:
            return
        colors: dict[int | None, str] = {None: CLEAR, 0: CLEAR}
        colors.update(COLORS.items())
        self.layer = Labels(
            Whose(case),
            name=NAME,
            scale=mask.scale,
            translate=mask.translate,
            units=mask.units,
            axis_labels=mask.axis_labels,
            opacity=OPACITY,
            colormap=DirectLabelColormap(color_dict=colors),
            visible=mask.visible,
            metadata={layers.KEY: layers.Origin(case.turn, derived=True)},
        )
        self.layer.editable = False
        self._desk.viewer.add_layer(self.layer)
        self._desk.select_labels()
        self._mask = mask
        mask.events.visible.connect(self._on_hidden)

    def _remove(self) -> None:
        layer, self.layer = self.layer, None
        if self._mask is not None:
            self._mask.events.visible.disconnect(self._on_hidden)
            self._mask = None
        if layer is not None and layer in self._desk.viewer.layers:
            self._desk.viewer.layers.remove(layer)
            self._desk.select_labels()

    def _on_hidden(self, event: Any = None) -> None:
        """Whoever hides the mask wants to see the scan."""
        if self.layer is not None and self._mask is not None:
            self.layer.visible = self._mask.visible

    def _on_removed(self, event: Any) -> None:
        if self.layer is not None and event.value in (self.layer, self._mask):
            self.set_on(False)

    def _on_corrected(self, correction: Correction) -> None:
        self._on_box(correction.box)

    def _on_box(self, box: Box) -> None:
        """Draw again what is seen of a box."""
        if self.layer is not None:
            reach = tuple((part.start, part.stop) for part in box)
            self._views.sharing(self.layer).tell(reach)

    def _on_all(self) -> None:
        if self.layer is not None:
            self._views.sharing(self.layer).tell()


def _legend() -> str:
    return "&nbsp;&nbsp; ".join(
        f'<span style="color:{color}">■</span> {WORDS[one]}' for one, color in COLORS.items()
    )
