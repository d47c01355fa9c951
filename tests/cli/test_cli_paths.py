"""Where results may go and which model is meant, known before the work begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from napari_medseg.cli import paths
from napari_medseg.cli.paths import check_output, check_outputs, find_model
from napari_medseg.errors import ModelError, WriteError
from napari_medseg.workbench import shelf


def test_a_good_output_is_left_alone(tmp_path: Path) -> None:
    assert check_output(tmp_path / "Mask.NII.GZ", (".nii.gz",)) == tmp_path / "Mask.NII.GZ"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/mask.nii", "make it first"),
        ("folder.nii", "name a file in it"),
        ("scan.nii", "choose another name"),
    ],
)
def test_a_bad_output_is_refused_with_what_to_do(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.nii").mkdir()
    scan = tmp_path / "scan.nii"
    scan.touch()
    with pytest.raises(WriteError, match=words):
        check_output(tmp_path / name, (".nii",), (scan,))


def test_an_unknown_ending_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"mask\.xyz must end in \.nii"):
        check_output(tmp_path / "mask.xyz", (".nii",))


def test_two_results_in_one_file_are_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    check_outputs((tmp_path / "a.nii", tmp_path / "b" / "a.nii", None), (".nii",))
    with pytest.raises(typer.BadParameter, match="named twice"):
        check_outputs((tmp_path / "a.nii", tmp_path / "b" / ".." / "a.nii"), (".nii",))


def test_a_folder_that_takes_no_files_is_refused(tmp_path: Path, monkeypatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paths.tempfile, "NamedTemporaryFile", full)
    with pytest.raises(WriteError, match="No space left"):
        check_output(tmp_path / "mask.nii", (".nii",))


def test_a_shipped_model_goes_by_its_name(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "liver.safetensors").touch()
    monkeypatch.setattr(shelf, "bundled_models", lambda: tmp_path)
    assert find_model("liver") == tmp_path / "liver.safetensors"
    with pytest.raises(ModelError, match="medseg models list"):
        find_model("spleen")


def test_a_file_goes_before_a_shipped_model(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("liver").touch()
    assert find_model("liver") == Path("liver")


def test_a_folder_does_not_hide_a_shipped_model(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("liver", "spleen", "shipped"):
        Path(folder).mkdir()
    Path("shipped/liver.safetensors").touch()
    monkeypatch.setattr(shelf, "bundled_models", lambda: tmp_path / "shipped")
    assert find_model("liver") == tmp_path / "shipped" / "liver.safetensors"
    with pytest.raises(ModelError, match="this is a folder; name a"):
        find_model("spleen")
