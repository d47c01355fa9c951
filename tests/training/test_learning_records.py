"""What is kept of a run, and whether it can be made again from that."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cubes import example_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from napari_medseg.errors import TrainingError
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training import trackers
from napari_medseg.training.config import FineTuneConfig, Track, TrainConfig, load_config
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.session import fine_tune, train


def trained(folder: Path, config: TrainConfig) -> Segmenter:
    return finish(train(find_cases(folder), config))


def test_a_training_is_made_again_bit_for_bit_from_its_model(
    write_dataset, quick: TrainConfig, tmp_path: Path
) -> None:
    folder = write_dataset()
    first = trained(folder, quick)
    checkpoint.save(first, tmp_path / "first.safetensors")
    again = trained(folder, load_config(tmp_path / "first.safetensors", TrainConfig))
    assert checkpoint.weights_hash(again.weights) == checkpoint.weights_hash(first.weights)
    assert again.lineage.run == first.lineage.run


def test_a_fine_tune_is_made_again_bit_for_bit_from_its_model(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    examples = [example_of(seed) for seed in range(30, 34)]
    config = FineTuneConfig(steps=3, validations=1, threads=1)
    first = finish(fine_tune(segmenter, examples, config)).candidate
    checkpoint.save(first, tmp_path / "first.safetensors")
    known = load_config(tmp_path / "first.safetensors", FineTuneConfig)
    again = finish(fine_tune(segmenter, examples, known)).candidate
    assert checkpoint.weights_hash(again.weights) == checkpoint.weights_hash(first.weights)


def test_a_run_folder_tells_the_settings_too(
    write_dataset, quick: TrainConfig, tmp_path: Path
) -> None:
    config = replace(quick, run_folder=str(tmp_path / "run"))
    trained(write_dataset(), config)
    assert load_config(tmp_path / "run" / "settings.json", TrainConfig) == config


def test_a_model_that_was_not_trained_here_has_no_settings_to_repeat(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    checkpoint.save(segmenter, tmp_path / "m.safetensors")
    with pytest.raises(TrainingError, match="finetune run"):
        load_config(tmp_path / "m.safetensors", FineTuneConfig)


def test_the_same_cases_have_the_same_hashes_and_other_voxels_others(
    write_dataset, quick: TrainConfig
) -> None:
    folder = write_dataset()
    one, other = trained(folder, quick), trained(folder, replace(quick, seed=1))
    assert one.lineage.run["data"] == other.lineage.run["data"]
    assert len(one.lineage.run["data"]) == 4
    (folder / "labels" / "scan_000.nii.gz").write_bytes(
        (folder / "labels" / "scan_001.nii.gz").read_bytes()
    )
    changed = trained(folder, quick).lineage.run["data"]
    assert len(set(changed) - set(one.lineage.run["data"])) == 1


def test_a_record_names_no_case(write_dataset, quick: TrainConfig) -> None:
    assert "scan_00" not in json.dumps(trained(write_dataset(), quick).lineage.run)


def test_tensorboard_has_the_losses_and_a_picture(
    write_dataset, quick: TrainConfig, tmp_path: Path
) -> None:
    trained(write_dataset(), replace(quick, run_folder=str(tmp_path)))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert len(events.Scalars("train/loss")) == quick.steps
    assert events.Tags()["images"] == ["example"]


@pytest.mark.filterwarnings("default")  # its own, with other packages
def test_weights_and_biases_keeps_a_run_without_a_network(
    write_dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config = replace(quick, run_folder=str(tmp_path), track=(Track.WANDB,))
    trained(write_dataset(), config)
    kept = list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(kept) == 1
    assert b"train/loss" in kept[0].read_bytes()


@pytest.mark.filterwarnings("default")  # its own, with other packages
def test_mlflow_keeps_a_run_without_a_network(
    write_dataset, quick: TrainConfig, tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow")
    config = replace(quick, run_folder=str(tmp_path / "run"), track=(Track.MLFLOW,))
    trained(write_dataset(), config)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/run/mlflow.db")
    experiment = client.get_experiment_by_name(trackers.PROJECT)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["seed"] == "0"
    assert len(client.get_metric_history(run.info.run_id, "train/loss")) == quick.steps


def test_a_tracker_that_is_not_installed_is_refused_before_any_step(
    write_dataset, quick: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    config = replace(quick, run_folder=str(tmp_path), track=(Track.MLFLOW,))
    with pytest.raises(TrainingError, match="pip install mlflow"):
        trained(write_dataset(), config)
