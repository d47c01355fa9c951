"""Predictions of the open case, from a process that stays warm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import InputError
from napari_medseg.inference.events import BoxDone, Prediction
from napari_medseg.jobs import Child, Job
from napari_medseg.models.card import ModelCard
from napari_medseg.workbench.case import Case

if TYPE_CHECKING:
    from napari_medseg.inference.config import PredictConfig

PREDICT = "napari_medseg.inference.predict:predict_with"
PIECE_VOXELS = 1 << 20  # of one event: written between two mouse moves


@dataclass(frozen=True, eq=False)
class CaseBox(BoxDone):
    """A finished box of the case `key`.

    The `last` one is empty, ends the prediction and says of which `family` its model is.
    """

    key: str = ""
    last: bool = False
    family: str = ""


class Predictor:
    """Runs one prediction at a time."""

    def __init__(self) -> None:
        self._child = Child()
        self.running = False

    def predict(
        self, case: Case, card: ModelCard, config: PredictConfig, family: str = ""
    ) -> Job[Prediction]:
        """The job; its boxes are small, say which case they belong to, and end with a last one.

        Raises
        ------
        InputError
            Another prediction runs, or the model's labels do not fit the case's mask.
        """
        top = max((label.value for label in card.recipe.labels), default=0)
        if top > case.top_label():
            raise InputError(
                f"labels of this scan must be at most {case.top_label()}, the model gives {top}; "
                "choose the model before you open the scan"
            )
        self.refuse_second()
        return self._run(case, card, config, family)

    def alone(self, name: str, *arguments: Any) -> Job[Any]:
        """Another job of the same process; no prediction runs meanwhile, for it fills the mask too.

        Raises
        ------
        InputError
            A prediction runs, or another such job.
        """
        self.refuse_second()
        return self._alone(name, *arguments)

    def close(self) -> None:
        """End the process, within two seconds."""
        self._child.close()

    def _run(
        self, case: Case, card: ModelCard, config: PredictConfig, family: str
    ) -> Job[Prediction]:
        job = self._alone(PREDICT, case.scan, card.path, config)
        result: Prediction = yield from _in_pieces(job, case.key)
        labels = result.mask.labels
        yield from pieces_of(BoxDone((0, 0, 0), labels), case.key)  # may be cleaner than the boxes
        yield CaseBox((0, 0, 0), labels[:0], key=case.key, last=True, family=family)
        return result

    def _alone(self, name: str, *arguments: Any) -> Job[Any]:
        self.refuse_second()
        self.running = True
        try:
            return (yield from self._child.run(name, *arguments))
        finally:
            self.running = False

    def refuse_second(self) -> None:
        """InputError while something of this process fills the mask."""
        if self.running:
            raise InputError(
                "a prediction must end before the next one starts, and so must learning from "
                "slices; stop it first"
            )


def _in_pieces(job: Job[Any], key: str) -> Job[Any]:
    """The same job with small boxes that say which case they belong to; it hears what it is told.

    Of what was told between the pieces of one box the last counts.
    """
    wish = None
    try:
        while True:
            event = job.send(wish)
            wish = None
            for piece in pieces_of(event, key) if isinstance(event, BoxDone) else (event,):
                told = yield piece
                wish = wish if told is None else told
    except StopIteration as done:
        return done.value
    finally:
        job.close()


def pieces_of(box: BoxDone, key: str) -> Iterator[CaseBox]:
    """Slabs of at most `PIECE_VOXELS`, but one slice at least."""
    z, y, x = box.start
    depth, area = len(box.labels), max(1, box.labels.size // max(1, len(box.labels)))
    step = max(1, PIECE_VOXELS // area)
    for first in range(0, depth, step):
        yield CaseBox((z + first, y, x), box.labels[first : first + step], box.preview, key)
