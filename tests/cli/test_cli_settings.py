"""Settings from three places, and what a training says on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from napari_medseg.cli.settings import gather, learning, only_one
from napari_medseg.errors import TrainingError
from napari_medseg.jobs import Progress
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.events import StepDone, Validated


def test_options_go_before_set_and_set_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"epochs": 1, "batch": 2, "seed": 3}))
    config = gather(TrainConfig, file, ["batch=4", "seed=5"], {"seed": 6, "epochs": None})
    assert (config.epochs, config.batch, config.seed) == (1, 4, 6)


def test_set_takes_json_or_a_word() -> None:
    config = gather(TrainConfig, None, ["patch=[8,16,16]", "optimiser=sgd"], {})
    assert (config.patch, config.optimiser) == ((8, 16, 16), "sgd")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learnin_rate=1", "the nearest is learning_rate"),
        ("learning_rate=banana", "a number is needed"),
        ("learning_rate=-1", "must be 0.0 to 1.0"),
        ("patch=[8,8]", "three sizes"),
    ],
)
def test_a_wrong_setting_is_wrong_usage_and_in_a_file_a_wrong_file(
    tmp_path: Path, setting: str, words: str
) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        gather(TrainConfig, None, [setting], {})
    key, _, value = setting.partition("=")
    value = f'"{value}"' if value.isalpha() else value
    (tmp_path / "c.json").write_text(f'{{"{key}": {value}}}')
    with pytest.raises(TrainingError, match=words):
        gather(TrainConfig, tmp_path / "c.json", None, {})


def test_two_options_that_exclude_each_other_are_wrong_usage() -> None:
    only_one(minutes=1, epochs=None)
    with pytest.raises(typer.BadParameter, match="--minutes and --epochs"):
        only_one(minutes=1, epochs=2)


def test_the_bar_shows_loss_the_last_dice_and_the_time_left() -> None:
    read = learning()
    assert read(Validated(5, {"liver": 0.9}, {"liver": 0.82})) == "step 5: Dice liver 0.900"
    seen = read(StepDone(6, 0, 0.25, 61.0))
    assert seen == Progress(6, 0, "step 6, loss 0.250, Dice liver 0.900, 61 s left")


def test_with_a_known_number_of_steps_the_bar_itself_tells_the_time() -> None:
    assert learning()(StepDone(6, 10, 0.25, 61.0)) == Progress(6, 10, "step 6, loss 0.250")
