"""Stand-ins for the rooms that need torch; run in real child processes, in no time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.correction.record import Example
from napari_medseg.inference.events import BoxDone, Prediction
from napari_medseg.jobs import Job, Progress
from napari_medseg.models.card import read_card
from napari_medseg.training.events import OutcomeCard
from napari_medseg.volume import Mask, Volume


def predict_with(volume: Volume, model_path: Path, config: Any) -> Job[Prediction]:
    """Label 1 where the scan is above 0: slice by slice, and one speck less in the end.

    Told where to look, it goes on with the slice nearest to that.
    """
    labels = (volume.array > 0).astype(np.uint8)
    waiting = list(range(len(labels)))
    while waiting:
        z = waiting.pop(0)
        told = yield BoxDone((z, 0, 0), labels[z : z + 1])
        if told is not None:
            waiting.sort(key=lambda one: abs(one - told.index))
        time.sleep(0.02 if config.keep_softmax else 0)
    labels[0, 0, 0] = 0
    return Prediction(Mask(labels, volume.geometry), "cpu", 0.1)


def fine_tune_file(
    model_path: Path,
    examples: Sequence[Example],
    config: Any,
    out: Path,
    known: Mapping[str, Any],
    begin: Path | None,
) -> Job[OutcomeCard]:
    """The same model under a new path; tells how many corrected voxels it was shown.

    Its split counts how often it was asked, and says where it was to begin; a file "refuse" beside
    the models has it refused.
    """
    yield Progress(sum(int(one.confirmed.sum()) for one in examples), len(examples))
    shutil.copy(out.with_name("candidate"), out)
    split = {"times": known.get("times", 0) + 1, "begin": str(begin or "")}
    good, why = not out.with_name("refuse").exists(), str(asdict(config))
    return OutcomeCard(read_card(out), {}, {}, good, why, 0.1, len(examples), split)


def fine_tune_forever(*_: object) -> Job[None]:
    """A step that takes longer than anybody waits."""
    yield Progress(0, 0)
    time.sleep(3600)
