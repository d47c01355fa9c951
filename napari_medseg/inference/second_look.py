"""What a model thinks of its own mask, for a process beside the window.

>>> opinion = finish(Child().run("napari_medseg.inference.second_look:opinion_file", volume, path))
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_medseg.active.predicted import FEWEST, Known
from napari_medseg.active.ranking import UNSEEN
from napari_medseg.inference import device as devices
from napari_medseg.inference.agreement import Agreement, agreement
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.judging import as_prepared, in_memory, known_from, quietly
from napari_medseg.inference.opinion import Opinion
from napari_medseg.inference.predict import DEFAULT
from napari_medseg.inference.relay import Part
from napari_medseg.jobs import Job, Progress
from napari_medseg.models import checkpoint
from napari_medseg.volume import Volume


def opinion_file(volume: Volume, model_path: Path, config: PredictConfig = DEFAULT) -> Job[Opinion]:
    """The opinion of the model in a checkpoint; as many passes as `agreement` makes.

    Raises
    ------
    InputError, ModelError
        As `agreement`, or the checkpoint cannot be loaded.
    """
    yield Progress(0, 0, "Loading the model")
    devices.keep_freed_memory()
    segmenter = checkpoint.load(Path(model_path))
    job = agreement(volume, segmenter, config=config)
    found = yield from quietly(job, Part("Scan", 0, 1))
    return _cut(found)


def memory_file(model_path: Path, config: PredictConfig = DEFAULT) -> Job[tuple[Known, ...]]:
    """What the model's memory of cases that examined it tells; nothing where they are too few."""
    yield Progress(0, 0, "Loading the model")
    segmenter = checkpoint.load(Path(model_path))
    pieces = in_memory(segmenter)
    if len({one.subject for one in pieces}) < FEWEST:
        return ()
    return (yield from known_from(pieces, as_prepared(segmenter), (), config))


def _cut(found: Agreement) -> Opinion:
    """Only the box that holds a label or a doubt: a scan is mostly background that is right."""
    seen = (found.mask.labels > 0) | (found.wrong > UNSEEN)
    spans = []
    for axis in range(3):
        along = np.flatnonzero(seen.any(axis=tuple(one for one in range(3) if one != axis)))
        spans.append(slice(int(along[0]), int(along[-1]) + 1) if along.size else slice(0, 0))
    z, y, x = spans
    labels, wrong = found.mask.labels[z, y, x].copy(), found.wrong[z, y, x].copy()
    return Opinion(found.signs, (z.start, y.start, x.start), labels, wrong)
