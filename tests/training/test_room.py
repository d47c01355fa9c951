"""Learning where memory runs out: a network that takes no more voxels than it has room for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cubes import example_of

from napari_medseg.errors import TrainingError
from napari_medseg.jobs import Notice, finish
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.training.events import StepDone
from napari_medseg.training.room import Room
from napari_medseg.training.session import fine_tune
from napari_medseg.training.study import Study

STEP = (8, 8, 8)
LACK = torch.OutOfMemoryError("CUDA out of memory")


def test_first_the_batch_then_the_patch_then_the_processor_is_given_up() -> None:
    room = Room(torch.device("cuda"), 2, (64, 64, 64), STEP)
    seen = []
    for _ in range(4):
        room, _said = room.less(LACK)
        seen.append((room.device.type, room.batch, room.patch[0]))
    assert seen == [("cuda", 1, 64), ("cuda", 1, 32), ("cuda", 1, 16), ("cpu", 1, 16)]
    with pytest.raises(TrainingError, match="must fit in memory"):
        room.less(LACK)


def test_what_is_not_about_memory_is_raised_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="shape"):
        Room(torch.device("cpu"), 2, (16, 16, 16), STEP).less(RuntimeError("shape mismatch"))


def test_a_fine_tune_goes_on_in_smaller_pieces_and_says_so_each_time(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def tight(self: Study, images: torch.Tensor, *rest: Any) -> float:
        if images.numel() > 8**3:
            raise LACK
        sizes.append(images.numel())
        return plain(self, images, *rest)

    plain = Study._step
    monkeypatch.setattr(Study, "_step", tight)
    config = FineTuneConfig(steps=2, batch=2, validations=1, device="cpu", threads=1)
    events: list[object] = []
    finish(fine_tune(segmenter, [example_of(n) for n in (20, 21)], config), events.append)
    told = [one.text for one in events if isinstance(one, Notice)]
    assert [text.split(": ")[1] for text in told] == ["one patch at a time", "patches of 8 × 8 × 8"]
    assert len([one for one in events if isinstance(one, StepDone)]) == 2
    assert sizes == [8**3] * 2
