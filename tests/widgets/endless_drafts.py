"""A stand-in for learning from slices, in a real child process that needs no torch."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.correction.record import Example
from napari_medseg.jobs import Job, Progress
from napari_medseg.training.begun import Draft


def draft_for_ever(example: Example, config: Any, out: Path) -> Job[None]:
    """A draft that says 1 everywhere, half a model's file, and then nothing but waiting."""
    out.write_bytes(b"half")
    yield Draft(replace(example.mask, labels=np.ones_like(example.mask.labels)), "all", 0.0)
    while True:
        yield Progress(0, 0, "Finding the rest")
        time.sleep(0.05)
