"""From files to lessons, the run's clock and what TensorBoard shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg import io
from napari_medseg.errors import DatasetError
from napari_medseg.jobs import finish
from napari_medseg.preprocess.recipe import Normalise
from napari_medseg.training.board import panel
from napari_medseg.training.clock import Clock
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.curriculum import Curriculum, prepare_cases
from napari_medseg.training.dataset import find_cases
from napari_medseg.training.sampling import lesson

Write = Callable[..., Path]
CPU = torch.device("cpu")
PATCH = TrainConfig(patch=(16, 16, 16), features=(4, 8))


def prepared(folder: Path, config: TrainConfig = PATCH) -> Curriculum:
    return finish(prepare_cases(find_cases(folder), config, CPU))


def test_lessons_are_normalised_and_split(write_dataset: Write) -> None:
    made = prepared(write_dataset(5))
    assert (len(made.train), len(made.validation)) == (4, 1)
    assert all(abs(float(one.image.mean())) < 0.1 for one in made.train)
    assert made.plan.recipe.values == (0, 1, 2)


def test_gaps_in_the_label_numbers_are_closed(write_dataset: Write) -> None:
    folder = write_dataset(2)
    for path in (folder / "labels").iterdir():
        mask = io.read_mask(path)
        gaps = np.array([0, 7, 40], np.uint8)[mask.labels]
        io.write_mask(replace(mask, labels=gaps), path)
    made = prepared(folder)
    assert made.plan.recipe.values == (0, 7, 40)
    assert set(made.train[0].target.unique().tolist()) == {0, 1, 2}


def test_the_spacing_of_the_plan_is_the_lessons(write_dataset: Write) -> None:
    made = prepared(write_dataset(2), replace(PATCH, spacing_mm=(2.0, 1.0, 1.0)))
    assert made.train[0].target.shape == (8, 16, 16)


def test_cases_of_other_channels_are_refused(write_dataset: Write) -> None:
    folder = write_dataset(3)
    path = folder / "images" / "scan_002.nii.gz"
    volume = io.read(path)
    io.write_volume(replace(volume, array=np.stack([volume.array] * 2), header={}), path)
    with pytest.raises(DatasetError, match=r"scan_00\d: cases must have equal channels"):
        prepared(folder)


def test_channels_that_dataset_json_does_not_name_are_refused(write_dataset: Write) -> None:
    with pytest.raises(DatasetError, match="must have the 2 channels"):
        prepared(write_dataset(2, channel_names={"0": "T1", "1": "T2"}))


def test_a_dataset_of_ct_is_windowed(write_dataset: Write) -> None:
    made = prepared(write_dataset(2, channel_names={"0": "CT"}))
    assert made.plan.recipe.normalise is Normalise.CT_WINDOW


def test_large_datasets_are_kept_in_half_the_memory(
    write_dataset: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepared(write_dataset(2)).train[0].image.dtype is torch.float32
    monkeypatch.setattr("napari_medseg.training.curriculum.HALF_ABOVE", 0.0)
    assert prepared(write_dataset(2)).train[0].image.dtype is torch.float16


def test_a_dataset_that_no_memory_holds_is_refused(
    write_dataset: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_medseg.training.curriculum.HALF_ABOVE", 0.0)
    monkeypatch.setattr("napari_medseg.training.curriculum.MOST_MEMORY", 0.0)
    with pytest.raises(DatasetError, match="do not fit"):
        prepared(write_dataset(2))


def test_a_clock_of_steps_tells_the_time_left() -> None:
    clock = Clock(0.0, 10, before_s=5.0)
    assert clock.done(5) == 0.5
    assert clock.left_s(0) is None
    assert clock.left_s(5) == pytest.approx(5.0, abs=0.5)


def test_a_clock_of_time_goes_on_where_it_was() -> None:
    clock = Clock(100.0, 0, before_s=60.0)
    assert clock.done(3) == pytest.approx(0.6, abs=0.01)
    assert clock.left_s(3) == pytest.approx(40.0, abs=0.5)


def test_the_picture_shows_scan_truth_and_prediction_of_the_fullest_slice() -> None:
    target = torch.zeros(4, 6, 5, dtype=torch.uint8)
    target[2, 1:5, 1:4] = 1
    picture = panel(lesson("a", torch.rand(1, 4, 6, 5), target), torch.zeros_like(target))
    assert picture.shape == (6, 15, 3)
    red = picture[..., 0].astype(int) - picture[..., 2]
    assert red[2, 7] > 50  # the truth is tinted
    assert red[2, 2] == red[2, 12] == 0  # scan and empty prediction are grey
