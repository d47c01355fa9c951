"""A search over settings: what it tries, what it gives, what it leaves behind."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest

from napari_medseg.errors import TrainingError
from napari_medseg.jobs import Notice, finish
from napari_medseg.training import search as searching
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.search import search


@pytest.fixture
def short(quick: TrainConfig) -> TrainConfig:
    return replace(quick, validation_fraction=0.25, learn_cleaning=False)


def test_the_best_of_all_trials_is_given(write_dataset, short: TrainConfig, tmp_path: Path) -> None:
    config = replace(short, run_folder=str(tmp_path / "run"))
    notices: list[str] = []
    found = finish(
        search(find_cases(write_dataset()), config, 3),
        lambda event: notices.append(event.text) if isinstance(event, Notice) else None,
    )
    best = max(trial.dice for trial in found.trials if trial.finished)
    scores = [score for score in found.segmenter.lineage.scores.values() if not math.isnan(score)]
    assert sum(scores) / len(scores) == pytest.approx(best)
    assert sum(text.startswith("Trial ") for text in notices) == 3
    with (tmp_path / "run" / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["1", "2", "3"]
    assert len({row["learning_rate"] for row in rows}) == 3


def test_the_model_tells_the_settings_that_won(write_dataset, short: TrainConfig) -> None:
    found = finish(search(find_cases(write_dataset()), short, 2))
    winner = max(found.trials, key=lambda trial: trial.dice)
    assert found.segmenter.lineage.config["learning_rate"] == winner.settings["learning_rate"]


def test_the_same_seed_tries_the_same_settings(write_dataset, short: TrainConfig) -> None:
    cases = find_cases(write_dataset())
    one, other = (finish(search(cases, short, 2)).trials for _ in range(2))
    assert one == other


def test_without_optuna_one_line_says_what_to_do(
    write_dataset, short: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="pip install optuna"):
        finish(search(find_cases(write_dataset()), short, 2))
