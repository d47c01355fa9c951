"""Settings of a training: bounds, files, words."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from napari_medseg.errors import TrainingError
from napari_medseg.preprocess.recipe import Normalise
from napari_medseg.training.config import (
    FineTuneConfig,
    Optimiser,
    TrainConfig,
    as_json,
    from_json,
    load_config,
)


def test_settings_survive_json() -> None:
    config = TrainConfig(
        minutes=3, patch=(8, 16, 16), normalise=Normalise.ZERO_ONE, validation=("a", "b")
    )
    assert from_json(json.loads(json.dumps(as_json(config))), TrainConfig) == config


def test_a_file_may_leave_settings_out(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"optimiser": "sgd", "minutes": 2}')
    config = load_config(tmp_path / "c.json", TrainConfig)
    assert config.optimiser is Optimiser.SGD
    assert config.minutes == 2.0
    assert config.batch == TrainConfig().batch


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"epoch": 3}, "epoch: is no setting; the nearest is epochs"),
        ({"epochs": "many"}, "epochs: cannot be 'many': a whole number is needed"),
        ({"epochs": True}, "epochs: cannot be True"),
        ({"patch": 64}, "patch: cannot be 64"),
        ({"optimiser": "lion"}, "optimiser: cannot be 'lion': one of adam, adamw, sgd is needed"),
        ({"patch": [16, 16]}, "patch: must be three sizes"),
        ({"spacing_mm": [1.0, 0.0, 1.0]}, "spacing_mm: must be three lengths"),
        ({"epochs": 0}, "epochs: must be 1 to"),
        ({"augmentation": float("nan")}, "augmentation: must be 0.0 to 3.0, got nan"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(data: dict[str, object], word: str) -> None:
    with pytest.raises(TrainingError, match=word):
        from_json(data, TrainConfig)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"minutes"'])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(TrainingError, match=r"c\.json: must"):
        load_config(tmp_path / "c.json", FineTuneConfig)


def test_bounds_are_checked_without_a_file_too() -> None:
    with pytest.raises(TrainingError, match="learning_rate"):
        FineTuneConfig(learning_rate=1.0)


@pytest.mark.parametrize("optimiser", Optimiser)
def test_each_optimiser_has_a_rate_of_its_own(optimiser: Optimiser) -> None:
    assert 0 < TrainConfig(optimiser=optimiser).rate <= 0.01
    assert TrainConfig(optimiser=optimiser, learning_rate=0.5).rate == 0.5


def test_settings_and_events_need_no_torch() -> None:
    code = (
        "import sys, napari_medseg.training.config, napari_medseg.training.events;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
