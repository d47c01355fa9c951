"""What is said of a mask without its truth, and what calibrates it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.active.predicted import Judge
from napari_medseg.active.signs import Signs
from napari_medseg.correction.edit import edit_of
from napari_medseg.errors import ModelError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.jobs import finish
from napari_medseg.volume import Volume
from napari_medseg.workbench import Workbench
from napari_medseg.workbench.critic import Basis, Critic, Verdict

BOX = slice(1, 4), slice(2, 6), slice(2, 6)


def signs(at: float) -> Signs:
    return Signs(at, (at,) * 6, (0.0,) * 6, at, 1.0)


def verdict(bench: Workbench, at: float = 0.9, fair: bool = True) -> Verdict:
    """A model proposed a block of label 1 for the open case."""
    case = bench.case
    assert case is not None
    labels = np.ones((3, 4, 4), np.uint8)
    case.tracker.receive(BOX, labels)
    wrong = np.zeros(labels.shape, np.float16)
    return Verdict(case, "", BOX, labels, wrong, {1: signs(at)}, Judge(), Basis.NOTHING, fair)


def halve(bench: Workbench) -> None:
    """A person takes half of the block away."""
    assert bench.editor is not None
    half = slice(1, 4), slice(2, 4), slice(2, 6)
    edit = edit_of(bench.editor.scene(), half, np.ones((3, 2, 4), bool), 0)
    bench.editor.apply(edit, "eraser", 1)


def kept(folder: Path) -> list[dict]:
    file = folder / "corrected-none.json"
    return json.loads(file.read_text()) if file.exists() else []


def test_a_mask_that_was_confirmed_whole_calibrates_later_ones(
    bench: Workbench, scan: Volume, tmp_path: Path
) -> None:
    bench.open_case(scan)
    found, critic = verdict(bench), Critic(tmp_path / "critic")
    halve(bench)
    assert not critic.learn(found)
    for z in range(6):
        bench.confirm_slice(0, z)
    assert critic.learn(found)
    assert critic.learn(found)
    assert [round(row["dice"], 3) for row in kept(tmp_path / "critic")] == [round(2 / 3, 3)]


def test_a_mask_that_somebody_had_touched_calibrates_nothing(
    bench: Workbench, scan: Volume, tmp_path: Path
) -> None:
    bench.open_case(scan)
    found, critic = verdict(bench, fair=False), Critic(tmp_path / "critic")
    for z in range(6):
        bench.confirm_slice(0, z)
    assert not critic.learn(found)
    assert kept(tmp_path / "critic") == []


def test_enough_corrected_cases_give_a_range_and_too_few_the_models_opinion(
    bench: Workbench, scan: Volume, tmp_path: Path, models: Path
) -> None:
    critic = Critic(tmp_path / "critic")
    card = bench.add_model(models / "balls.safetensors")
    case = bench.open_case(scan)
    found = verdict(bench)
    for z in range(6):
        bench.confirm_slice(0, z)
    for number in range(4):
        other = replace(case, key=f"other {number}")
        critic.learn(replace(found, case=other, signs={1: signs(0.5 + 0.03 * number)}))
    ask = critic._judge(card, PredictConfig(), "", case.key)
    assert finish(ask)[1] is Basis.NOTHING
    for number in range(4, 12):
        other = replace(case, key=f"other {number}")
        critic.learn(replace(found, case=other, signs={1: signs(0.5 + 0.03 * number)}))
    judge, basis = finish(critic._judge(card, PredictConfig(), "", case.key))
    guess = judge.guess(signs(0.7), 1)
    assert basis is Basis.CORRECTED
    assert 0.0 < guess.low <= guess.dice <= guess.high
    critic.close()


def test_a_model_that_is_gone_is_told(bench: Workbench, scan: Volume, models: Path) -> None:
    card = replace(bench.add_model(models / "balls.safetensors"), path=models / "gone.safetensors")
    case = bench.open_case(scan)
    with pytest.raises(ModelError):
        finish(bench.critic.ask(case, card, PredictConfig(device="cpu"), ""))
