"""In which view a person works: what is said of "this slice" is meant there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.widgets.brush_hand import viewed_slice

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_medseg.widgets.desk import Desk
    from napari_medseg.widgets.views import Views

REST_MS = 300  # over a view; the mouse crosses others on its way to a button


class Focus(QObject):
    """The view that the mouse rests in, or rested in last.

    Signals
    -------
    changed
        It is another view, or shows another slice.
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self._views: Views | None = None
        self._at_hand: ViewerModel | None = None
        self._under: ViewerModel | None = None
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self.settle)
        desk.slice_changed.connect(self.changed)

    def follow(self, views: Views) -> None:
        """Heed all views of a window."""
        self._views = views
        views.hovered.connect(self._on_hovered)
        for event in (views.moved, views.changed):
            event.connect(self.changed)

    def settle(self) -> None:
        """The view under the mouse is meant from now on, without waiting."""
        if self._under is not None and self._under is not self._at_hand:
            self._at_hand = self._under
            self.changed.emit()

    def viewed(self) -> tuple[int, int] | None:
        """(axis, index) of the slice that is meant, on the case's array; None in 3-D."""
        layer = self._desk.labels
        return None if layer is None else viewed_slice(self._model(), layer)

    def _model(self) -> ViewerModel:
        eyes = [] if self._views is None else self._views.eyes()
        seen = [eye.model for eye in eyes if eye.model.dims.ndim > 2]  # one that closes has less
        if self._at_hand is not None and self._at_hand in seen:
            return self._at_hand
        return seen[0] if seen else self._desk.viewer

    def _on_hovered(self, model: ViewerModel, at: Any) -> None:
        under = None if at is None else model
        if under is not self._under:
            self._under = under
            self._rest.start()
