"""Models at hand, and the way back to an older one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from napari_medseg.errors import ModelError
from napari_medseg.models.card import ModelCard
from napari_medseg.models.checkpoint import load, save
from napari_medseg.workbench import Shelf, Workbench, bundled_models, version_name


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def shelf(tmp_path: Path, models: Path, reports: list[str]) -> Shelf:
    return Shelf(tmp_path / "models", reports.append, models)


def _version(shelf: Shelf, models: Path) -> ModelCard:
    """A fine-tuned version of "balls"."""
    path = shelf.next_path(shelf.cards[0])
    shutil.copy(models / "candidate", path)
    shelf.refresh()
    return shelf.cards[-1]


def test_bundled_models_are_on_the_shelf_and_the_first_is_chosen(shelf: Shelf) -> None:
    assert [card.name for card in shelf.cards] == ["balls", "cubes"]
    assert shelf.chosen() == shelf.cards[0]


def test_the_choice_is_remembered(shelf: Shelf, tmp_path: Path, models: Path) -> None:
    shelf.choose(shelf.cards[1])
    again = Shelf(tmp_path / "models", print, models)
    assert again.chosen() == again.cards[1]


def test_a_version_belongs_to_its_original_and_to_no_other(shelf: Shelf, models: Path) -> None:
    version = _version(shelf, models)
    assert [version_name(card) for card in shelf.family(version)] == ["original", "v2"]
    assert shelf.family(shelf.cards[1]) == [shelf.cards[1]]


def test_the_next_version_never_takes_the_place_of_another(shelf: Shelf, models: Path) -> None:
    _version(shelf, models)
    assert shelf.next_path(shelf.cards[0]).name == "v3.safetensors"


def test_versions_whose_original_is_gone_are_still_a_family(
    shelf: Shelf, models: Path, tmp_path: Path
) -> None:
    version = _version(shelf, models)
    orphaned = Shelf(tmp_path / "models", print, tmp_path / "none")
    assert orphaned.cards == [version]
    assert orphaned.root(version) == version.lineage.parent


def test_a_chosen_version_that_is_gone_gives_way_to_one_that_is_there(
    shelf: Shelf, models: Path
) -> None:
    version = _version(shelf, models)
    shelf.choose(version)
    version.path.unlink()
    shelf.refresh()
    assert shelf.chosen() == shelf.cards[0]


def test_an_added_model_stays_where_it_lies_and_is_remembered(
    tmp_path: Path, models: Path, reports: list[str]
) -> None:
    shelf = Shelf(tmp_path / "models", reports.append, tmp_path / "none")
    shelf.add(models / "cubes.safetensors")
    again = Shelf(tmp_path / "models", reports.append, tmp_path / "none")
    assert [card.name for card in again.cards] == ["cubes"]
    assert reports == []


def test_what_is_no_model_is_refused_when_it_is_added(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a model, but long enough")
    with pytest.raises(ModelError):
        shelf.add(tmp_path / "notes.txt")
    with pytest.raises(ModelError):
        shelf.add(tmp_path / "nowhere.safetensors")


def test_a_damaged_version_is_told_once_and_left_out(
    shelf: Shelf, models: Path, reports: list[str]
) -> None:
    path = shelf.next_path(shelf.cards[0])
    path.write_bytes((models / "candidate").read_bytes()[:-10])
    shelf.refresh()
    shelf.refresh()
    assert len(shelf.cards) == 2
    assert len(reports) == 1
    assert "truncated" in reports[0]


@pytest.mark.parametrize("content", ["{", "[]", '{"added": 3, "last": null}'])
def test_a_damaged_list_of_choices_does_no_harm(
    tmp_path: Path, models: Path, reports: list[str], content: str
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "choice.json").write_text(content)
    shelf = Shelf(tmp_path / "models", reports.append, models)
    assert shelf.chosen() == shelf.cards[0]


def test_the_bundled_folder_lies_in_the_package_or_beside_the_checkout() -> None:
    assert bundled_models().parts[-2:] == ("sample_data", "models")


def test_adopting_any_version_goes_back_to_it_in_one_call(bench: Workbench, models: Path) -> None:
    told: list[ModelCard] = []
    bench.segmenter_adopted.connect(told.append)
    second = _version(bench._shelf, models)
    bench.adopt(second)
    assert bench.segmenter == second
    bench.adopt(bench.versions()[0])
    assert bench.segmenter == told[-1] == bench.models[0]


def test_a_model_of_the_user_is_told_to_the_docks(bench: Workbench, models: Path) -> None:
    told: list[int] = []
    bench.models_changed.connect(lambda: told.append(1))
    assert bench.add_model(models / "cubes.safetensors").name == "cubes"
    assert told == [1]


def test_a_first_scan_is_met_by_a_model_for_its_modality_until_the_user_chooses(
    shelf: Shelf, tmp_path: Path, models: Path
) -> None:
    segmenter = load(models / "cubes.safetensors")
    recipe = replace(segmenter.recipe, channels=("MRI",))
    save(replace(segmenter, recipe=recipe, name="mr"), tmp_path / "mr.safetensors")
    shelf.add(tmp_path / "mr.safetensors")
    suggested = shelf.suggested("MR")
    assert suggested is not None
    assert suggested.name == "mr"
    assert shelf.suggested("CT") is None
    shelf.choose(shelf.cards[0])
    assert shelf.suggested("MR") is None


def test_a_candidate_kept_aside_is_known_to_its_parent_until_it_is_used(
    shelf: Shelf, models: Path, tmp_path: Path
) -> None:
    version, original = _version(shelf, models), shelf.cards[0]
    assert shelf.aside_of(original) is None
    shelf.keep_aside(version)
    again = Shelf(tmp_path / "models", print, models)
    assert again.aside_of(original) == version
    assert again.aside_of(version) is None
    again.choose(version)
    again.choose(original)
    assert again.aside_of(original) is None
