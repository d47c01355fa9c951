"""What is open now, and what can be done with it.

The docks share one `Workbench` and speak to each other only through its signals. Everything but
the running of a job happens on the window's thread: a job that `predict` or `fine_tune` gives may
run on another one, its events come back through `receive`.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_medseg.correction import effort
from napari_medseg.correction.effort import Effort
from napari_medseg.correction.record import Box, Correction, Deed, Example
from napari_medseg.correction.store import Recovered, Store, content_key, data_folder
from napari_medseg.errors import GridError, InputError, WriteError
from napari_medseg.inference.events import BoxDone, Prediction
from napari_medseg.jobs import Job
from napari_medseg.models.card import ModelCard
from napari_medseg.volume import Label, Mask, Volume, to_canonical
from napari_medseg.workbench.arrivals import import_apart
from napari_medseg.workbench.beginning import Beginning
from napari_medseg.workbench.case import (
    Case,
    anonymous,
    blank_state,
    clash,
    merged,
    tracker_of,
    unnamed,
)
from napari_medseg.workbench.companion import Companion
from napari_medseg.workbench.corrector import Corrector
from napari_medseg.workbench.critic import Critic
from napari_medseg.workbench.editor import Editor
from napari_medseg.workbench.lesson import NO_TEACHER, Tutor
from napari_medseg.workbench.prediction import CaseBox, Predictor
from napari_medseg.workbench.previews import Replaced
from napari_medseg.workbench.recorder import Recorder, came_back
from napari_medseg.workbench.shelf import Shelf

if TYPE_CHECKING:
    from napari_medseg.inference.config import PredictConfig
    from napari_medseg.models.import_options import ImportOptions
    from napari_medseg.training.begun import ScratchConfig
    from napari_medseg.training.config import FineTuneConfig
    from napari_medseg.training.events import OutcomeCard


KEY_SHOWN = 8  # digits of a case's key that tell it from others
NO_CASE = "a scan must be open, none is; open one first"


class Workbench:
    """The open case, the model in use, and what happens between them.

    Signals
    -------
    case_opened, case_closed
        A scan is there, or gone.
    labels_changed
        The box of `case.labels` that a prediction wrote: a layer must refresh.
    segmenter_adopted, models_changed
        Another model is in use; another list of models.
    look_replaced
        A quick look is gone, also from under strokes: their undoing must not bring it back.
    correction_committed, marks_changed, names_changed
        A person changed voxels, confirmed slices, or the list of structures.
    writable_changed
        Whether the open case may be corrected now: another window has it, or let go of it.
    warned
        A sentence for the user.
    """

    case_opened = Signal(Case)
    case_closed = Signal()
    labels_changed = Signal(tuple)
    look_replaced = Signal(Replaced)
    segmenter_adopted = Signal(ModelCard)
    models_changed = Signal()
    correction_committed = Signal(Correction)
    marks_changed = Signal()
    names_changed = Signal()
    writable_changed = Signal(bool)
    warned = Signal(str)

    def __init__(self, data: Path | None = None, bundled: Path | None = None) -> None:
        self._data = data_folder() if data is None else data
        self._warnings: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._shelf = Shelf(self._data / "models", self._warnings.put, bundled)
        self._recorder = Recorder(Store(self._data / "cases"), self._warnings.put)
        self._predictor, self._tutor = Predictor(), Tutor(self._recorder.settled)
        self.companion, self.critic = Companion(self._recorder), Critic(self._data / "critic")
        self.case: Case | None = None
        self.editor: Editor | None = None
        self.segmenter: ModelCard | None = self._shelf.chosen()

    # ------------------------------------------------------------------ models

    @property
    def models(self) -> list[ModelCard]:
        """Every model at hand: bundled, added by the user, then versions, the oldest first."""
        return list(self._shelf.cards)

    def versions(self) -> list[ModelCard]:
        """The versions of the model in use, the oldest first; `adopt` any to go back to it."""
        return [] if self.segmenter is None else self._shelf.family(self.segmenter)

    def adopt(self, card: ModelCard) -> None:
        """Use this model from now on, also after a restart.

        A case that nobody touched takes the model's structures over; one that a person corrected
        keeps its own, and where the model means another one by a number that is told.
        """
        before = () if self.segmenter is None else self.segmenter.recipe.labels
        self.segmenter = card
        self._shelf.choose(card)
        if self.case is not None:
            self._fit_case(self.case, before, card.recipe.labels)
        self.segmenter_adopted.emit(card)

    def _fit_case(self, case: Case, before: tuple[Label, ...], labels: tuple[Label, ...]) -> None:
        """Let the open case follow from a model with some structures to one with others."""
        self.commit()
        names = merged(case.names, labels)
        if not case.tracker.touched:
            case.family = self._family()
            self._recorder.model_wrote()  # a record that goes on holds another model's
            if labels != before:
                own = [label for label in case.names if label not in before]
                names = merged(labels, merged(own, unnamed(case.present())))
        elif labels != before and (told := clash(case.names, labels)):
            self.warned.emit(told)
        self._corrector().rename(names)

    def add_model(self, path: Path) -> ModelCard:
        """Put a checkpoint of the user's on the list; ModelError where it is none."""
        card = self._shelf.add(Path(path))
        self.models_changed.emit()
        return card

    def import_model(
        self, source: Path | Sequence[Path], options: ImportOptions | None = None
    ) -> Job[Path]:
        """A model of another program, or several as one, made by its own process; then add it."""
        from napari_medseg.models.import_options import ImportOptions as Options

        shelf = self._shelf
        return import_apart(source, options or Options(), shelf.folder, shelf.first_path)

    # ------------------------------------------------------------------ the case

    def open_case(self, volume: Volume, mask: Mask | None = None, subject: str = "") -> Case:
        """Open a scan; corrections of the same scan that were made before come back.

        Parameters
        ----------
        volume
            The scan, on any axes.
        mask
            Labels on the same grid to begin with. They count as a model's: a later prediction may
            replace them, except where a person corrected or confirmed.
        subject
            Whom the scan shows; only a hash of it is kept.

        Raises
        ------
        GridError
            The mask lies on another grid.
        """
        if mask is not None and not mask.geometry.same_grid(volume.geometry):
            raise GridError(
                f"a mask must lie on its scan's grid, got {mask.geometry} for {volume.geometry}; "
                "resample it first",
                volume.name,
            )
        self.close_case()
        suggested = self._shelf.suggested(volume.modality)
        if suggested is not None:
            self.segmenter = suggested
        case, recovered = self._recovered(volume, mask, anonymous(subject))
        self.case, self.editor = case, self._editor_of(case, recovered)
        self.case_opened.emit(case)
        if suggested is not None:
            self.segmenter_adopted.emit(suggested)
        if told := came_back(case, recovered):
            self.warned.emit(told)
        self.poll()
        return case

    def _recovered(self, volume: Volume, mask: Mask | None, subject: str) -> tuple[Case, Recovered]:
        """A case with what the store knows of it, recorded from now on."""
        canonical, turn = to_canonical(volume)
        key = content_key(canonical)
        names = self._known_names(mask)
        blank = blank_state(turn.target.shape, names)
        recovered = self._recorder.recover(key, blank)
        state = recovered.state or blank
        names = merged(state.names, names)
        tracker = tracker_of(state, names)
        family = state.family if tracker.touched else self._family()
        case = Case(canonical, turn, tracker, names, subject or key, key, family)
        case.writable = recovered.writable
        self._recorder.start(case, recovered)
        if mask is not None and tracker.receive(*case.canonical(BoxDone((0, 0, 0), mask.labels))):
            self._recorder.model_wrote()
        return case, recovered

    def _editor_of(self, case: Case, recovered: Recovered) -> Editor:
        corrector = Corrector(case, self._recorder, lambda: self._predictor.running)
        corrector.replaced.connect(lambda gone: self.look_replaced.emit(gone))
        corrector.corrected.connect(lambda done: self.correction_committed.emit(done))
        corrector.marks_changed.connect(lambda: self.marks_changed.emit())
        corrector.names_changed.connect(lambda: self.names_changed.emit())
        corrector.labels_changed.connect(lambda box: self.labels_changed.emit(box))
        corrector.warned.connect(lambda told: self.warned.emit(told))
        return Editor(case, recovered.history, corrector, self._recorder.effort_file(case.key))

    def close_case(self) -> None:
        """Close the open case, if any; nothing of it is lost."""
        if self.case is None:
            return
        self.commit()
        self.drop_previews()
        if self.editor is not None:
            self.editor.rest()
        self._recorder.finish(self.case)
        self.case = self.editor = None
        self.case_closed.emit()

    def save_mask(self, path: Path) -> None:
        """Write the labels on the scan's own grid; the ending picks the format."""
        from napari_medseg.io import write_mask

        write_mask(self._open_case().mask(), Path(path))

    def volumes_ml(self) -> dict[int, float]:
        """Volume of each structure as of the last commit, by its number; named ones always."""
        case = self._open_case()
        counts, voxel_ml = case.tracker.counts, case.volume.geometry.voxel_ml
        values = {*case.present(), *(n.value for n in case.names)}
        return {value: float(counts[value]) * voxel_ml for value in sorted(values)}

    def add_label(self, name: str, color: str = "") -> Label:
        """A new structure to paint; without a colour it takes the next free one."""
        return self._corrector().add_label(name, color)

    def rename_label(self, value: int, name: str) -> None:
        """Call a structure by another name."""
        self._corrector().rename_label(value, name)

    # ------------------------------------------------------------------ corrections

    def commit(self, box: Box | None = None, name: str = "stroke") -> Correction | None:
        """Take note of what a person changed since the last commit; None where nothing was.

        Call it after each stroke, inside `box` (30 ms for 512 x 512 x 512 without). It becomes a
        step of that name which can be taken back; "" is none of its own. In a case that is only
        shown it is taken back at once.
        """
        correction = self._corrector().commit(box, Deed(name, time.time()))
        self.poll()
        return correction

    def confirm_slice(self, axis: int, index: int) -> None:
        """A person says that this slice is right as it is now.

        Raises
        ------
        InputError
            The slice still shows a quick look, which a better answer follows.
        """
        self._corrector().mark(axis, index, True, Deed("confirm slice", time.time()))

    def unconfirm_slice(self, axis: int, index: int) -> None:
        """Take that back; what was painted in the slice stays painted."""
        self._corrector().mark(axis, index, False, Deed("unconfirm slice", time.time()))

    def confirmed_slices(self, axis: int) -> tuple[int, ...]:
        """Indices of the confirmed slices along an axis (0 Z, 1 Y, 2 X), ascending."""
        return tuple(sorted(self._open_case().tracker.marks[axis]))

    def example(self) -> Example:
        """The open case as a teacher."""
        case = self._open_case()
        self.commit()
        return case.example()

    def corrected_cases(self) -> int:
        """How many cases were corrected so far; reads no scan."""
        keys = set(self._recorder.corrected())
        if self.case is not None:
            (keys.add if self.case.tracker.touched else keys.discard)(self.case.key)
        return len(keys)

    def efforts(self) -> dict[str, Effort]:
        """What each corrected case took, by the first digits of its key; the open one first."""
        keys = self._recorder.corrected()
        found = {key: effort.load(self._recorder.effort_file(key)) for key in keys}
        if self.case is not None and self.editor is not None:
            found.pop(self.case.key, None)
            found = {self.case.key: self.editor.effort, **found}
        return {key[:KEY_SHOWN]: one for key, one in found.items()}

    # ------------------------------------------------------------------ prediction

    def predict(self, config: PredictConfig) -> Job[Prediction]:
        """The job that segments the open case; give each event that it yields to `receive`.

        Call `drop_previews` where it is stopped or fails.
        """
        case, card = self._open_case(), self._segmenter()
        case.check_writable()
        self.commit()
        job = self._predictor.predict(case, card, config, self._family())
        self.drop_previews()
        return job

    def receive(self, event: object) -> None:
        """Take what a prediction gives: boxes, on the scan's own grid; all else is let pass.

        Voxels that a person painted or confirmed keep their label. Boxes of a case that is no
        longer open are dropped.
        """
        if not isinstance(event, BoxDone) or self.case is None:
            return
        if isinstance(event, CaseBox) and event.key != self.case.key:
            return
        if isinstance(event, CaseBox) and event.last:
            self.case.previews.forget()
            if not self.case.tracker.touched:  # all of its labels are this model's
                self.case.family = event.family
                self._recorder.model_wrote()
            self._recorder.keep_whole(self.case)
        else:
            self._write(event)

    def begin(self, config: ScratchConfig) -> Beginning:
        """A model of what a person painted in the open case, and the rest of its mask."""
        self._open_case().check_writable()
        self._tutor.refuse_second()
        return Beginning(self, self._predictor, self._shelf, config)

    def drop_previews(self) -> None:
        """A prediction ended early: labels that were only a quick look become what they were."""
        if self.case is None or not self.case.previews:
            return
        self.commit()
        for gone in self.case.previews.take_back(self.case.tracker):
            self.look_replaced.emit(gone)
            self.labels_changed.emit(gone.box)
        self._recorder.keep_whole(self.case)

    # ------------------------------------------------------------------ fine-tuning

    def fine_tune(self, config: FineTuneConfig) -> Job[OutcomeCard]:
        """The job that teaches a copy of the model in use what was corrected."""
        card, own = self._segmenter(), self._own()
        self._tutor.refuse_second()
        if not own and self.case is not None and self.case.tracker.touched:
            raise InputError(
                "this scan was corrected with another model; go back to that one, "
                "or correct another scan with the model in use"
            )
        if not own and not self._recorder.settled().corrected():
            raise InputError(NO_TEACHER)
        try:
            out = self._shelf.next_path(card)
        except OSError as error:
            raise WriteError(f"a new version cannot be saved: {error.strerror}") from error
        family, aside = self._family(), self._shelf.aside_of(card)
        return self._tutor.teach(card, own, self._kept(), config, out, family, aside)

    def _own(self) -> list[Example]:
        """The open case, if it is corrected and its labels are those of the model in use."""
        if self.case is None:
            return []
        self.commit()
        teaches = self.case.tracker.touched and self.case.family == self._family()
        return [self.case.example()] if teaches else []

    def _kept(self) -> Job[list[Example]]:
        """The other cases that teach the model in use."""
        return self._tutor.kept(self._family(), but="" if self.case is None else self.case.key)

    def use(self, outcome: OutcomeCard) -> None:
        """Go on with the fine-tuned model."""
        self._shelf.refresh()
        self.models_changed.emit()
        self.adopt(outcome.candidate)

    def keep_old(self, outcome: OutcomeCard) -> None:
        """Go on with the model in use; the next lesson begins at one that the gate refused."""
        self._shelf.refresh()
        if not outcome.adopted:
            self._shelf.keep_aside(outcome.candidate)
        self.models_changed.emit()

    # ------------------------------------------------------------------ housekeeping

    @property
    def saved(self) -> bool:
        """Whether everything that a person did is on the disk."""
        return self._recorder.saved

    def flush(self, timeout_s: float = 1.0) -> bool:
        """Wait until everything is on the disk; False if the time is up before."""
        return self._recorder.flush(timeout_s)

    def poll(self) -> None:
        """Tell by `warned` what went wrong behind the scenes; call it from a timer now and then."""
        while not self._warnings.empty():
            self.warned.emit(self._warnings.get())
        may = self._recorder.may_write
        if self.case is not None and self.case.writable != may:
            self.case.writable = may
            self.writable_changed.emit(may)

    def close(self) -> None:
        """End everything within three seconds; what was corrected is on disk."""
        children = (self._predictor, self._tutor, self.companion, self.critic)
        with ThreadPoolExecutor(len(children)) as pool:
            ends = [pool.submit(child.close) for child in children]
            self.close_case()
            self._recorder.close()
        for end in ends:
            end.result()
        self.poll()

    def _write(self, event: BoxDone) -> None:
        box, labels = self._open_case().canonical(event)
        self._corrector().receive(box, labels, event.preview)

    def _corrector(self) -> Corrector:
        if self.editor is None:
            raise InputError(NO_CASE)
        return self.editor.corrector

    def _open_case(self) -> Case:
        if self.case is None:
            raise InputError(NO_CASE)
        return self.case

    def _segmenter(self) -> ModelCard:
        if self.segmenter is None:
            raise InputError("a model must be chosen, none is; add a model file first")
        return self.segmenter

    def _family(self) -> str:
        return "" if self.segmenter is None else self._shelf.root(self.segmenter)

    def _known_names(self, mask: Mask | None) -> tuple[Label, ...]:
        """Structures of a mask and of the model in use."""
        labels = () if self.segmenter is None else self.segmenter.recipe.labels
        if mask is None:
            return merged(labels, ())
        return merged(mask.names, merged(labels, unnamed(mask.values())))
