"""A stand-in for fine-tuning: it tells what it was given to learn from, and needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_medseg.correction.record import Example
from napari_medseg.jobs import Job

HERE = Path(__file__).parent
CHILD = f"{__name__}:tell"


def tell(model_path: Path, examples: Sequence[Example], *_: object) -> Job[None]:
    """The cases as they came, in one event; it learns nothing."""
    yield list(examples)
