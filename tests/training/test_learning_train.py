"""A whole training of a few steps on phantoms."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cubes import phantom, write_case

from napari_medseg.errors import DatasetError, WriteError
from napari_medseg.inference.predict import predict
from napari_medseg.jobs import Notice, Progress, finish
from napari_medseg.models import checkpoint
from napari_medseg.models.config import Family
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import Denoise, TrainConfig
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.events import StepDone, Validated
from napari_medseg.training.session import train

Write = Callable[..., Path]


def same(one: Segmenter, other: Segmenter) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.sum(a & b) / (np.sum(a) + np.sum(b)))


def run(folder: Path, config: TrainConfig) -> tuple[Segmenter, list[object]]:
    events: list[object] = []
    return finish(train(find_cases(folder), config), events.append), events


def test_a_training_tells_each_step_and_each_score(
    write_dataset: Write, quick: TrainConfig
) -> None:
    segmenter, events = run(write_dataset(4, labels={"rind": 1, "core": 2}), quick)
    steps = [event for event in events if isinstance(event, StepDone)]
    exams = [event for event in events if isinstance(event, Validated)]
    assert [(event.step, event.total) for event in steps] == [(n, 6) for n in range(1, 7)]
    assert [event.step for event in exams] == [3, 6]
    assert set(exams[-1].dice) == set(exams[-1].jaccard) == {"rind", "core"}
    assert set(segmenter.lineage.scores) == {"rind", "core"}
    assert segmenter.lineage.cases == 3


def test_a_trained_model_finds_the_cubes(segmenter: Segmenter) -> None:
    volume, mask = phantom(77)
    found = finish(predict(volume, segmenter)).mask.labels
    assert dice(found > 0, mask.labels > 0) > 0.5


def test_the_same_seed_gives_the_same_weights(write_dataset: Write, quick: TrainConfig) -> None:
    folder = write_dataset(3)
    assert same(run(folder, quick)[0], run(folder, quick)[0])
    assert not same(run(folder, quick)[0], run(folder, replace(quick, seed=1))[0])


def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(
    write_dataset: Write, quick: TrainConfig, tmp_path: Path
) -> None:
    folder, kept = write_dataset(3), replace(quick, run_folder=str(tmp_path / "run"))
    whole = run(folder, quick)[0]
    job = train(find_cases(folder), kept)
    for event in job:
        if isinstance(event, StepDone) and event.step == 5:
            break
    job.close()
    resumed, events = run(folder, kept)
    assert "step 3" in next(e.text for e in events if isinstance(e, Notice))
    assert [e.step for e in events if isinstance(e, StepDone)] == [4, 5, 6]
    assert same(whole, resumed)
    assert not (tmp_path / "run" / "state.pt").exists()


@pytest.mark.parametrize("change", [{"seed": 3}, {"resume": False}])
def test_other_settings_start_anew(
    write_dataset: Write, quick: TrainConfig, tmp_path: Path, change: dict[str, object]
) -> None:
    folder, kept = write_dataset(3), replace(quick, run_folder=str(tmp_path / "run"))
    job = train(find_cases(folder), kept)
    while not (tmp_path / "run" / "state.pt").exists():
        next(job)
    job.close()
    events = run(folder, replace(kept, **change))[1]  # type: ignore[arg-type]
    assert len([event for event in events if isinstance(event, StepDone)]) == 6


def test_a_broken_state_starts_anew(
    write_dataset: Write, quick: TrainConfig, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state.pt").write_bytes(b"broken by a power cut")
    events = run(write_dataset(3), replace(quick, run_folder=str(tmp_path / "run")))[1]
    assert len([event for event in events if isinstance(event, StepDone)]) == 6


def test_the_run_folder_holds_the_split_and_the_curves(
    write_dataset: Write, quick: TrainConfig, tmp_path: Path
) -> None:
    run(write_dataset(4), replace(quick, run_folder=str(tmp_path / "run"), validation=("002",)))
    about = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert about["validation"] == ["scan_002"]
    assert about["train"] == ["scan_000", "scan_001", "scan_003"]
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))


def test_a_run_without_a_folder_writes_nothing(
    write_dataset: Write, quick: TrainConfig, tmp_path: Path
) -> None:
    run(write_dataset(2), quick)
    assert [path.name for path in tmp_path.iterdir()] == ["cases"]


def test_time_ends_a_run_and_the_end_is_scored(write_dataset: Write, quick: TrainConfig) -> None:
    timed = replace(quick, steps=0, minutes=0.02, validations=1)
    events = run(write_dataset(2), timed)[1]
    steps = [event for event in events if isinstance(event, StepDone)]
    exams = [event for event in events if isinstance(event, Validated)]
    assert steps[-1].step == exams[-1].step
    assert all(event.total == 0 for event in steps)
    assert all(a.seconds_left is not None and a.seconds_left <= 1.3 for a in steps)


def test_epochs_show_each_case_once(write_dataset: Write, quick: TrainConfig) -> None:
    events = run(write_dataset(4), replace(quick, steps=0, epochs=2, validation=("000",)))[1]
    assert [e.total for e in events if isinstance(e, StepDone)] == [4] * 4  # 3 cases, batch 2


def test_a_run_that_no_longer_improves_stops_early(
    write_dataset: Write, quick: TrainConfig
) -> None:
    still = replace(quick, steps=50, validations=50, patience=2, learning_rate=1e-9)
    events = run(write_dataset(2), still)[1]
    assert len([event for event in events if isinstance(event, StepDone)]) < 10
    assert any(isinstance(e, Notice) and "Stopped early" in e.text for e in events)


def test_all_cases_may_teach(write_dataset: Write, quick: TrainConfig) -> None:
    segmenter, events = run(write_dataset(2), replace(quick, validation_fraction=0.0))
    assert segmenter.lineage.cases == 2
    assert any(isinstance(e, Notice) and "No case is held back" in e.text for e in events)
    assert not any(isinstance(event, Validated) for event in events)


@pytest.mark.parametrize("family", [one for one in Family if one.ours])
def test_each_family_learns(write_dataset: Write, quick: TrainConfig, family: Family) -> None:
    segmenter = run(write_dataset(2), replace(quick, family=family, steps=2))[0]
    assert segmenter.network.family is family


def test_a_model_of_slices_learns_and_predicts(tmp_path: Path, quick: TrainConfig) -> None:

    volume, mask = phantom(1)
    flat = replace(
        volume, array=volume.array[7:8], geometry=replace(volume.geometry, shape=(1, 16, 16))
    )
    for name in ("a", "b"):
        write_case(
            tmp_path, name, flat, replace(mask, labels=mask.labels[7:8], geometry=flat.geometry)
        )
    segmenter = run(tmp_path, replace(quick, patch=(1, 16, 16), denoise=Denoise.MEDIAN))[0]
    assert segmenter.network.dims == 2
    assert finish(predict(flat, segmenter)).mask.labels.shape == (1, 16, 16)


def test_the_checkpoint_of_a_training_says_how_it_was_made(
    write_dataset: Write, quick: TrainConfig, tmp_path: Path
) -> None:
    segmenter = run(write_dataset(2), replace(quick, run_folder=str(tmp_path / "secret")))[0]
    card = checkpoint.save(segmenter, tmp_path / "m.safetensors")
    assert card.lineage.how == "train"
    assert card.lineage.config["features"] == [4, 8]
    assert "secret" not in str(card.lineage)


def test_unpaired_files_are_told_and_the_rest_is_trained(
    write_dataset: Write, quick: TrainConfig
) -> None:
    folder = write_dataset(3)
    (folder / "labels" / "scan_000.nii.gz").unlink()
    events = run(folder, quick)[1]
    assert any(isinstance(e, Notice) and e.text.startswith("scan_000") for e in events)


def test_a_bad_case_is_refused_before_the_first_step(
    write_dataset: Write, quick: TrainConfig
) -> None:
    folder = write_dataset(3)
    (folder / "images" / "scan_001.nii.gz").write_bytes(b"")
    events: list[object] = []
    with pytest.raises(DatasetError, match="scan_001"):
        finish(train(find_cases(folder), quick), events.append)
    assert all(isinstance(event, Progress) for event in events)


def test_closing_a_training_gives_the_threads_back(
    write_dataset: Write, quick: TrainConfig
) -> None:
    before = torch.get_num_threads()
    job = train(find_cases(write_dataset(2)), replace(quick, threads=3))
    next(job)
    assert torch.get_num_threads() == 3
    job.close()
    assert torch.get_num_threads() == before


def test_a_run_folder_that_is_a_file_is_refused(
    write_dataset: Write, quick: TrainConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WriteError, match="file: a run must have a folder"):
        run(write_dataset(2), replace(quick, run_folder=str(tmp_path / "file")))
