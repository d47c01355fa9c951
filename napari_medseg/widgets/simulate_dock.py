"""A dock of its own: what would correcting bring? A virtual person tries it on labelled cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from napari import Viewer
from qtpy.QtCore import QObject
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QLineEdit

from napari_medseg.errors import InputError
from napari_medseg.jobs import Job, Progress, apart
from napari_medseg.models.card import ModelCard
from napari_medseg.training.annotator import SimulatedPerson
from napari_medseg.training.config import FineTuneConfig, TrainConfig
from napari_medseg.training.dataset import find_cases, split
from napari_medseg.training.simulation import (
    CaseDone,
    Row,
    SimulateConfig,
    Strategy,
    curves,
    write_csv,
    write_png,
)
from napari_medseg.widgets import style
from napari_medseg.widgets.attach import desk_of, watch_window
from napari_medseg.widgets.curves import NamedCurves
from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.forms import Form, align
from napari_medseg.widgets.notices import tell
from napari_medseg.widgets.runs import Run

SIMULATE = "napari_medseg.training.simulate:compare_with"
ABOUT = (
    "A virtual person who knows the truth corrects case after case, and the model learns. The "
    "model in use and your corrections stay as they are."
)
WAYS = {
    Strategy.OURS: "As here: remembers, and is checked",
    Strategy.NO_GATE: "No memory, no check (RootPainter)",
    Strategy.RESTART: "From the first model (Cellpose)",
    Strategy.SCRATCH: "A new model each time (nnU-Net)",
    Strategy.NONE: "Learn nothing",
}
SHORT = {  # in the plot
    Strategy.OURS: "as here",
    Strategy.NO_GATE: "no memory",
    Strategy.RESTART: "from the first",
    Strategy.SCRATCH: "new each time",
    Strategy.NONE: "nothing",
}
HAND = {
    "budget": "Strokes per case",
    "brush_mm": "Brush (mm)",
    "ball": "A ball, into the slices beside",
    "noise_mm": "Unsteady by (mm)",
}
WORK = {"cases": "Cases to correct", "goal": "Good enough at Dice"}
LEARNING = {"steps": "Steps per case"}


class SimulateRun(Run):
    """A running simulation; keeps its rows, also those of one that was stopped."""

    def clear(self) -> None:
        super().clear()
        self.rows: list[Row] = []

    def take(self, event: object) -> None:
        if isinstance(event, CaseDone):
            self.rows.append(event.row)
        else:
            super().take(event)


class SimulateDock(style.Column):
    """Dataset, person, ways of learning, run, curve, files."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.desk = desk_of(napari_viewer)
        self.simulation = _run_of(self.desk)
        self._goal = SimulateConfig().goal
        self._build_settings()
        self._build_run()
        self.rows.addStretch(1)
        self._connect()
        self._show_run()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  Qt's name
        watch_window(self, self.desk)
        align(self.hand, self.work, self.learning)  # in napari's font, which is known by now
        super().showEvent(event)

    # -- parts --------------------------------------------------------------------------------

    def _build_settings(self) -> None:
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("Folder with images/ and labels/")
        self.choose = style.button("Choose…", "Labelled cases; a fifth of them is held back")
        self.hand = Form(SimulatedPerson(), HAND)
        self.work = Form(SimulateConfig(), WORK)
        self.learning = Form(FineTuneConfig(), LEARNING)
        self.ways = {strategy: QCheckBox(text) for strategy, text in WAYS.items()}
        self.ways[Strategy.OURS].setChecked(True)
        self.add(style.hint(ABOUT), style.heading("Labelled cases"))
        self.add(style.row(self.folder, self.choose, stretch=(1,)))
        self.add(style.heading("The virtual person"), self.hand, self.work, self.learning)
        self.add(style.heading("Ways of learning"), *self.ways.values())

    def _build_run(self) -> None:
        self.run = style.button("Start", "Runs in the background; go on working meanwhile")
        self.bar = style.bar()
        self.state = style.hint()
        self.notices = style.hint(color=style.NOTICE)
        self.curve = NamedCurves("Dice, held-back", "corrected cases")
        self.as_csv = style.button("Save CSV…", "A line for each corrected case")
        self.as_png = style.button("Save PNG…", "Dice over cases, strokes and seconds")
        self.add(self.run, self.bar, self.state, self.notices, self.curve)
        self.add(style.row(self.as_csv, self.as_png, stretch=(1, 1)))

    def _connect(self) -> None:
        self.choose.clicked.connect(self._choose)
        self.run.clicked.connect(self.toggle)
        self.as_csv.clicked.connect(lambda: self._save("simulation.csv", "Table (*.csv)"))
        self.as_png.clicked.connect(lambda: self._save("simulation.png", "Picture (*.png)"))
        self.simulation.changed.connect(self._show_run)
        self.desk.models_changed.connect(self._show_run)

    # -- what the user does -------------------------------------------------------------------

    def toggle(self) -> None:
        """Start, or stop what runs."""
        if self.simulation.running:
            self.simulation.stop()
        else:
            self.desk.try_to(self._start)

    def _start(self) -> None:
        card, folder = self.desk.workbench.segmenter, self.folder.text().strip()
        strategies = [way for way, box in self.ways.items() if box.isChecked()]
        if card is None:
            raise InputError("a model must be chosen first, in the dock Segment")
        if not folder or not strategies:
            missing = "a way of learning" if folder else "a folder of labelled cases"
            raise InputError(f"{missing} must be chosen, none is")
        config = replace(
            self.work.value(), person=self.hand.value(), learning=self.learning.value()
        )
        self._goal = config.goal
        self.simulation.start(simulated(card, Path(folder), config, strategies))

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Labelled cases", self.folder.text())
        if folder:
            self.folder.setText(folder)

    def _save(self, proposal: str, kind: str) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the simulation", proposal, kind)
        if chosen:
            ending = Path(proposal).suffix
            path = Path(chosen)
            path = path if path.suffix.lower() == ending else path.with_name(path.name + ending)
            self.desk.try_to(lambda: self.save_as(path))

    def save_as(self, path: Path) -> None:
        """The rows so far as a table or a chart, by the ending."""
        rows = self.simulation.rows
        if path.suffix.lower() == ".csv":
            write_csv(rows, path)
        else:
            write_png(rows, path, self._goal)
        tell(f"Saved as {path.name}.")

    # -- what the user sees -------------------------------------------------------------------

    def _show_run(self) -> None:
        run = self.simulation
        self.run.setText("Stopping…" if run.stopping else "Stop" if run.running else "Start")
        self.run.setEnabled(not run.stopping)
        style.paint_primary(self.run, style.STOP if run.running else style.ACCENT)
        self.bar.setVisible(run.running)
        progress = run.progress or Progress(0, 0)
        style.show_progress(self.bar, progress.done, progress.total)
        style.say(self.state, (progress.text or "Starting…") if run.running else "")
        style.say(self.notices, "\n".join(run.notices))
        lines = curves(run.rows, lambda row: row.cases)
        self.curve.setVisible(bool(lines))
        named = {SHORT[Strategy(line.name)]: line for line in lines}
        points = {name: list(zip(line.x, line.y, strict=True)) for name, line in named.items()}
        self.curve.draw(points)
        for one in (self.as_csv, self.as_png):
            one.setEnabled(bool(run.rows))


def simulated(
    card: ModelCard, folder: Path, config: SimulateConfig, strategies: Sequence[Strategy]
) -> Job[tuple[Row, ...]]:
    """The job; a process of its own does the work."""
    yield Progress(0, 0, "Looking for the cases")
    sides = split(find_cases(folder), TrainConfig())
    job: Callable[..., Job[tuple[Row, ...]]] = apart
    return (
        yield from job(
            SIMULATE, card.path, sides.train, sides.validation, config, list(strategies), [0]
        )
    )


def _run_of(desk: Desk) -> SimulateRun:
    """The desk's own: a dock may be closed and opened again while it goes on."""
    found: QObject | None = desk.findChild(SimulateRun)
    return found if isinstance(found, SimulateRun) else SimulateRun(desk)
