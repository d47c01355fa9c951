"""First dock: choose a scan and a model, run it, and watch the mask appear."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from napari import Viewer
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QSizePolicy

from napari_medseg.inference.clean import words
from napari_medseg.models.card import ModelCard
from napari_medseg.models.import_options import UntoldError
from napari_medseg.widgets import style
from napari_medseg.widgets.attach import PLUGIN, desk_of, show_dock, watch_window
from napari_medseg.widgets.frames import FrameRow
from napari_medseg.widgets.model_import import ImportRow, ask, is_foreign, load_menu
from napari_medseg.widgets.notices import tell
from napari_medseg.widgets.outlook_panel import OutlookLine
from napari_medseg.widgets.predict_options import PredictOptions, how_words
from napari_medseg.widgets.runs import EndedEarly
from napari_medseg.widgets.saving import save_mask, show_saving
from napari_medseg.widgets.scores import distinct

DEVICES = {"auto": "Automatic (GPU if there is one)", "cpu": "CPU", "cuda": "GPU (CUDA)"}
if sys.platform == "darwin":
    DEVICES["mps"] = "GPU (Apple)"
SAMPLE = "chest-ct"
NO_MODEL = "No model yet: load one, or paint a structure in a few slices and let one learn it."
RUN_KEY = "Control-Alt-R"
ENDED_EARLY = {
    EndedEarly.STOPPED: "Stopped: only a part is segmented.",
    EndedEarly.FAILED: "Failed: at most a part is segmented.",
}


class SegmentDock(style.Column):
    """Scan, model, device, run."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.desk = desk_of(napari_viewer)
        self._build_inputs()
        self._build_run()
        self._connect(self.desk.viewer)
        self._fill_models()
        self._fill_scans()
        self._show_run()

    # -- parts --------------------------------------------------------------------------------

    def _build_inputs(self) -> None:
        self.scans = _combo("The scan to segment: any image layer of the window")
        self.no_scan = style.hint("Drop a scan on the window, or use File ▸ Open File(s).")
        self.sample = style.button("Open the sample scan", "A small real scan to try it out")
        self.models = _combo("The model that finds the structures")
        self.load = style.button("Load…", "Add a model to the list: ours, nnU-Net, MONAI or ONNX")
        self.load.setMenu(load_menu(self, self.load_model))
        self.arrival = ImportRow(self.desk.importing)
        self.facts = style.hint()
        self.devices = _combo("Where the model computes")
        for key, text in DEVICES.items():
            self.devices.addItem(text, key)
        self.frames = FrameRow(self.desk)
        self.add(style.heading("Scan"), self.scans, self.frames, self.no_scan, self.sample)
        self.add(style.heading("Model"), style.row(self.models, self.load, stretch=(1,)))
        self.add(self.arrival)
        self.options = PredictOptions()
        self.begin = style.button("Learn one from my slices  ▸", "Open the dock Fine-tune")
        self.add(self.facts, self.begin, style.heading("Compute on"))
        self.add(self.devices, self.options.box)

    def _build_run(self) -> None:
        self.run = style.button("Segment")
        self.run.setToolTip("Let the model propose a mask (Ctrl+Alt+R)")
        self.bar = style.bar()
        self.state = style.hint()
        self.how = style.hint()
        self.notices = style.hint(color=style.NOTICE)
        self.save = style.button("Save mask…")
        self.next = style.button("Next: correct it  ▸", "Open the dock Correct")
        self.rows.addSpacing(8)
        self.outlook = OutlookLine(self.desk)
        self.add(self.run, self.bar, self.state, self.how, self.outlook, self.notices)
        self.rows.addStretch(1)
        self.add(style.row(self.save, self.next, stretch=(1, 1)))

    def _connect(self, viewer: Viewer) -> None:
        self.scans.activated.connect(self._open_chosen)
        self.models.activated.connect(self._adopt_chosen)
        self.desk.importing.imported.connect(self._take_model)
        self.desk.importing.untold.connect(self._ask_more)
        self.desk.importing.changed.connect(self._show_arrival)
        self.sample.clicked.connect(self._open_sample)
        self.begin.clicked.connect(self._go_to_learning)
        self.run.clicked.connect(self.toggle)
        self.save.clicked.connect(lambda: save_mask(self, self.desk))
        self.next.clicked.connect(self._go_on)
        self.desk.models_changed.connect(self._fill_models)
        self.desk.case_changed.connect(self._fill_scans)
        self.desk.scans_changed.connect(self._fill_scans)
        self.desk.prediction.changed.connect(self._show_run)
        viewer.bind_key(RUN_KEY, lambda _: self.desk.run_asked.emit(), overwrite=True)
        self.desk.run_asked.connect(self.toggle)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        watch_window(self, self.desk)
        super().showEvent(event)

    # -- scan ---------------------------------------------------------------------------------

    def _fill_scans(self) -> None:
        images = self.desk.scans()
        self.scans.clear()
        for image in images:
            self.scans.addItem(image.name, image)
        if self.desk.image in images:
            self.scans.setCurrentIndex(images.index(self.desk.image))
        self.scans.setVisible(bool(images))
        self.no_scan.setVisible(not images)
        self.sample.setVisible(not images)
        self._show_run()

    def _open_chosen(self) -> None:
        image = self.scans.currentData()
        if image is not None:
            self.desk.try_to(self.desk.open_scan, image)

    def _open_sample(self) -> None:
        self.desk.viewer.open_sample(PLUGIN, SAMPLE)

    # -- model --------------------------------------------------------------------------------

    def _fill_models(self) -> None:
        bench = self.desk.workbench
        self.models.clear()
        cards = distinct(bench.models)
        for card in cards:
            self.models.addItem(title(card), card)
            self.models.setItemData(
                self.models.count() - 1, str(card.path), Qt.ItemDataRole.ToolTipRole
            )
        chosen = bench.segmenter
        if chosen is not None:
            versions = [card.version for card in cards]
            if chosen.version in versions:
                self.models.setCurrentIndex(versions.index(chosen.version))
        style.say(self.facts, facts(chosen) if chosen else NO_MODEL)
        self.begin.setVisible(chosen is None)
        self.options.fit(chosen)
        self._show_run()

    def _adopt_chosen(self) -> None:
        card = self.models.currentData()
        if card is not None:
            self.desk.try_to(self.desk.workbench.adopt, card)

    def load_model(self, *paths: Path) -> None:
        """Put a model, or several as one, on the list and use it; what is none is refused."""
        importing = self.desk.importing
        if len(paths) == 1 and not is_foreign(paths[0]):
            self._take_model(paths[0])
        elif not importing.running:
            source = paths[0] if len(paths) == 1 else list(paths)
            importing.bring(paths[0], self.desk.workbench.import_model(source))

    def _take_model(self, path: Path) -> None:
        card = self.desk.try_to(self.desk.workbench.add_model, path)
        if card:
            self.desk.try_to(self.desk.workbench.adopt, card)
        self._fill_models()

    def _ask_more(self, refusal: UntoldError) -> None:
        source = self.desk.importing.source
        options = ask(self, source)
        if options is not None:
            self.desk.importing.bring(source, self.desk.workbench.import_model(source, options))

    def _show_arrival(self) -> None:
        self.load.setEnabled(not self.desk.importing.running)

    # -- run ----------------------------------------------------------------------------------

    def toggle(self) -> None:
        """Run, or stop what runs."""
        if self.desk.prediction.running or self.frames.runs.running:
            self.frames.runs.stop()
        elif self._reason():
            tell(self._reason())
        else:
            self.frames.settle()
            if self.desk.try_to(self.desk.open_scan, self.scans.currentData()):
                self._start()

    def _start(self) -> None:
        asked = self.devices.currentData(), self.options.value()
        if self.frames.all_frames:
            self.frames.runs.start(*asked)
        else:
            self.desk.try_to(self.desk.predict, *asked)

    def _reason(self) -> str:
        """Why it cannot run yet."""
        if self.scans.count() == 0:
            return "Open a scan first."
        return "" if self.desk.workbench.segmenter else "Load a model first."

    def _go_on(self) -> None:
        show_dock(self.desk.viewer, "Correct")

    def _go_to_learning(self) -> None:
        show_dock(self.desk.viewer, "Fine-tune")

    def _show_run(self) -> None:
        run = self.desk.prediction
        self.run.setText("Stopping…" if run.stopping else "Stop" if run.running else "Segment")
        style.paint_primary(self.run, style.STOP if run.running else style.ACCENT)
        self.run.setEnabled(not run.stopping and (run.running or not self._reason()))
        progress = run.progress
        self.bar.setVisible(run.running)
        style.show_progress(self.bar, *((progress.done, progress.total) if progress else (0, 0)))
        style.say(self.state, self._words())
        style.say(self.how, "" if run.result is None else how_words(run.result.how))
        style.say(self.notices, "\n".join(run.notices))
        show_saving(self.save, self.desk)
        self.next.setEnabled(self.desk.labels is not None)

    def _words(self) -> str:
        run = self.desk.prediction
        if run.running:
            frame = f"{self.frames.number.text()}: " if self.frames.runs.running else ""
            return frame + ((run.progress.text if run.progress else "") or "Starting…")
        if run.result is not None:
            return f"Done in {seconds(run.result.seconds)} on {run.result.device}. Look it through."
        return self._reason() or (ENDED_EARLY[run.ended_early] if run.ended_early else "")


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    combo.setMinimumContentsLength(8)
    return combo


