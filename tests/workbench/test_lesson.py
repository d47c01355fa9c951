"""Which closed cases teach."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from napari_medseg.jobs import Notice, Progress, finish
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.volume import Geometry, Volume
from napari_medseg.workbench import Workbench, lesson


def corrected(bench: Workbench, slices: int, seed: int) -> Volume:
    """A scan with a stroke in it, which is the open one now."""
    array = np.random.default_rng(seed).normal(size=(slices, 10, 12)).astype(np.float32)
    geometry = Geometry.from_ras(array.shape, np.diag([1.0, 1.0, 2.0, 1.0]))
    scan = Volume(array, geometry, name=f"scan {seed}")
    bench.open_case(scan).labels[0, :3, :3] = 1
    bench.commit()
    return scan


def test_a_case_too_large_for_the_memory_is_left_out_by_itself_and_told(
    bench: Workbench, standin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slices, seed in ((6, 0), (60, 1), (6, 2)):
        scan = corrected(bench, slices, seed)
    corrected(bench, 6, 3)  # the open one
    room = 3 * (scan.array.nbytes + 2 * scan.array.size)  # three small ones
    monkeypatch.setattr(lesson, "TEACHING_SHARE", room / psutil.virtual_memory().available)
    events: list[object] = []
    outcome = finish(bench.fine_tune(FineTuneConfig()), events.append)
    assert outcome.cases == 3
    assert [one.done for one in events if isinstance(one, Progress)][:3] == [0, 1, 2]
    (said,) = [one.text for one in events if isinstance(one, Notice)]
    assert said.startswith("1 of 3 other corrected cases do not fit into memory")
