"""What the predicted Dice is learned from: cases that were corrected, or the model's own memory.

>>> judge = calibrated(finish(known_from(cases, segmenter)))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_medseg.active.predicted import Known
from napari_medseg.errors import MedsegError
from napari_medseg.inference.agreement import Agreement, agreement
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import BoxDone
from napari_medseg.inference.predict import DEFAULT
from napari_medseg.inference.relay import Part, relayed
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.models.exemplar import Exemplar
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Normalise
from napari_medseg.volume import Geometry, Mask, Volume

UNKNOWN = 255  # of a mask: nobody said what is there


@dataclass(frozen=True)
class Corrected:
    """A case with its truth, read when its turn comes; `subject` is whom it shows."""

    subject: str
    read: Callable[[], tuple[Volume, Mask]]


def known_from(
    cases: Sequence[Corrected],
    segmenter: Segmenter,
    versions: Sequence[Segmenter] = (),
    config: PredictConfig = DEFAULT,
) -> Job[tuple[Known, ...]]:
    """What the model's passes said of corrected cases, and what was true.

    Yields `Progress`, and a `Notice` for a case that cannot be used.
    """
    known: list[Known] = []
    for number, one in enumerate(cases):
        part = Part("Corrected case", number, len(cases))
        try:
            volume, truth = one.read()
            job = agreement(volume, segmenter, versions, config)
            found = yield from quietly(job, part)
        except MedsegError as error:
            yield Notice(f"not calibrated with {error.name or one.subject}: {error.message}")
            continue
        known += compared(one.subject, found, truth)
    return tuple(known)


def quietly(job: Job[Agreement], part: Part) -> Job[Agreement]:
    """A job of many with progress over all, without the boxes that nobody sees."""

    def seen(event: object) -> object | None:
        if isinstance(event, Progress):
            return part.of_all(event)
        return None if isinstance(event, BoxDone) else event

    return relayed(job, seen, lambda wish: None)


def in_memory(segmenter: Segmenter) -> tuple[Corrected, ...]:
    """Pieces of cases that examined the model and never taught it, for `as_prepared` models.

    A cascade's second stage has none: its first stage reads whole scans.
    """
    if segmenter.previous is not None:
        return ()
    pieces = (one for one in segmenter.memory if one.exam)
    return tuple(_pieces(pieces, segmenter))


def as_prepared(segmenter: Segmenter) -> Segmenter:
    """The same model for pieces that lie on its grid and are normalised already."""
    recipe = replace(
        segmenter.recipe,
        normalise=Normalise.RANGE,
        window=(0.0, 1.0),
        onto=(0.0, 1.0),
        clip=False,
        orientation="LPS",
        nnunet=None,
    )
    return replace(segmenter, recipe=recipe)


def _pieces(memory: Iterator[Exemplar], segmenter: Segmenter) -> Iterator[Corrected]:
    values = np.zeros(UNKNOWN + 1, np.uint8)
    values[: len(segmenter.recipe.values)] = segmenter.recipe.values
    values[UNKNOWN] = UNKNOWN

    spacing_mm = segmenter.recipe.spacing_mm or (1.0, 1.0, 1.0)

    def reader(one: Exemplar) -> Callable[[], tuple[Volume, Mask]]:
        def read() -> tuple[Volume, Mask]:
            z, y, x = one.target.shape
            geometry = Geometry.from_spacing((z, y, x), spacing_mm)
            image = one.values().numpy()
            array = image[0] if len(image) == 1 else image
            return Volume(array, geometry, name="memory"), Mask(values[one.target], geometry)

        return read

    for one in memory:
        yield Corrected(one.subject, reader(one))


def compared(subject: str, found: Agreement, truth: Mask) -> Iterator[Known]:
    """One for each label that was found; where nobody knows the truth does not count."""
    told = truth.labels != UNKNOWN
    for label, signs in found.signs.items():
        ours, theirs = (found.mask.labels == label) & told, truth.labels == label
        total = np.count_nonzero(ours) + np.count_nonzero(theirs)
        if total:
            dice = 2.0 * np.count_nonzero(ours & theirs) / total
            yield Known(subject, label, signs, float(dice))
