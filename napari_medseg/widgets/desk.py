"""One viewer's workbench, the two layers that show its case, and what runs; all docks share it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from napari import Viewer
from napari.layers import Image, Labels
from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.correction.record import Box, Correction
from napari_medseg.correction.tracker import whole
from napari_medseg.errors import MedsegError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import LookAt, Prediction
from napari_medseg.models.card import ModelCard
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.volume import Volume
from napari_medseg.widgets import layers, probability, series
from napari_medseg.widgets.aside import Aside
from napari_medseg.widgets.brush_hand import viewed_slice
from napari_medseg.widgets.brush_tool import BrushTool
from napari_medseg.widgets.model_import import ImportRun
from napari_medseg.widgets.notices import try_to, warn
from napari_medseg.widgets.painting import Painting
from napari_medseg.widgets.runs import LearnRun, PredictRun, Run
from napari_medseg.widgets.tally import Tally
from napari_medseg.widgets.toolbox import Toolbox
from napari_medseg.workbench import Case, Workbench

if TYPE_CHECKING:
    from napari_medseg.widgets.views import Views

REFRESH_MS = 90  # a predicted mask grows on the screen at most eleven times a second
VOLUMES_MS = 500
POLL_MS = 400
CLOSE_GRACE_S = 1.0
DEFAULT = PredictConfig()
LAYER_EVENTS = ("mode", "brush_size", "selected_label", "n_edit_dimensions")


class Desk(QObject):
    """Lives as long as its viewer; a dock that is closed and opened again finds all as it was.

    The workbench's signals come again as Qt's, so that a dock that is gone hears nothing more.

    Signals
    -------
    case_changed
        Another scan, or none, is open.
    models_changed
        A model came, or another one is in use.
    names_changed
        The list of structures, or which of them are hidden.
    marks_changed, corrected, saved
        A slice was confirmed or not any more; a correction is on its way to disk, or there.
    volumes_due
        At most twice a second after voxels changed.
    slice_changed
        Another slice is looked at.
    layer_changed
        The tool, the brush or the structure to paint.
    scans_changed
        An image layer came, went, or has another name.
    run_asked, mark_asked
        The keys for "Segment" and "This slice is right" were pressed.
    """

    case_changed = Signal()
    models_changed = Signal()
    marks_changed = Signal()
    names_changed = Signal()
    corrected = Signal()
    volumes_due = Signal()
    slice_changed = Signal()
    layer_changed = Signal()
    saved = Signal()
    scans_changed = Signal()
    run_asked = Signal()
    mark_asked = Signal()

    def __init__(self, viewer: Viewer, workbench: Workbench) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.workbench = workbench
        self.image: Image | None = None
        self.labels: Labels | None = None
        self.tally: Tally | None = None
        self.hidden: frozenset[int] = frozenset()
        self.saved_at: datetime | None = None
        self.views: Views | None = None  # once it stands in a window
        self._painting: Painting | None = None
        self._frame: int | None = None  # of a series, the one that is open
        self._aside = Aside()
        self.brush = BrushTool(workbench, self)
        self.toolbox = Toolbox(self, self.brush)
        self.prediction = PredictRun(
            self,
            self.stroke_is_on,
            workbench.receive,
            self._on_predicted,
            workbench.drop_previews,
        )
        self.learning = LearnRun(self)
        self.importing = ImportRun(self)
        self._refresh_soon = _once(self, REFRESH_MS, self._refresh)
        self._volumes_soon = _once(self, VOLUMES_MS, self.volumes_due.emit)
        self._open_soon = _once(self, 0, self._open_first)
        self._watchman = QTimer(self)
        self._watchman.setInterval(POLL_MS)
        self._watchman.timeout.connect(self._look_after)
        self._watchman.start()
        self._unsaved = self.closed = False
        self.asked: tuple[Case | None, ModelCard | None, PredictConfig] = (None, None, DEFAULT)
        self._listen()
        viewer.dims.events.point.connect(self._on_slice)
        viewer.dims.events.order.connect(self._on_slice)
        viewer.dims.events.ndisplay.connect(self._on_slice)
        viewer.layers.events.removed.connect(self._on_removed)
        for event in ("inserted", "removed", "renamed"):
            getattr(viewer.layers.events, event).connect(self._on_layers)

    def _listen(self) -> None:
        bench = self.workbench
        bench.case_closed.connect(self._on_case_closed)
        bench.labels_changed.connect(self._on_labels_changed)
        bench.segmenter_adopted.connect(self._on_models)
        bench.models_changed.connect(self._on_models)
        bench.correction_committed.connect(self._on_corrected)
        bench.marks_changed.connect(self._on_marks)
        bench.names_changed.connect(self._on_names)
        bench.writable_changed.connect(self._on_writable)
        bench.warned.connect(warn)

    # -- the case -----------------------------------------------------------------------------

    @property
    def viewer(self) -> Viewer:
        viewer = self._viewer()
        if viewer is None:
            raise MedsegError("the window must be open, it was closed")
        return viewer

    @property
    def case(self) -> Case | None:
        return self.workbench.case

    def open_scan(self, image: Image) -> Case:
        """Make the scan of an Image layer the case, with a Labels layer to paint on."""
        image, frame = series.to_open(self.viewer, image, self._wanted())
        if self.case is not None and self.image is image and self._frame == frame:
            if self.case.writable or self.labels is None:
                return self.case
            self.viewer.layers.remove(self.labels)  # the other window knows better
        volume = series.opened(image, frame)
        if series.of_one_file(self.image, image) and self.labels and not self.labels.data.any():
            self.viewer.layers.remove(self.labels)  # an empty mask of another frame is of no use
        self._frame = frame
        return self.open_volume(volume, image, series.subject_of(image, frame))

    def open_volume(self, volume: Volume, image: Image | None = None, subject: str = "") -> Case:
        """Make a scan the case; the mask of the one before is put aside until it comes again."""
        self.prediction.stop()
        self._aside.put(self.image, self.labels)
        self._let_go()
        case = self.workbench.open_case(volume, self._aside.take(self.viewer, image), subject)
        if not self.prediction.running:
            self.prediction.clear()
        if image is None:
            image = next(one for one in layers.show(self.viewer, case.scan) if one.visible)
        data, look, _ = layers.case_layer(case)
        self.image, self.labels = image, self.viewer.add_labels(data, **look)
        self.labels.editable = case.writable
        self.hidden = frozenset()
        self.tally = Tally(case)
        self._watch(self.labels, case)
        self.case_changed.emit()
        self._volumes_soon.start()
        return case

    def _wanted(self) -> int:
        """How many channels the model in use reads; 0 where there is none."""
        card = self.workbench.segmenter
        return len(card.recipe.channels) if card else 0

    def frames(self) -> list[Image]:
        """The layers of the series of which a frame is open, in its order; else none."""
        return series.frames(self.viewer, self.image, self._wanted())

    def show_frame(self, frame: Image) -> None:
        """Show a frame with its mask, if it has one; `open_scan` makes it the case."""
        series.show(frame, self.frames())
        self._aside.show(frame)
        if self.labels is not None:
            self.labels.visible = self.image is frame

    def first_image(self) -> Image | None:
        """The scan to open where the user named none: the selected layer, else the first."""
        scans, active = self.scans(), self.viewer.layers.selection.active
        return active if active in scans else next(iter(scans), None)

    def _watch(self, layer: Labels, case: Case) -> None:
        self._painting = Painting(layer, case, self.workbench, self)
        self._painting.painted.connect(self._on_painted)
        for name in LAYER_EVENTS:
            getattr(layer.events, name).connect(self._on_layer)
        layer.events.data.connect(self._on_data)
        self.brush.attach(self.viewer, layer)

    def _on_layer(self, event: Any = None) -> None:
        self.layer_changed.emit()

    def select_labels(self) -> None:
        """Make the mask the active layer: tools and keys act on that one."""
        if self.labels is not None and self.labels in self.viewer.layers:
            self.viewer.layers.selection.active = self.labels

    def _let_go(self) -> None:
        """Watch the layers no more."""
        if self.labels is not None:
            self.brush.detach(self.labels)
            for name in LAYER_EVENTS:
                getattr(self.labels.events, name).disconnect(self._on_layer)
            self.labels.events.data.disconnect(self._on_data)
        if self._painting is not None:
            self._painting.close()
            self._painting.deleteLater()
        self._painting = self.image = self.labels = self.tally = None

    # -- structures and marks -----------------------------------------------------------------

    def add_label(self, name: str) -> None:
        """A new structure, ready to be painted."""
        label = self.workbench.add_label(name)
        if self.labels is not None:
            self.labels.selected_label = label.value

    def rename(self, value: int, name: str) -> None:
        """Call a structure by another name."""
        case = self.case
        if case is not None and name != {one.value: one.name for one in case.names}.get(value):
            self.workbench.rename_label(value, name)

    def hide(self, values: frozenset[int]) -> None:
        """Do not draw these structures; their voxels stay."""
        if values != self.hidden:
            self.hidden = values
            self._show_colors()

    def _show_colors(self) -> None:
        if self.labels is None or self.case is None:
            return
        layers.recolor(self.labels, self.case.names, self.hidden)

    def toggle_mark(self) -> None:
        """Confirm the slice of the view at hand, or take that back."""
        viewed = self.toolbox.focus.viewed()
        if viewed is None:
            return
        axis, index = viewed
        if index in self.workbench.confirmed_slices(axis):
            self.workbench.unconfirm_slice(axis, index)
        else:
            self.workbench.confirm_slice(axis, index)

    def _on_case_closed(self) -> None:
        self._let_go()
        self.case_changed.emit()

    def _on_removed(self, event: Any) -> None:
        if event.value in (self.image, self.labels):
            self.prediction.stop()
            self._let_go()
            self.case_changed.emit()

    def _on_layers(self, event: Any = None) -> None:
        if not self.closed:
            self._open_soon.start()
            self.scans_changed.emit()

    def scans(self) -> list[Image]:
        """The image layers that are scans of their own: one for all channels of a file."""
        return series.scans(self.viewer, self.image)

    def _open_first(self) -> None:
        """Open the scan that came from a file, so that earlier corrections of it are back."""
        if self.labels is not None or self.closed:
            return
        ours = [one for one in self.scans() if layers.origin_of(one) is not None]
        if ours:
            self.try_to(self.open_scan, ours[-1])

    try_to = staticmethod(try_to)

    # -- painting -----------------------------------------------------------------------------

    @property
    def painting(self) -> Painting | None:
        """What notes the strokes on the open mask, in any view."""
        return self._painting

    def stroke_is_on(self) -> bool:
        """Whether a button is held on the mask: nobody else may write into it now."""
        noted = self._painting is not None and self._painting.down
        return noted or self.brush.stroke_is_on

    def _on_painted(self, box: Box) -> None:
        self.try_to(self.workbench.commit, box)

    def _on_data(self, event: Any = None) -> None:
        """Somebody put another array into the layer: take its values, and give ours back."""
        case, layer = self.case, self.labels
        if case is None or layer is None or layer.data is case.labels:
            return
        foreign, layer.data = layer.data, case.labels  # comes here again, and returns above
        if self.try_to(layers.copy_labels, foreign, case.labels) is not None:
            layer.refresh()
            self._on_painted(whole(case.labels.shape))

    def _on_labels_changed(self, box: Box) -> None:
        if not self._refresh_soon.isActive():
            self._refresh_soon.start()
        if not self._volumes_soon.isActive():
            self._volumes_soon.start()

    def _refresh(self) -> None:
        if self.stroke_is_on():
            self._refresh_soon.start()
        elif self.labels is not None:
            self.labels.refresh(extent=False, thumbnail=False, highlight=False)

    def viewed_slice(self) -> tuple[int, int] | None:
        """(axis, index) of the slice on the screen, on the case's array; None in 3-D."""
        return None if self.labels is None else viewed_slice(self.viewer, self.labels)

    def look_at(self, voxel: Sequence[int]) -> None:
        """Show a voxel (z, y, x) of the mask, in all views."""
        if self.labels is None:
            return
        place = np.asarray(self.labels.data_to_world(voxel))
        if self.views is not None:
            self.views.go_to(place)
        else:
            first = self.viewer.dims.ndim - 3
            self.viewer.dims.set_point(range(first, first + 3), place)

    # -- long work ----------------------------------------------------------------------------

    def predict(self, device: str, options: PredictConfig = DEFAULT) -> None:
        """Start a prediction of the open case; its mask appears piece by piece."""
        config = replace(options, device=device, slice_zyx=self._own_slice())
        self.asked = self.case, self.workbench.segmenter, config
        self.prediction.start(self.workbench.predict(config))

    def _on_predicted(self, result: Prediction) -> None:
        """Show the probabilities, where they were kept, in place of earlier ones."""
        case, card, _ = self.asked
        if case is None or card is None or case is not self.case:
            return
        chances = probability.renew(
            self.viewer, case, card.recipe.labels, result.softmax, self.image
        )
        if self.workbench.editor is not None:
            self.workbench.editor.chances = chances
        self.select_labels()

    def _own_slice(self) -> tuple[int, int] | None:
        """The viewed slice on the scan's own grid."""
        viewed, case = self.viewed_slice(), self.case
        return None if viewed is None or case is None else case.own_slice(*viewed)

    def fine_tune(self, config: FineTuneConfig) -> None:
        """Start a fine-tune on all that was corrected; one that awaits its verdict is kept."""
        self.keep_old()
        self.learning.start(self.workbench.fine_tune(config))

    def use_outcome(self) -> None:
        """Go on with what the last fine-tune gave."""
        self._decide(self.workbench.use)

    def keep_old(self) -> None:
        """Go on with the model in use; the new one stays on the list."""
        self._decide(self.workbench.keep_old)

    def _decide(self, verdict: Callable[[Any], None]) -> None:
        outcome, self.learning.result = self.learning.result, None
        if outcome is not None:
            verdict(outcome)
            self.learning.changed.emit()

    def corrected_slices(self) -> int:
        """Slices of the open case to learn from, where it is the only case; else more than one."""
        alone = self.tally is not None and self.workbench.corrected_cases() == 1
        return self.tally.slices if self.tally is not None and alone else 2

    # -- the workbench's word -----------------------------------------------------------------

    def _on_models(self, *_: object) -> None:
        self.models_changed.emit()

    def _on_corrected(self, correction: Correction) -> None:
        if self.tally is not None:
            self.tally.recount(correction.box[0])
        self._unsaved = True
        self._volumes_soon.start()
        self.corrected.emit()

    def _on_marks(self) -> None:
        self._unsaved = True
        if self.tally is not None:
            self.tally.recount(slice(None))
        self.marks_changed.emit()

    def _on_names(self) -> None:
        self._show_colors()
        self.names_changed.emit()

    def _on_writable(self, may: bool) -> None:
        if self.labels is not None:
            self.labels.editable = may

    def _on_slice(self, event: Any = None) -> None:
        own = self._own_slice() if self.prediction.running else None
        if own is not None:
            self.prediction.tell(LookAt(*own))
        self.slice_changed.emit()

    def _look_after(self) -> None:
        """Pass on what the workbench found out on its own, and note when all is on disk."""
        self.workbench.poll()
        if self._unsaved and self.workbench.saved:
            self._unsaved, self.saved_at = False, datetime.now()
            self.saved.emit()

    def close(self) -> None:
        """End all that runs within some seconds; what was painted is on disk."""
        if self.closed:
            return
        self.closed = True
        try:
            if self.views is not None:
                self.views.close()
        finally:
            self._end_work()

    def _end_work(self) -> None:
        self._let_go()
        for run in (runs := self.findChildren(Run)):  # a dock may have one of its own
            if run.worker is not None:
                run.worker.stop()
        self.workbench.close()
        for run in runs:
            run.abandon(CLOSE_GRACE_S)
        for timer in (self._refresh_soon, self._volumes_soon, self._open_soon, self._watchman):
            timer.stop()


def _once(parent: QObject, milliseconds: int, call: Any) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(call)
    return timer
