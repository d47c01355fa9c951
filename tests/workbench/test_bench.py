"""What is open, and what a person does with it; no child process here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medseg.correction.record import Source
from napari_medseg.errors import GridError, InputError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import BoxDone
from napari_medseg.io import read_mask
from napari_medseg.models.card import ModelCard
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.volume import Geometry, Label, Mask, Volume
from napari_medseg.workbench import Workbench

ROOT = Path(__file__).parents[2]
HERE = slice(2, 4), slice(3, 6), slice(4, 8)


@pytest.fixture
def heard(bench: Workbench) -> list[Any]:
    """Every sentence that was told."""
    told: list[Any] = []
    bench.warned.connect(told.append)
    return told


def test_a_window_on_the_workbench_imports_no_torch() -> None:
    code = (
        "import sys, napari_medseg.workbench, napari_medseg.training.events;"
        "import napari_medseg.training.config, napari_medseg.inference.config;"
        "assert not {'torch', 'napari', 'qtpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_scan_opens_on_canonical_axes_with_the_models_structures(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    assert case.volume.geometry.axcodes == "LPS"
    assert case.names == (Label(1, "ball", "#ff0000"),)
    assert case.labels.dtype == np.uint8
    assert case.labels.flags.c_contiguous
    np.testing.assert_array_equal(case.scan.array, scan.array)
    assert case.scan.geometry == scan.geometry


def test_what_is_painted_is_committed_told_and_counted(bench: Workbench, scan: Volume) -> None:
    told: list[Any] = []
    bench.correction_committed.connect(told.append)
    bench.open_case(scan).labels[HERE] = 1
    correction = bench.commit(HERE)
    assert told == [correction]
    assert bench.volumes_ml() == {1: pytest.approx(24 * 2.0 / 1000)}
    assert bench.commit() is None


def test_a_label_that_nobody_named_gets_a_name_when_it_is_painted(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    case.labels[0, 0, 0] = 7
    bench.commit()
    assert [(n.value, n.name) for n in case.names] == [(1, "ball"), (7, "label 7")]


def test_structures_are_added_and_renamed_and_come_back(bench: Workbench, scan: Volume) -> None:
    told = _count(bench.names_changed)
    case = bench.open_case(scan)
    added = bench.add_label(" nodule ", "#00ff00")
    bench.rename_label(1, "lung")
    case.labels[0, 0, 0] = added.value
    bench.commit()
    bench.rename_label(2, "tumour")
    again = bench.open_case(scan)
    assert [(n.value, n.name) for n in again.names] == [(1, "lung"), (2, "tumour")]
    assert told == [1, 1, 1]


@pytest.mark.parametrize("name", ["", "  "])
def test_a_structure_without_a_name_is_refused(bench: Workbench, scan: Volume, name: str) -> None:
    bench.open_case(scan)
    with pytest.raises(InputError, match="must have a name"):
        bench.add_label(name)
    with pytest.raises(InputError, match="must have a name"):
        bench.rename_label(1, name)


def test_a_structure_that_is_not_on_the_list_cannot_be_renamed(
    bench: Workbench, scan: Volume
) -> None:
    bench.open_case(scan)
    with pytest.raises(InputError, match="9 is not"):
        bench.rename_label(9, "liver")


def test_a_mask_holds_254_structures_and_none_is_the_ignored_value(
    bench: Workbench, scan: Volume
) -> None:
    bench.open_case(scan)
    values = [bench.add_label(f"part {i}").value for i in range(253)]
    assert values == list(range(2, 255))
    with pytest.raises(InputError, match="structures, not more"):
        bench.add_label("one more")


def test_corrections_and_confirmed_slices_come_back_and_that_is_told(
    bench: Workbench, scan: Volume, heard: list[str]
) -> None:
    case = bench.open_case(scan)
    case.labels[HERE] = 1
    bench.commit()
    bench.confirm_slice(0, 5)
    source = case.source.copy()
    again = bench.open_case(replace(scan, name="another name"))
    assert again is not case
    np.testing.assert_array_equal(again.source, source)
    assert bench.confirmed_slices(0) == (5,)
    assert heard[-1].startswith("earlier corrections of this scan are back: 24 painted voxels")


def test_corrections_come_back_in_a_scan_that_is_stored_on_other_axes(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    case.labels[HERE] = 1
    bench.commit()
    again = bench.open_case(case.volume)
    assert (again.labels[HERE] == 1).all()


def test_another_window_after_a_restart_finds_the_corrections(
    bench: Workbench, scan: Volume, tmp_path: Path, models: Path
) -> None:
    bench.open_case(scan).labels[HERE] = 1
    bench.close()
    later = Workbench(tmp_path, models)
    assert (later.open_case(scan).source[HERE] == Source.PAINTED).all()
    later.close()


def test_a_scan_that_nobody_corrected_leaves_nothing_on_the_disk(
    bench: Workbench, scan: Volume, tmp_path: Path
) -> None:
    bench.open_case(scan)
    bench.receive(BoxDone((0, 0, 0), np.ones((2, 2, 2), np.uint8)))
    bench.close()
    assert not (tmp_path / "cases").exists()


def test_no_name_of_scan_or_subject_reaches_the_disk(
    bench: Workbench, scan: Volume, tmp_path: Path
) -> None:
    bench.open_case(replace(scan, name="DOE_JOHN"), subject="DOE_JOHN").labels[HERE] = 1
    bench.close()
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 4  # scan, state, log, effort
    assert not any(b"DOE" in path.read_bytes() for path in written)


def test_a_prediction_arrives_on_the_scans_own_axes(bench: Workbench, scan: Volume) -> None:
    case = bench.open_case(scan)
    told: list[Any] = []
    bench.labels_changed.connect(told.append)
    bench.receive(BoxDone((1, 2, 3), np.ones((2, 3, 6), np.uint8)))
    np.testing.assert_array_equal(case.mask().labels, scan.array * (_block()) == 100)
    np.testing.assert_array_equal(case.labels[told[0]], 1)


def test_a_viewed_slice_is_found_on_the_scans_own_axes(bench: Workbench, scan: Volume) -> None:
    case = bench.open_case(scan)
    for axis in range(3):
        own_axis, own_index = case.own_slice(axis, 1)
        mine = np.moveaxis(case.volume.array, axis, 0)[1]
        own = np.moveaxis(scan.array, own_axis, 0)[own_index]
        np.testing.assert_array_equal(np.sort(mine.ravel()), np.sort(own.ravel()))


def test_a_saved_mask_lies_on_the_scans_own_grid(
    bench: Workbench, scan: Volume, tmp_path: Path
) -> None:
    case = bench.open_case(scan)
    case.labels[HERE] = 1
    bench.save_mask(tmp_path / "mask.nii.gz")
    back = read_mask(tmp_path / "mask.nii.gz")
    assert back.geometry == scan.geometry
    np.testing.assert_array_equal(case.turn.apply(back.labels), case.labels)


def test_a_mask_to_begin_with_counts_as_a_models(bench: Workbench, scan: Volume) -> None:
    labels = (scan.array > 0).astype(np.uint8) * 3
    case = bench.open_case(scan, Mask(labels, scan.geometry))
    np.testing.assert_array_equal(case.mask().labels, labels)
    assert not case.source.any()
    assert {n.value for n in case.names} == {1, 3}


def test_a_mask_with_large_numbers_makes_wide_labels(bench: Workbench, scan: Volume) -> None:
    mask = Mask((scan.array > 0).astype(np.uint16) * 300, scan.geometry)
    assert bench.open_case(scan, mask).labels.dtype == np.uint16


def test_a_mask_on_another_grid_is_refused(bench: Workbench, scan: Volume) -> None:
    other = Geometry.from_spacing((6, 10, 12), (1.0, 1.0, 1.0))
    with pytest.raises(GridError, match="must lie on its scan's grid"):
        bench.open_case(scan, Mask(np.zeros((6, 10, 12), np.uint8), other))


def test_a_scan_without_any_model_can_be_corrected(tmp_path: Path, scan: Volume) -> None:
    bench = Workbench(tmp_path, tmp_path / "none")
    case = bench.open_case(scan)
    case.labels[HERE] = bench.add_label("lesion").value
    assert bench.commit() is not None
    with pytest.raises(InputError, match="a model must be chosen"):
        bench.predict(PredictConfig())
    bench.close()


def test_an_example_vouches_for_painted_and_confirmed_voxels_only(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    case.labels[HERE] = 1
    bench.confirm_slice(0, 0)
    example = bench.example()
    assert example.confirmed.sum() == 24 + case.labels[0].size
    assert (example.mask.labels[HERE] == 1).all()
    case.labels[HERE] = 0
    assert (example.mask.labels[HERE] == 1).all()


def test_an_untouched_case_takes_over_the_structures_of_the_model_chosen_next(
    bench: Workbench, scan: Volume
) -> None:
    case = bench.open_case(scan)
    bench.receive(BoxDone((0, 0, 0), np.full((1, 1, 1), 3, np.uint8)))
    bench.add_label("mine")
    bench.adopt(_lungs(bench))
    assert [n.name for n in case.names] == ["lung", "mine", "label 3"]


def test_a_corrected_case_keeps_its_names_and_tells_what_the_model_means_by_them(
    bench: Workbench, scan: Volume, heard: list[str]
) -> None:
    case = bench.open_case(scan)
    case.labels[HERE] = 1  # not committed yet
    bench.adopt(_lungs(bench))
    assert case.names == (Label(1, "ball", "#ff0000"),)
    assert heard == ["1 is ball here, lung in that model"]


def test_fine_tuning_without_a_correction_is_refused(bench: Workbench, scan: Volume) -> None:
    bench.open_case(scan)
    with pytest.raises(InputError, match="needs a corrected case"):
        bench.fine_tune(FineTuneConfig())


ACTIONS: list[Callable[[Workbench], object]] = [
    Workbench.commit,
    Workbench.volumes_ml,
    Workbench.example,
    lambda bench: bench.confirm_slice(0, 0),
    lambda bench: bench.predict(PredictConfig()),
    lambda bench: bench.save_mask(Path("mask.nrrd")),
    lambda bench: bench.add_label("liver"),
]


@pytest.mark.parametrize("action", ACTIONS)
def test_without_a_scan_one_is_asked_for(
    bench: Workbench, action: Callable[[Workbench], object]
) -> None:
    with pytest.raises(InputError, match="a scan must be open"):
        action(bench)


def test_closing_twice_is_as_good_as_once(bench: Workbench, scan: Volume) -> None:
    closed = _count(bench.case_closed)
    bench.open_case(scan)
    bench.close()
    bench.close()
    assert closed == [1]


def _lungs(bench: Workbench) -> ModelCard:
    """A model that calls 1 "lung"."""
    card = bench.models[1]
    return replace(card, recipe=replace(card.recipe, labels=(Label(1, "lung", "#00ff00"),)))


def _count(signal: Any) -> list[int]:
    told: list[int] = []
    signal.connect(lambda *_: told.append(1))
    return told


def _block() -> np.ndarray:
    block = np.zeros((6, 10, 12), np.int16)
    block[1:3, 2:5, 3:9] = 1
    return block
