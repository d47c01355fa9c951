"""What a model would say of the open case, without a word of it in the mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.correction.record import Labels
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.relay import relayed
from napari_medseg.jobs import Job, Progress, apart
from napari_medseg.models.card import ModelCard
from napari_medseg.workbench.case import Case
from napari_medseg.workbench.prediction import PREDICT

if TYPE_CHECKING:
    from napari_medseg.inference.config import PredictConfig


def rehearse(case: Case, card: ModelCard, config: PredictConfig) -> Job[Labels]:
    """The mask (Z, Y, X) on canonical axes that a model gives; the case stays as it is."""
    job: Job[Any] = apart(PREDICT, case.scan, card.path, config)
    result = yield from relayed(job, _progress, lambda _: None)
    _, labels = case.canonical(BoxDone((0, 0, 0), result.mask.labels))
    return np.ascontiguousarray(labels)


def _progress(event: object) -> object | None:
    return event if isinstance(event, Progress) else None
