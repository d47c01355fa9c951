"""The whole loop through the real command: train, segment, evaluate, fine-tune."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cube_cases import GRID, save_case

from napari_medseg import io
from napari_medseg.volume import Volume

QUICK = {
    "features": [4, 8],
    "patch": [16, 16, 16],
    "batch": 2,
    "convs_per_stage": 1,
    "learning_rate": 0.02,
    "augmentation": 0.0,
    "validations": 1,
    "threads": 1,
    "normalise": "z-score",
    "ema": 0.0,
}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cases; `case5` is held back by the list beside them."""
    folder = tmp_path_factory.mktemp("cases")
    for number in range(6):
        save_case(folder, f"case{number}", number)
    (folder / "held.txt").write_text("# one held back\ncase5\n")
    (folder / "quick.json").write_text(json.dumps(QUICK))
    return folder


@pytest.fixture(scope="module")
def trained(cases: Path) -> tuple[Path, dict[str, object]]:
    """A model of the cases and what its training said, by the command in a process of its own."""
    model = cases / "model.safetensors"
    words = ["train", cases, model, "--epochs", 15, "--config", cases / "quick.json"]
    done = run(*words, "--validation", cases / "held.txt", "--json")
    assert done.returncode == 0, done.stderr
    return model, json.loads(done.stdout)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, as a script would run it."""
    command = [sys.executable, "-m", "napari_medseg.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_train_gives_one_json_document_with_the_dice_of_each_label(trained) -> None:
    model, said = trained
    assert model.exists()
    assert said["path"] == str(model)
    assert set(said["dice"]) == {"label 1"}
    assert 0.5 < said["dice"]["label 1"] <= 1
    assert said["cases"] == 5


def test_segment_then_evaluate_finds_the_cube(medseg, trained, cases: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.nrrd"
    image, truth = (cases / part / "case5.nii.gz" for part in ("images", "labels"))
    said = json.loads(medseg("segment", image, mask, "--model", trained[0], "--json").out)
    label = said["labels"]["label 1"]
    assert label["volume_ml"] == pytest.approx(label["voxels"] / 1000)
    assert said["device"] == "cpu"
    assert said["seconds"] > 0
    scores = json.loads(medseg("evaluate", mask, truth, "--json").out)
    assert scores["cases"]["case5"]["labels"]["1"]["dice"] > 0.5


def test_segment_keeps_the_probabilities(medseg, trained, cases: Path, tmp_path: Path) -> None:
    image, soft = cases / "images" / "case5.nii.gz", tmp_path / "soft.nii.gz"
    words = ["segment", image, tmp_path / "m.nii.gz", "--model", trained[0], "--softmax", soft]
    assert medseg(*words).code == 0
    shares = io.read(soft).array
    assert shares.shape == (2, *GRID.shape)
    assert np.allclose(shares.sum(axis=0), 1, atol=0.01)


def test_segment_takes_the_channel_that_is_named(
    medseg, trained, cases: Path, tmp_path: Path
) -> None:
    volume = io.read(cases / "images" / "case5.nii.gz")
    both = Volume(np.stack([volume.array * 0, volume.array]), GRID)
    io.write_volume(both, tmp_path / "both.nii.gz")
    words = ["segment", tmp_path / "both.nii.gz", tmp_path / "m.nii.gz", "--model", trained[0]]
    assert medseg(*words, "--channel", 1).code == 0
    assert io.read_mask(tmp_path / "m.nii.gz").labels.shape == GRID.shape
    assert medseg(*words, "--channel", 2).code == 3


def test_finetune_tells_before_and_after_and_leaves_the_model_to_use(
    medseg, trained, cases: Path, tmp_path: Path
) -> None:
    out, candidate = tmp_path / "next.safetensors", tmp_path / "candidate.safetensors"
    words = ["finetune", trained[0], cases, out, "--steps", 4, "--candidate", candidate]
    ended = medseg(*words, "--set", "threads=1", "--json")
    assert ended.code == 0, ended.err
    said = json.loads(ended.out)
    assert {"before", "after", "adopted", "why", "seconds"} <= set(said)
    assert set(said["before"]) == set(said["after"]) == {"label 1"}
    assert said["why"]
    expected = candidate if said["adopted"] else trained[0]
    assert out.read_bytes() == expected.read_bytes()


def test_models_lists_shows_and_verifies_what_was_trained(medseg, trained) -> None:
    (listed,) = json.loads(medseg("models", "list", trained[0].parent, "--json").out)["models"]
    shown = json.loads(medseg("models", "show", trained[0], "--json").out)
    assert listed["version"] == shown["version"] == trained[1]["version"]
    assert shown["recipe"]["labels"][0]["name"] == "label 1"
    assert shown["lineage"]["how"] == "train"
    assert json.loads(medseg("models", "verify", trained[0], "--json").out)["ok"] is True


def test_a_model_with_one_changed_byte_is_refused(medseg, trained, tmp_path: Path) -> None:
    data = bytearray(trained[0].read_bytes())
    data[-1] ^= 1
    (tmp_path / "bad.safetensors").write_bytes(data)
    ended = medseg("models", "verify", tmp_path / "bad.safetensors")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith("error: bad.safetensors: ")


def test_what_is_no_model_is_refused_before_the_scan_is_read(medseg, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_text("hello")
    words = ["segment", tmp_path / "no.nii", tmp_path / "o.nii", "--model"]
    assert medseg(*words, tmp_path / "m.safetensors").code == 4
    assert medseg(*words, tmp_path / "none.safetensors").code == 4


def test_a_dataset_without_pairs_is_refused(medseg, tmp_path: Path) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    ended = medseg("train", tmp_path, tmp_path / "m.safetensors")
    assert ended.code == 3
    assert ended.err.startswith(f"error: {tmp_path.name}: ")


def test_a_dataset_that_is_not_there_is_called_so(medseg, tmp_path: Path) -> None:
    ended = medseg("train", tmp_path / "none", tmp_path / "m.safetensors")
    assert ended.code == 3
    assert "there is no such folder" in ended.err


def test_finetune_refuses_one_file_for_two_models(medseg, trained, cases, tmp_path: Path) -> None:
    out = tmp_path / "next.safetensors"
    ended = medseg("finetune", trained[0], cases, out, "--candidate", out)
    assert ended.code == 2
    assert list(tmp_path.iterdir()) == []


def test_segment_keeps_the_largest_part_of_each_label(medseg, trained, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    image = random.normal(0, 5, GRID.shape).astype(np.float32)
    image[1:7, 1:7, 1:7] += 100
    image[10:14, 10:14, 10:14] += 100
    io.write_volume(Volume(image, GRID), tmp_path / "two.nii.gz")
    words = ["segment", tmp_path / "two.nii.gz", tmp_path / "m.nii.gz", "--model", trained[0]]
    assert medseg(*words).code == 0
    whole = io.read_mask(tmp_path / "m.nii.gz").labels
    said = json.loads(medseg(*words, "--keep-largest", "--json").out)
    left = io.read_mask(tmp_path / "m.nii.gz").labels
    assert whole[10:14, 10:14, 10:14].any()
    assert not left[10:14, 10:14, 10:14].any()
    assert said["labels"]["label 1"]["voxels"] == np.count_nonzero(left) > 0


@pytest.mark.parametrize(("channel", "warned"), [("CT", True), ("MRI", False), ("image", False)])
def test_segment_warns_of_a_scan_of_another_modality(
    medseg, trained, cases: Path, tmp_path: Path, monkeypatch, channel: str, warned: bool
) -> None:
    from napari_medseg.models import checkpoint

    segmenter = checkpoint.load(trained[0])
    recipe = replace(segmenter.recipe, channels=(channel,))
    checkpoint.save(replace(segmenter, recipe=recipe), tmp_path / "m.safetensors")
    scan = replace(io.read(cases / "images" / "case5.nii.gz"), modality="MR")
    monkeypatch.setattr(io, "read", lambda *_: scan)
    words = ["segment", "mr.nii", tmp_path / "o.nii", "--model", tmp_path / "m.safetensors"]
    ended = medseg(*words, "--json")
    said = ["mr.nii: the model reads CT, the scan is MR"]
    assert json.loads(ended.out)["warnings"] == (said if warned else [])


def test_a_bound_of_a_setting_is_kept(medseg, cases: Path, tmp_path: Path) -> None:
    ended = medseg("train", cases, tmp_path / "m.safetensors", "--set", "foreground=2")
    assert ended.code == 2
    assert "foreground: must be 0.0 to 1.0" in ended.err


def listen_to_ctrl_c() -> None:
    """A shell's background jobs are born deaf to it, and so are their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_stopping_a_training_leaves_nothing_behind(cases: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.safetensors"
    command = [sys.executable, "-m", "napari_medseg.cli", "train", cases, out, "--minutes", "5"]
    command += ["--config", cases / "quick.json", "--set", "validations=1000"]
    command += ["--set", "patience=0"]  # it may be perfect before it is stopped
    process = subprocess.Popen(
        [str(word) for word in command],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=listen_to_ctrl_c,
    )
    assert process.stderr is not None
    for line in process.stderr:  # the first scores: it is in the middle of its work
        if line.startswith("step"):
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out_text, _ = process.communicate(timeout=60)
    assert (process.returncode, out_text) == (130, "")
    assert list(tmp_path.iterdir()) == []
