"""A fine-tune that is interrupted goes on where it was, and ends as if it had not been."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_medseg.correction.record import Example
from napari_medseg.jobs import Notice, finish
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.training.events import StepDone
from napari_medseg.training.examples import lessons_of
from napari_medseg.training.gate import hold_back
from napari_medseg.training.runstate import RunFolder
from napari_medseg.training.session import fine_tune


def config(folder: Path | str = "", steps: int = 6) -> FineTuneConfig:
    return FineTuneConfig(
        steps=steps, batch=1, validations=2, device="cpu", threads=1, run_folder=str(folder)
    )


def interrupt(segmenter: Segmenter, examples: list[Example], folder: Path, after: int) -> None:
    job = fine_tune(segmenter, examples, config(folder))
    while not (isinstance(event := next(job), StepDone) and event.step == after):
        pass
    job.close()


@pytest.mark.parametrize("after", [2, 5])
def test_it_goes_on_and_ends_with_the_same_weights(
    segmenter: Segmenter, examples: list[Example], tmp_path: Path, after: int
) -> None:
    whole = finish(fine_tune(segmenter, examples, config()))
    interrupt(segmenter, examples, tmp_path, after)
    events: list[object] = []
    again = finish(fine_tune(segmenter, examples, config(tmp_path)), events.append)
    assert next(one.step for one in events if isinstance(one, StepDone)) == after + 1
    assert any("Going on" in one.text for one in events if isinstance(one, Notice))
    same = (torch.equal(a, again.candidate.weights[n]) for n, a in whole.candidate.weights.items())
    assert all(same)
    assert str(tmp_path) not in str(again.candidate.lineage.config)


@pytest.mark.parametrize(("cases", "steps"), [(3, 6), (4, 5)])
def test_with_other_examples_or_settings_it_begins_anew(
    segmenter: Segmenter, examples: list[Example], tmp_path: Path, cases: int, steps: int
) -> None:
    interrupt(segmenter, examples, tmp_path, 2)
    events: list[object] = []
    finish(fine_tune(segmenter, examples[:cases], config(tmp_path, steps)), events.append)
    assert [one.step for one in events if isinstance(one, StepDone)] == list(range(1, steps + 1))


def test_it_begins_anew_where_the_exam_is_another(
    segmenter: Segmenter, examples: list[Example], tmp_path: Path
) -> None:
    def ended(one: Example, at: slice) -> Example:
        confirmed = one.confirmed.copy()
        confirmed[at] = False
        return replace(one, confirmed=confirmed)

    examiner = next(
        n for n, one in enumerate(examples) if one.subject in held_by(segmenter, examples)
    )
    interrupt(segmenter, examples, tmp_path, 5)
    examples[examiner] = ended(examples[examiner], slice(9, 16))
    events: list[object] = []
    finish(fine_tune(segmenter, examples, config(tmp_path)), events.append)
    assert next(one.step for one in events if isinstance(one, StepDone)) == 1


def held_by(segmenter: Segmenter, examples: list[Example]) -> set[str]:
    """Subjects that examine in a fine-tune of these."""
    held = hold_back(finish(lessons_of(examples, segmenter.recipe, 255)), seed=config().seed)
    return {one.subject for one in held.exam}


def test_a_state_from_a_device_that_is_gone_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    state = {"settings": json.dumps({}, sort_keys=True), "weights": torch.ones(3)}
    with monkeypatch.context() as patched:
        patched.setattr(torch.serialization, "location_tag", lambda _: "cuda:99")
        folder.save(state)
    found = folder.load({})
    assert found is not None
    assert torch.equal(found["weights"], torch.ones(3))
