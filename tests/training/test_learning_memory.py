"""What a model takes along, and whether it helps it not to forget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from cubes import example_of

from napari_medseg.correction.record import Example
from napari_medseg.errors import ModelError
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.card import KEY
from napari_medseg.models.exemplar import anonymous, exemplar
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import IGNORE, FineTuneConfig, TrainConfig
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.events import Dice, Validated
from napari_medseg.training.examples import lessons_of
from napari_medseg.training.memory import lessons_in, memory_of, renewed
from napari_medseg.training.meter import Meter
from napari_medseg.training.sampling import Lesson, lesson
from napari_medseg.training.session import fine_tune, train
from napari_medseg.training.validate import Exam

ROOM_MB = 0.1  # a dozen patches of the small segmenter


def case(name: str, known: bool = True) -> Lesson:
    """Label 1 at one end and label 2 at the other."""
    rng = np.random.default_rng(len(name))
    target = torch.full((24, 24, 24), 0 if known else IGNORE, dtype=torch.uint8)
    target[2:6, 2:6, 2:6] = 1
    target[18:22, 18:22, 18:22] = 2
    image = torch.from_numpy(rng.normal(0, 1, (1, 24, 24, 24)).astype(np.float32))
    return lesson(name, image, target, name)


def test_intensities_come_back_within_a_256th_of_their_range() -> None:
    image = torch.linspace(-3, 5, 2 * 4**3).reshape(2, 4, 4, 4)
    one = exemplar(image, torch.zeros(4, 4, 4), "a", False)
    assert (one.values() - image).abs().max() <= 0.5 * 4 / 255 + 1e-6


def test_a_memory_fits_its_megabytes_and_shows_every_label(segmenter: Segmenter) -> None:
    memory = memory_of([case("a"), case("b")], [case("c")], segmenter.recipe, ROOM_MB)
    assert len(memory) >= 4
    assert sum(one.nbytes for one in memory) <= ROOM_MB * 1e6
    for exam in (False, True):
        seen = {int(v) for one in memory if one.exam == exam for v in one.target.unique()}
        assert {1, 2} <= seen
    assert {one.subject for one in memory if one.exam} == {anonymous("c")}


def test_no_megabytes_keep_nothing(segmenter: Segmenter) -> None:
    assert memory_of([case("a")], [case("b")], segmenter.recipe, 0.0) == ()


def test_no_name_of_a_subject_is_kept(segmenter: Segmenter, tmp_path: Path) -> None:
    memory = memory_of([case("Jane Roe")], [], segmenter.recipe, ROOM_MB)
    path = tmp_path / "m.safetensors"
    checkpoint.save(replace(segmenter, memory=memory), path)
    assert b"Jane" not in path.read_bytes()


def test_new_cases_come_in_and_the_anchors_stay(segmenter: Segmenter) -> None:
    room = 0.06
    first = memory_of([case("a"), case("b")], [case("c")], segmenter.recipe, room)
    then = renewed(first, [case("d")], [], segmenter.recipe, room)
    assert [one for one in then if one.exam] == [one for one in first if one.exam]
    assert anonymous("d") in {one.subject for one in then}
    assert sum(one.nbytes for one in then) <= room * 1e6
    again = renewed(then, [case("d")], [], segmenter.recipe, room)
    assert len(again) == len(then)


def test_a_case_of_which_little_is_known_is_not_kept(segmenter: Segmenter) -> None:
    assert renewed((), [case("d", known=False)], [], segmenter.recipe, ROOM_MB) == ()


def test_a_memory_travels_in_the_checkpoint_and_changes_no_version(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    memory = memory_of([case("a")], [case("c")], segmenter.recipe, ROOM_MB)
    bare = checkpoint.save(segmenter, tmp_path / "bare.safetensors")
    card = checkpoint.save(replace(segmenter, memory=memory), tmp_path / "m.safetensors")
    assert card.version == bare.version
    again = checkpoint.load(card.path)
    for one, other in zip(memory, again.memory, strict=True):
        assert torch.equal(one.image, other.image)
        assert torch.equal(one.target, other.target)
        assert (one.low, one.step, one.subject, one.exam) == (
            other.low,
            other.step,
            other.subject,
            other.exam,
        )


@pytest.mark.parametrize("change", ["value", "gone", "shape"])
def test_a_changed_memory_is_refused(segmenter: Segmenter, tmp_path: Path, change: str) -> None:
    path = tmp_path / "m.safetensors"
    memory = memory_of([case("a")], [case("c")], segmenter.recipe, ROOM_MB)
    checkpoint.save(replace(segmenter, memory=memory), path)
    with safetensors.safe_open(str(path), "pt") as file:
        text = file.metadata()[KEY]
    tensors = safetensors.torch.load_file(path)
    if change == "value":
        tensors["memory.0.image"][0, 0, 0, 0] ^= 1
    elif change == "gone":
        del tensors["memory.0.target"]
    else:
        tensors["memory.0.target"] = tensors["memory.0.target"][1:].contiguous()
    safetensors.torch.save_file(tensors, path, {KEY: text})
    with pytest.raises(ModelError, match="copy the file again"):
        checkpoint.load(path)


def test_training_leaves_a_memory_of_both_sides(write_dataset, quick: TrainConfig) -> None:
    config = replace(quick, validation=("scan_003",), memory_mb=ROOM_MB)
    memory = finish(train(find_cases(write_dataset()), config)).memory
    assert {one.subject for one in memory if one.exam} == {anonymous("scan_003")}
    assert anonymous("scan_003") not in {one.subject for one in memory if not one.exam}
    assert len(lessons_in(memory, False)) >= 3


CHANGED = FineTuneConfig(
    steps=60,
    learning_rate=0.02,
    threads=1,
    ema=0.5,
    validations=1,
    augmentation=0.0,
    remember=0.0,
    anchor=0.0,
    worst_drop=1.0,
)


def test_replay_keeps_what_the_corrections_say_nothing_of(segmenter: Segmenter) -> None:
    """A person paints the dim cube and nothing else: without replay the bright one is forgotten."""
    teach, exam = ([known(segmenter, n) for n in some] for some in (range(50, 54), (60, 61)))
    remembering = replace(segmenter, memory=memory_of(teach, exam, segmenter.recipe, ROOM_MB))
    left = [last_anchors(remembering, replace(CHANGED, replay=weight)) for weight in (1.0, 0.0)]
    first, kept, lost = (sum(one.values()) / 2 for one in (left[0][0], left[0][1], left[1][1]))
    assert lost < first - 0.1
    assert kept > first - 0.05


def test_a_candidate_that_forgets_its_anchors_is_kept_aside(segmenter: Segmenter) -> None:
    anchors = memory_of([], [known(segmenter, n) for n in (60, 61)], segmenter.recipe, ROOM_MB)
    examples = [turned(seed) for seed in (30, 31, 32, 33)]
    blind = finish(fine_tune(segmenter, examples, CHANGED))
    assert blind.adopted
    assert "keeps no earlier cases" in blind.why
    outcome = finish(fine_tune(replace(segmenter, memory=anchors), examples, CHANGED))
    assert not outcome.adopted
    assert "earlier cases" in outcome.why


def test_the_meter_holds_firmer_while_something_is_lost_and_lets_go_after() -> None:
    meter = Meter(Exam({"a": 0.8, "b": 0.9}, {}), 0.01)
    assert meter.read(Exam({"a": 0.8, "b": 0.88}, {})) == 2.0
    assert meter.read(Exam({"a": 0.79, "b": 0.9}, {})) == 4.0
    assert meter.read(Exam({"a": 0.8, "b": 0.896}, {})) == 4.0
    assert meter.read(Exam({"a": 0.81, "b": 0.9}, {})) < 4.0


def known(segmenter: Segmenter, seed: int) -> Lesson:
    """A phantom with its truth, as the network sees it."""
    return finish(lessons_of([example_of(seed)], segmenter.recipe, IGNORE))[0]


def turned(seed: int) -> Example:
    """A corrected scan of another scanner: bright is dark."""
    example = example_of(seed)
    volume = replace(example.volume, array=-example.volume.array)
    return replace(example, volume=volume)


def dim_alone(seed: int) -> Example:
    """Only the dim cube is painted, and nothing else is known."""
    example = example_of(seed)
    return replace(example, confirmed=example.mask.labels == 2)


def last_anchors(segmenter: Segmenter, config: FineTuneConfig) -> tuple[Dice, Dice]:
    """Dice on the anchors before a fine-tune and at its end."""
    seen: list[Dice] = []
    finish(
        fine_tune(segmenter, [dim_alone(seed) for seed in (30, 31)], config),
        lambda event: seen.append(event.anchors) if isinstance(event, Validated) else None,
    )
    return seen[0], seen[-1]
