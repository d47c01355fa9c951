"""Fine-tuning on what was corrected, in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from napari_medseg.correction.record import Example
from napari_medseg.correction.store import Store
from napari_medseg.correction.whole import whole
from napari_medseg.errors import InputError
from napari_medseg.jobs import Child, Job, Notice, Progress
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

    def kept(self, family: str, but: str = "") -> Job[list[Example]]:
        """Closed cases that teach a family of models, the last corrected first.

        As many as fit into a share of the free memory; `but` is the case that is open.
        """
        room = psutil.virtual_memory().available * TEACHING_SHARE
        store = self._settled()
        keys = [key for key in store.corrected() if key != but]
        found: list[Example] = []
        left_out = 0
        for number, key in enumerate(keys):
            yield Progress(number, len(keys), "Collecting the corrected cases")
            if (example := store.example(key, family)) is None:
                continue
            needed = example.volume.array.nbytes + 2 * example.mask.labels.nbytes
            if needed > room:
                left_out += 1
                continue
            room -= needed
            found.append(example)
        if left_out:
            yield Notice(
                f"{left_out} of {left_out + len(found)} other corrected cases do not fit into "
                "memory and teach nothing this time; close other programs"
            )
        return found

    def teach(
        self,
        card: ModelCard,
        own: Sequence[Example],
        others: Job[list[Example]],
        config: FineTuneConfig,
        out: Path,
        family: str,
        aside: ModelCard | None = None,
    ) -> Job[OutcomeCard]:
        """The job that teaches a copy of a model and saves it at `out`.

        One that was interrupted goes on, if nothing was corrected since and the settings are the
        same. The other cases are read from the disk when the job runs, on its thread. Who examines
        the `family` of models stays out of its lessons for ever. The copy sets out from the
        candidate that was kept `aside`, if there is one.

        Raises
        ------
        InputError
            Nothing was corrected, or another fine-tune runs.
        """
        self.refuse_second()
        self.running = True
        try:
            examples = [*own, *(yield from others)]
            if not examples:
                raise InputError(NO_TEACHER)
            kept = self._settled().folder / f"lesson-{family or 'none'}"
            config = replace(config, run_folder=config.run_folder or str(kept))
            sides, begin = self.sides(family), None if aside is None else aside.path
            outcome: OutcomeCard = yield from self._child.run(
                FINE_TUNE, card.path, examples, config, out, sides, begin
            )
            try:
                self._keep_sides(family, outcome.split)
            except OSError as error:  # the new model knows it too
                yield Notice(f"Which cases examine could not be remembered: {error.strerror}")
            return outcome
        finally:
            self.running = False

    def sides(self, family: str) -> dict[str, Any]:
        """Who teaches a family of models and who examines it, decided in earlier fine-tunes."""
        try:
            kept = json.loads(self._sides(family).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}  # the first one, or a damaged file: the lineage of the model knows it too
        return kept if isinstance(kept, dict) else {}

    def _keep_sides(self, family: str, split: Mapping[str, Any]) -> None:
        """On the disk before anybody can use the model that learned by them."""
        with whole(self._sides(family)) as file:
            file.write(json.dumps(split).encode())

    def _sides(self, family: str) -> Path:
        return self._settled().folder / f"split-{family or 'none'}.json"

    def refuse_second(self) -> None:
        """InputError while a fine-tune runs."""
        if self.running:
            raise InputError("a fine-tune must end before the next one starts; stop it first")

    def close(self) -> None:
        """End the process, within two seconds."""
        self._child.close()
