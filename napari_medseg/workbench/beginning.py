"""A model begun from the slices that were painted in the open case, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.correction.record import Example
from napari_medseg.inference.events import BoxDone
from napari_medseg.jobs import Child, Job
from napari_medseg.training.begun import Draft, ScratchCard
from napari_medseg.workbench.prediction import CaseBox, pieces_of

if TYPE_CHECKING:
    from napari_medseg.training.begun import ScratchConfig

BEGIN = "napari_medseg.training.scratch:from_nothing_file"


def begin(
    child: Child, key: str, example: Example, config: ScratchConfig, out: Path
) -> Job[ScratchCard]:
    """The job that follows what was painted through the scan and saves a model at `out`.

    Its drafts come as boxes of the case `key`, as a prediction's do: `Workbench.receive` writes
    them, never over what a person painted.
    """
    return as_boxes(child.run(BEGIN, example, config, out), key)


def as_boxes(job: Job[ScratchCard], key: str) -> Job[ScratchCard]:
    """The same job, each draft of the mask in small boxes, and an empty last one at its end."""
    try:
        while True:
            event = next(job)
            if isinstance(event, Draft):
                yield from pieces_of(BoxDone((0, 0, 0), event.mask.labels), key)
            else:
                yield event
    except StopIteration as done:
        card: ScratchCard = done.value
    finally:
        job.close()
    yield CaseBox((0, 0, 0), card.mask.labels[:0], key=key, last=True, family=card.model.version)
    return card
