"""A model begun from painted slices of the open case; here its job tells what a test makes up."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_medseg.inference.events import BoxDone
from napari_medseg.jobs import Job, finish
from napari_medseg.training.begun import Draft, ScratchCard
from napari_medseg.volume import Mask, Volume
from napari_medseg.workbench import Workbench
from napari_medseg.workbench.beginning import as_boxes


def told(volume: Volume, card: Any) -> Job[ScratchCard]:
    """A job whose draft says 1 everywhere."""
    mask = Mask(np.ones(volume.geometry.shape, np.uint8), volume.geometry)
    yield Draft(mask, "all of it", 0.0)
    return ScratchCard(mask, card, 0.0)


def test_a_draft_never_covers_what_was_painted(bench: Workbench, scan: Volume) -> None:
    case = bench.open_case(scan)
    case.labels[2, 3:5, 3:5] = 2
    bench.commit()
    finish(as_boxes(told(scan, bench.segmenter), case.key), bench.receive)
    assert (case.labels[2, 3:5, 3:5] == 2).all()
    assert np.count_nonzero(case.labels == 1) == case.labels.size - 4


def test_it_ends_with_an_empty_box_that_says_so(bench: Workbench, scan: Volume) -> None:
    events: list[Any] = []
    finish(as_boxes(told(scan, bench.segmenter), "one"), events.append)
    boxes = [event for event in events if isinstance(event, BoxDone)]
    assert [box.last for box in boxes] == [False] * (len(boxes) - 1) + [True]  # type: ignore[attr-defined]
