"""Brings a model of another program in, in a process of its own, while the window goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from napari_medseg.jobs import Job
from napari_medseg.models.import_options import ImportOptions, UntoldError
from napari_medseg.widgets import style
from napari_medseg.widgets.notices import tell_error, warn
from napari_medseg.widgets.onnx_dialog import OnnxDialog
from napari_medseg.widgets.runs import Run

OWN = ".safetensors"
FILES = "Models (*.safetensors *.onnx);;All files (*)"


class ImportRun(Run):
    """A running import.

    Signals
    -------
    imported
        The new model's file.
    untold
        It was refused because somebody must say more of it; brings the refusal.
    """

    imported = Signal(object)
    untold = Signal(object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.source = Path()

    def bring(self, source: Path, job: Job[Any]) -> None:
        """Start to import `source`."""
        self.source = source
        self.start(job)
        if self.worker is not None:
            self.worker.failed.disconnect(tell_error)
            self.worker.failed.connect(self._on_failed)

    def _on_returned(self, result: Any) -> None:
        super()._on_returned(result)
        for text in self.notices:
            warn(f"{self.source.name}: {text}")
        self.imported.emit(result)

    def _on_failed(self, error: BaseException) -> None:
        if isinstance(error, UntoldError):
            self.untold.emit(error)
        else:
            tell_error(error)


class ImportRow(QWidget):
    """How far an import is, and a button that ends it; not there while none runs."""

    def __init__(self, run: ImportRun) -> None:
        super().__init__()
        self._run = run
        self.bar, self.state = style.bar(), style.hint()
        self.stop = style.button("Stop", "Import no further; nothing is kept")
        self.stop.clicked.connect(run.stop)
        rows = style.column(self)
        rows.addWidget(self.bar)
        rows.addLayout(style.row(self.state, self.stop, stretch=(1,)))
        run.changed.connect(self.show_run)
        self.show_run()

    def show_run(self) -> None:
        run = self._run
        self.setVisible(run.running)
        if run.running:
            progress = run.progress
            numbers = (progress.done, progress.total) if progress else (0, 0)
            style.show_progress(self.bar, *numbers)
            style.say(self.state, (progress.text if progress else "") or "Starting…")


def load_menu(parent: QWidget, load: Any) -> QMenu:
    """What the button "Load…" offers; `load` takes the chosen paths."""
    menu = QMenu(parent)
    file = menu.addAction("Model file (.safetensors, .onnx)…", lambda: _give(load, _files(parent)))
    if file is not None:
        file.setToolTip("Choose several of our files to load them as one: the mean of all counts")
    menu.addAction("Folder of nnU-Net or MONAI…", lambda: _give(load, _folder(parent)))
    menu.setToolTipsVisible(True)
    return menu


def is_foreign(path: Path) -> bool:
    """Whether it has to be imported first."""
    return path.is_dir() or path.suffix.lower() != OWN


def ask(parent: QWidget, source: Path) -> ImportOptions | None:
    """What the user says of an ONNX file; None if the dialog was closed."""
    dialog = OnnxDialog(source.name, parent)
    return dialog.options() if dialog.exec() else None


def _give(load: Any, paths: Sequence[str]) -> None:
    if paths:
        load(*map(Path, paths))


def _files(parent: QWidget) -> list[str]:
    title = "Load a model, or several as one"
    return list(QFileDialog.getOpenFileNames(parent, title, "", FILES)[0])


def _folder(parent: QWidget) -> list[str]:
    chosen = QFileDialog.getExistingDirectory(parent, "A folder of nnU-Net or MONAI")
    return [str(chosen)] if chosen else []
