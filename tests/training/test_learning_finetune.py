"""A better model from corrections, and nothing lost on the way."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cubes import example_of

from napari_medseg.correction.record import Example
from napari_medseg.errors import InputError, ModelError, TrainingError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import Notice, Progress, finish
from napari_medseg.models import checkpoint
from napari_medseg.models.card import read_card
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training import finetune
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.training.dataset import held_subjects
from napari_medseg.training.events import Outcome, StepDone, Validated
from napari_medseg.training.examples import exam_box, lessons_of
from napari_medseg.training.finetune import UNCHECKED
from napari_medseg.training.gate import hold_back
from napari_medseg.training.sampling import lesson
from napari_medseg.training.session import fine_tune, fine_tune_file
from napari_medseg.training.study import ANEW, GOES_ON, LOOKS, Study

FEW = FineTuneConfig(steps=4, validations=2, threads=1)
MORE = FineTuneConfig(
    steps=30, learning_rate=0.02, threads=1, ema=0.5, anchor=0.0, validations=1, augmentation=0.0
)


def weights(segmenter: Segmenter) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in segmenter.weights.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def known_in(example: Example, slices: list[int]) -> Example:
    """Only these slices confirmed."""
    confirmed = np.zeros_like(example.confirmed)
    confirmed[slices] = True
    return replace(example, confirmed=confirmed)


def two_channels(example: Example) -> Example:
    """The scan twice, as one of two channels."""
    array = np.stack([example.volume.array] * 2)
    return replace(example, volume=replace(example.volume, array=array))


def test_corrections_make_the_model_better_on_others(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    outcome = finish(fine_tune(segmenter, examples, MORE))
    assert outcome.adopted
    assert outcome.segmenter is outcome.candidate
    assert sum(outcome.after.values()) > sum(outcome.before.values())
    assert "1 of 4 subjects" in outcome.why


def test_who_is_shown_one_label_only_does_not_paint_everything_with_it(
    segmenter: Segmenter,
) -> None:
    taught = [example_of(seed) for seed in (20, 21)]
    taught = [replace(one, confirmed=one.mask.labels == 1) for one in taught]
    other = example_of(30)
    before = finish(predict(other.volume, segmenter, PredictConfig())).mask.labels
    config = replace(MORE, steps=60, learning_rate=0.04, remember=0.0, gate=False)
    candidate = finish(fine_tune(segmenter, taught, config)).candidate
    after = finish(predict(other.volume, candidate, PredictConfig())).mask.labels
    assert 0 < np.count_nonzero(after != before) < 0.1 * after.size
    assert np.count_nonzero((after > 0) & (other.mask.labels == 0)) < 0.01 * after.size


def test_the_parent_stays_bit_for_bit(segmenter: Segmenter, examples: list[Example]) -> None:
    before = weights(segmenter)
    outcome = finish(fine_tune(segmenter, examples, FEW))
    assert equal(before, weights(segmenter))
    assert not equal(before, weights(outcome.candidate))


def test_a_candidate_that_is_worse_is_refused_and_kept_aside(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    held = held_subjects([example.subject for example in examples], 0.25)
    for example in examples:
        if example.subject not in held:
            example.mask.labels[:] = 0  # corrected by someone who sees nothing
    outcome = finish(fine_tune(segmenter, examples, replace(MORE, remember=0.0)))
    assert not outcome.adopted
    assert outcome.segmenter is segmenter
    assert outcome.candidate is not segmenter


def test_a_fine_tune_goes_on_from_what_was_kept_aside(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    aside = finish(fine_tune(segmenter, examples, replace(MORE, worst_drop=0.0))).candidate
    one_step = replace(MORE, steps=1, learning_rate=1e-6)
    said: list[object] = []
    assert not finish(fine_tune(segmenter, examples, one_step), said.append).adopted
    assert Notice(GOES_ON) not in said
    outcome = finish(fine_tune(segmenter, examples, one_step, begin=aside), said.append)
    assert outcome.adopted
    assert Notice(GOES_ON) in said
    assert outcome.candidate.lineage.parent == checkpoint.weights_hash(segmenter.weights)[:12]
    for name, one in weights(aside).items():  # and not back half-way to the older model
        torch.testing.assert_close(outcome.candidate.weights[name], one, atol=1e-4, rtol=0)


def test_what_is_kept_aside_is_half_of_the_way(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    held = hold_back(finish(lessons_of(examples, segmenter.recipe, None)))
    study = Study(segmenter, held, MORE)
    finish(study.prepare())
    _, middle = finish(study.teach(finish(study.score(study.whole))))
    begun, ended = segmenter.weights, study.student.average.state_dict()
    for name, one in middle.weights.items():
        torch.testing.assert_close(one, (begun[name] + ended[name]) / 2)
        assert not torch.equal(one, begun[name])


def test_a_candidate_that_went_astray_is_no_beginning(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    anew = finish(fine_tune(segmenter, examples, FEW)).candidate
    spoiled = {name: torch.zeros_like(one) for name, one in anew.weights.items()}
    astray = replace(anew, weights=spoiled)
    said: list[object] = []
    found = finish(fine_tune(segmenter, examples, FEW, begin=astray), said.append).candidate
    assert Notice(GOES_ON) not in said
    assert Notice(ANEW) in said
    assert equal(weights(anew), weights(found))


def test_a_candidate_knows_its_parent(segmenter: Segmenter, examples: list[Example]) -> None:
    lineage = finish(fine_tune(segmenter, examples, FEW)).candidate.lineage
    assert lineage.parent == checkpoint.weights_hash(segmenter.weights)[:12]
    assert lineage.how == "finetune"
    assert lineage.config["steps"] == 4
    assert lineage.cases == 3  # the fourth held the exam


def test_each_step_and_each_score_is_told(segmenter: Segmenter, examples: list[Example]) -> None:
    events: list[object] = []
    finish(fine_tune(segmenter, examples, FEW), events.append)
    assert [e.step for e in events if isinstance(e, StepDone)] == [1, 2, 3, 4]
    assert [e.step for e in events if isinstance(e, Validated)] == [0, 2, 4]


@pytest.mark.parametrize("stop", [StepDone, Validated])
def test_closing_leaves_nothing(
    segmenter: Segmenter, examples: list[Example], tmp_path: Path, stop: type
) -> None:
    path = tmp_path / "parent.safetensors"
    checkpoint.save(segmenter, path)
    job = fine_tune_file(path, examples, FEW, tmp_path / "new.safetensors")
    for event in job:
        if isinstance(event, stop):
            break
    job.close()
    assert [file.name for file in tmp_path.iterdir()] == ["parent.safetensors"]


def test_only_confirmed_voxels_teach(segmenter: Segmenter) -> None:
    one = known_in(example_of(30), [6, 7, 8, 9])
    other = copy.deepcopy(one)
    other.mask.labels[~one.confirmed] = 1  # nobody vouches for this
    first, second = (finish(fine_tune(segmenter, [e], FEW)) for e in (one, other))
    assert equal(weights(first.candidate), weights(second.candidate))


def test_a_lesson_brings_the_mask_of_its_surroundings_as_it_was_left(segmenter: Segmenter) -> None:
    example = known_in(example_of(30), [6])
    (found,) = finish(lessons_of([example], segmenter.recipe, None))
    assert found.left is not None
    box = tuple(slice(a, a + n) for a, n in zip(found.start, found.left.shape, strict=True))
    assert torch.equal(found.left, torch.from_numpy(example.mask.labels[box]))
    assert found.left.shape == found.target.shape
    assert bool((found.left > 0)[found.target == 255].any())


def test_the_ignored_value_teaches_nothing(segmenter: Segmenter) -> None:
    example = example_of(30)
    labels = example.mask.labels.copy()
    labels[:8] = 77
    masked = replace(example, mask=replace(example.mask, labels=labels))
    found = finish(lessons_of([masked], segmenter.recipe, ignore=77))[0]
    assert bool((found.target[:8] == 255).all())
    assert not bool((found.target[8:] == 255).any())


def test_nor_does_it_in_the_mask_as_it_was_left(segmenter: Segmenter) -> None:
    (found,) = finish(lessons_of([known_in(example_of(30), [6])], segmenter.recipe, ignore=1))
    assert found.left is not None
    assert bool((found.left == 255).any())
    assert not bool((found.left == 1).any())


def test_slices_of_one_scan_are_held_back_with_a_gap(segmenter: Segmenter) -> None:
    outcome = finish(fine_tune(segmenter, [example_of(30)], FEW))
    assert "corrected slice(s), held back" in outcome.why


def test_one_corrected_slice_is_learnt_but_not_adopted_which_is_said_at_once(
    segmenter: Segmenter,
) -> None:
    events: list[object] = []
    example = known_in(example_of(30), [7])
    outcome = finish(fine_tune(segmenter, [example], FEW), events.append)
    assert not outcome.adopted
    assert "correct another slice, two or more away" in outcome.why
    learns = next(n for n, one in enumerate(events) if isinstance(one, StepDone))
    assert Notice(UNCHECKED) in events[:learns]


def test_the_advice_on_too_little_that_is_corrected_is_true(segmenter: Segmenter) -> None:
    events: list[object] = []
    example = known_in(example_of(30), [5, 7])
    outcome = finish(fine_tune(segmenter, [example], FEW), events.append)
    assert Notice(UNCHECKED) not in events
    assert "on 1 corrected slice(s), held back" in outcome.why


def test_each_scan_that_is_prepared_is_told_so_that_a_pause_is_heard(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    events: list[object] = []
    finish(fine_tune(segmenter, examples, FEW), events.append)
    said = [(one.text, one.done) for one in events if isinstance(one, Progress)]
    assert [done for text, done in said if text == LOOKS] == [0, 1, 2, 3]
    assert [done for text, done in said if text.startswith("Preparing")] == [0, 0, 1, 2, 3]


def test_a_scan_with_other_channels_is_left_out_by_name(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    other = two_channels(examples[0])
    events: list[object] = []
    outcome = finish(fine_tune(segmenter, [other, *examples[1:]], FEW), events.append)
    alone = finish(fine_tune(segmenter, examples[1:], FEW))
    assert equal(outcome.candidate.weights, alone.candidate.weights)
    said = [one.text for one in events if isinstance(one, Notice)]
    assert any(other.volume.name in text and "the scan has 2" in text for text in said)


def test_where_no_scan_has_the_channels_of_the_model_nothing_is_learnt(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    with pytest.raises(InputError, match="the scan has 2"):
        finish(fine_tune(segmenter, [two_channels(examples[0])], FEW))


def test_one_patch_at_a_time_the_memory_is_taught_too(
    segmenter: Segmenter, examples: list[Example]
) -> None:
    emptied = tuple(
        one if one.exam else replace(one, target=torch.zeros_like(one.target))
        for one in segmenter.memory
    )
    one, other = (
        finish(fine_tune(replace(segmenter, memory=memory), examples, replace(FEW, batch=1)))
        for memory in (segmenter.memory, emptied)
    )
    assert not equal(one.candidate.weights, other.candidate.weights)


def test_nothing_corrected_is_refused(segmenter: Segmenter) -> None:
    with pytest.raises(TrainingError, match="none is"):
        finish(fine_tune(segmenter, [known_in(example_of(30), [])], FEW))


def test_a_label_that_the_model_does_not_know_is_told(segmenter: Segmenter) -> None:
    example = example_of(30)
    example.mask.labels[0, 0, 0] = 9
    events: list[object] = []
    finish(fine_tune(segmenter, [example], FEW), events.append)
    assert any(isinstance(e, Notice) and "label 9" in e.text for e in events)


def test_where_nobody_corrected_the_parent_is_remembered(segmenter: Segmenter) -> None:
    example = example_of(30)
    false = replace(example.mask, labels=np.zeros_like(example.mask.labels))
    taught = known_in(replace(example, mask=false), [6, 7])  # "nothing is there", twice
    keen, segmenter = replace(MORE, steps=10, weak=0.0), replace(segmenter, memory=())
    kept = _share_kept(segmenter, taught, replace(keen, remember=5.0))
    lost = _share_kept(segmenter, taught, replace(keen, remember=0.0))
    assert kept > lost


def test_from_file_to_file(segmenter: Segmenter, examples: list[Example], tmp_path: Path) -> None:
    parent, out = tmp_path / "parent.safetensors", tmp_path / "new.safetensors"
    version = checkpoint.save(segmenter, parent).version
    outcome = finish(fine_tune_file(parent, examples, FEW, out))
    assert outcome.candidate == read_card(out)
    assert outcome.candidate.lineage.parent == version == read_card(parent).version
    assert outcome.cases == 4


def test_an_outcome_of_files_is_read_without_torch(
    segmenter: Segmenter, examples: list[Example], tmp_path: Path
) -> None:
    parent = tmp_path / "parent.safetensors"
    checkpoint.save(segmenter, parent)
    outcome = finish(fine_tune_file(parent, examples, FEW, tmp_path / "new.safetensors"))
    (tmp_path / "outcome").write_bytes(pickle.dumps(outcome))
    code = f"import pickle, sys; pickle.load(open({str(tmp_path / 'outcome')!r}, 'rb'));"
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_parent_that_cannot_be_loaded_is_refused(examples: list[Example], tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        finish(fine_tune_file(tmp_path / "none.safetensors", examples, FEW, tmp_path / "new"))


def test_an_exam_of_a_large_scan_is_cut_to_seconds(segmenter: Segmenter) -> None:
    target = torch.zeros(16, 100, 100, dtype=torch.uint8)
    target[:, 80:90, 10:20] = 1
    cut = exam_box(lesson("large", torch.rand(1, 16, 100, 100), target), segmenter.recipe)
    assert cut.target.shape == (16, 40, 40)
    assert cut.image.shape == (1, 16, 40, 40)
    assert int((cut.target == 1).sum()) == int((target == 1).sum())


def test_a_lesson_is_cut_to_what_was_corrected_and_its_surroundings(segmenter: Segmenter) -> None:
    example = known_in(example_of(30), [0])
    found = finish(lessons_of([example], segmenter.recipe, ignore=255))[0]
    assert found.target.shape == (9, 16, 16)  # one slice and half a patch


def _share_kept(segmenter: Segmenter, taught: Example, config: FineTuneConfig) -> float:
    """Share of the parent's labels of another scan that the candidate still sees."""
    from napari_medseg.inference.predict import predict

    outcome: Outcome = finish(finetune.fine_tune(segmenter, [taught], config))
    volume = example_of(55).volume
    before, after = (
        finish(predict(volume, model)).mask.labels for model in (segmenter, outcome.candidate)
    )
    return float(np.mean(after[before > 0] == before[before > 0]))