def title(card: ModelCard) -> str:
    """A model in a list: its name, and when it was fine-tuned."""
    day = card.lineage.created[:10]
    return f"{card.name} · {day}" if card.lineage.parent and day else card.name


def facts(card: ModelCard) -> str:
    """What a user wants to know of a model before running it."""
    names = [label.name for label in card.recipe.labels]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    lines = [f"Finds: {shown}"]
    if card.members > 1:
        lines.append(f"The mean of {card.members} networks")
    if card.lineage.cases:
        verb = "Fine-tuned" if card.lineage.how == "finetune" else "Trained"
        lines.append(f"{verb} on {card.lineage.cases} case{'s'[: card.lineage.cases != 1]}")
    if card.recipe.clean:
        lines.append("Cleans: " + "; ".join(words(card.recipe.clean[:3], card.recipe.labels)))
    scores = {k: v for k, v in card.lineage.scores.items() if not math.isnan(v)}
    if scores:
        lines.append("Dice: " + ", ".join(f"{k} {v:.2f}" for k, v in list(scores.items())[:6]))
    return "\n".join(lines)


def seconds(value: float) -> str:
    """A time as a user says it."""
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s" if value < 120 else minutes(value)


def minutes(value: float) -> str:
    return f"{value / 60:.0f} min"
