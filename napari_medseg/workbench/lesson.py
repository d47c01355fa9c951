"""Fine-tuning on what was corrected, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from napari_medseg.correction.record import Example
from napari_medseg.correction.store import Store
from napari_medseg.errors import InputError
from napari_medseg.jobs import Child, Job, Progress
from napari_medseg.models.card import ModelCard

if TYPE_CHECKING:
    from napari_medseg.training.config import FineTuneConfig
    from napari_medseg.training.events import OutcomeCard

FINE_TUNE = "napari_medseg.training.session:fine_tune_file"
NO_TEACHER = (
    "fine-tuning needs a corrected case of this model, got none; "
    "correct a mask or confirm a slice first"
)
TEACHING_SHARE = 0.25  # of the free memory, for the scans of all corrected cases


class Tutor:
    """Runs one fine-tune at a time, on the open case and on those in the store.

    Parameters
    ----------
    settled
        Gives the store, once all closed cases are in it; called on the job's thread.
    """

    def __init__(self, settled: Callable[[], Store]) -> None:
        self._settled = settled
        self._child = Child()
        self.running = False

    def kept(self, family: str, but: str = "") -> Iterator[Example]:
        """Closed cases that teach a family of models, the last corrected first.

        As many as fit into a share of the free memory; `but` is the case that is open.
        """
        room = psutil.virtual_memory().available * TEACHING_SHARE
        store = self._settled()
        for key in store.corrected():
            if key == but or (example := store.example(key, family)) is None:
                continue
            room -= example.volume.array.nbytes + 2 * example.mask.labels.nbytes
            if room < 0:
                return
            yield example

    def teach(
        self,
        card: ModelCard,
        own: Sequence[Example],
        others: Iterator[Example],
        config: FineTuneConfig,
        out: Path,
    ) -> Job[OutcomeCard]:
        """The job that teaches a copy of a model and saves it at `out`.

        The other cases are read from the disk when the job runs, on its thread.

        Raises
        ------
        InputError
            Nothing was corrected, or another fine-tune runs.
        """
        self.refuse_second()
        self.running = True
        try:
            yield Progress(0, 0, "Collecting the corrected cases")
            examples = [*own, *others]
            if not examples:
                raise InputError(NO_TEACHER)
            outcome: OutcomeCard = yield from self._child.run(
                FINE_TUNE, card.path, examples, config, out
            )
            return outcome
        finally:
            self.running = False

    def refuse_second(self) -> None:
        """InputError while a fine-tune runs."""
        if self.running:
            raise InputError("a fine-tune must end before the next one starts; stop it first")

    def close(self) -> None:
        """End the process, within two seconds."""
        self._child.close()
