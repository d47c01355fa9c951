"""Series in time: a slider over the frames, and a run over all of them."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QObject, QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QSlider, QWidget

from napari_medseg.inference.config import PredictConfig
from napari_medseg.widgets import style
from napari_medseg.widgets.desk import Desk

RESTS_MS = 150  # the slider, until the frame under it is opened to be painted on
RUNNING = "Stop the prediction to look at another frame"
TIP = "The frame that is shown, painted on and segmented; its mask comes with it"


class AllFrames(QObject):
    """Segments the frames of a series one after another, the one on the screen first.

    Signals
    -------
    changed
        It goes on with another frame, or ended.
    """

    changed = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._desk = desk
        self._left: list[Image] = []
        self._first: Image | None = None
        self._asked: tuple[str, PredictConfig] = "auto", PredictConfig()
        self._due = QTimer(self)
        self._due.setSingleShot(True)
        self._due.timeout.connect(self._go_on)
        desk.prediction.changed.connect(self._on_run)

    @property
    def running(self) -> bool:
        return self._first is not None

    def start(self, device: str, options: PredictConfig) -> None:
        """Begin with the open frame, and go through the others as they follow."""
        frames = self._desk.frames()
        at = frames.index(self._desk.image) if self._desk.image in frames else 0
        self._left = [*frames[at:], *frames[:at]]
        self._first = next(iter(self._left), None)
        self._asked = device, options
        self._go_on()

    def stop(self) -> None:
        """No further frame; what runs is stopped too."""
        self._left, self._first = [], None
        self._due.stop()
        self._desk.prediction.stop()
        self.changed.emit()

    def _on_run(self) -> None:
        run = self._desk.prediction
        if not self.running or run.running or self._due.isActive():
            return
        if run.result is not None:
            self._due.start()
        elif run.ended_early is not None:
            self.stop()

    def _go_on(self) -> None:
        """The next frame; after the last one the first is shown again, its mask as it came."""
        left = [one for one in self._left if one in self._desk.viewer.layers]
        if self._desk.closed or self._first is None:
            return
        if not left:
            first, self._first = self._first, None
            result = self._desk.prediction.result
            self._open(first)
            self._desk.prediction.result = result
            self._desk.prediction.changed.emit()
        else:
            self._left = left[1:]
            self._open(left[0])
            self._desk.try_to(self._desk.predict, *self._asked)
            if not self._desk.prediction.running:
                self.stop()
        self.changed.emit()

    def _open(self, frame: Image) -> None:
        if frame in self._desk.viewer.layers:
            self._desk.show_frame(frame)
            self._desk.try_to(self._desk.open_scan, frame)


class FrameRow(QWidget):
    """Which frame of a series is open, and whether all are to be segmented; else not there."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.runs = AllFrames(desk)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(1)
        self.number = style.hint()
        self.every = QCheckBox("Segment all frames")
        self.every.setToolTip("One after another, each by itself, beginning with this one")
        rows = style.column(self)
        rows.addLayout(style.row(self.slider, self.number, stretch=(3, 2)))
        rows.addWidget(self.every)
        self._rests = QTimer(self)
        self._rests.setSingleShot(True)
        self._rests.setInterval(RESTS_MS)
        self._rests.timeout.connect(self._open)
        self.slider.valueChanged.connect(self._show)
        desk.case_changed.connect(self.refresh)
        desk.scans_changed.connect(self.refresh)
        desk.models_changed.connect(self.refresh)
        desk.prediction.changed.connect(self._show_run)
        self.refresh()

    @property
    def all_frames(self) -> bool:
        """Whether the next run is over all frames."""
        return self.every.isChecked() and len(self._desk.frames()) > 1

    def settle(self) -> None:
        """Open the frame on the screen now, if the slider was moved a moment ago."""
        if self._rests.isActive():
            self._rests.stop()
            self._open()

    def refresh(self) -> None:
        """Show the frame that is open."""
        if self._rests.isActive():
            return
        frames = self._desk.frames()
        self.setVisible(len(frames) > 1)
        blocker = QSignalBlocker(self.slider)
        self.slider.setRange(0, max(0, len(frames) - 1))
        if self._desk.image in frames:
            self.slider.setValue(frames.index(self._desk.image))
        del blocker
        self._say()

    def _say(self) -> None:
        count = self.slider.maximum() + 1
        self.number.setText(f"Frame {self.slider.value() + 1} of {count}")

    def _show(self, number: int) -> None:
        frames = self._desk.frames()
        if number < len(frames):
            self._desk.show_frame(frames[number])
            self._rests.start()
        self._say()

    def _open(self) -> None:
        frames = self._desk.frames()
        if self.slider.value() < len(frames):
            self._desk.try_to(self._desk.open_scan, frames[self.slider.value()])
        self.refresh()

    def _show_run(self) -> None:
        busy = self._desk.prediction.running or self.runs.running
        self.slider.setEnabled(not busy)
        self.every.setEnabled(not busy)
        self.slider.setToolTip(RUNNING if busy else TIP)
