"""A model begun from painted slices of the open case; here its job tells what a test makes up."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medseg.correction.record import Example
from napari_medseg.errors import InputError
from napari_medseg.inference.config import PredictConfig
from napari_medseg.jobs import Job, finish
from napari_medseg.models import checkpoint
from napari_medseg.training.begun import Draft, ScratchCard, ScratchConfig
from napari_medseg.volume import Label, Mask, Volume
from napari_medseg.workbench import Case, Workbench
from napari_medseg.workbench.beginning import Beginning, painted_slices

Begin = Callable[[], Beginning]
Taught = Callable[[Workbench], list[Example]]


@pytest.fixture
def case(bench: Workbench, scan: Volume) -> Case:
    """The open scan with structure 3 of another model, and 2 painted in three slices."""
    mask = np.zeros(scan.geometry.shape, np.uint8)
    mask[0] = 3
    case = bench.open_case(scan, Mask(mask, scan.geometry))
    bench.add_label("cyst")
    for z in (1, 2, 3):
        case.labels[z, 3:5, 3:5] = 2
    bench.commit()
    return case


@pytest.fixture
def begin(bench: Workbench, case: Case, models: Path, monkeypatch: pytest.MonkeyPatch) -> Begin:
    """Its draft says 2 everywhere, its mask 2 from column 6 on."""

    def told(_: object, name: str, example: Any, config: Any, out: Path) -> Job[ScratchCard]:
        geometry, names = example.mask.geometry, (Label(2, "cyst"),)
        labels = np.full(geometry.shape, 2, np.uint8)
        yield Draft(Mask(labels, geometry, names), "all of it", 0.0)
        model = checkpoint.save(checkpoint.load(models / "cubes.safetensors"), out)
        half = labels * (np.arange(labels.shape[2]) > 5)
        return ScratchCard(Mask(half.astype(np.uint8), geometry, names), model, 0.0)

    monkeypatch.setattr("napari_medseg.workbench.prediction.Predictor.alone", told)
    return lambda: bench.begin(ScratchConfig())


def test_what_was_painted_stays_and_one_step_takes_the_rest_back(
    bench: Workbench, case: Case, begin: Begin
) -> None:
    before, beginning = case.labels.copy(), begin()
    finished = finish(beginning.job(), beginning.receive)
    beginning.keep(finished)
    painted = case.source != 0
    assert (case.labels[painted] == 2).all()
    assert (case.labels[..., 6:] == 2).all()
    after = case.labels.copy()
    bench.editor.undo()
    np.testing.assert_array_equal(case.labels, before)
    bench.editor.redo()
    np.testing.assert_array_equal(case.labels, after)


def test_structures_that_the_new_model_does_not_know_stay_where_it_finds_nothing(
    case: Case, begin: Begin
) -> None:
    there = case.labels == 3
    beginning = begin()
    beginning.keep(finish(beginning.job(), beginning.receive))
    there[..., 6:] = False
    assert there.any()
    assert (case.labels[there] == 3).all()


def test_the_rest_of_the_mask_is_the_models_and_no_persons(case: Case, begin: Begin) -> None:
    painted, beginning = case.source.copy(), begin()
    beginning.keep(finish(beginning.job(), beginning.receive))
    np.testing.assert_array_equal(case.source, painted)


def test_the_new_model_is_in_use_and_the_case_teaches_it(
    bench: Workbench, case: Case, begin: Begin, taught: Taught
) -> None:
    beginning = begin()
    kept = beginning.keep(finish(beginning.job(), beginning.receive))
    assert kept.path.parent.parent == bench.models[-1].path.parent.parent
    assert bench.segmenter.path == kept.path
    assert len(taught(bench)) == 1
    bench.close_case()
    assert len(taught(bench)) == 1


def test_what_was_filled_is_there_again_when_the_scan_is_opened_again(
    bench: Workbench, scan: Volume, case: Case, begin: Begin
) -> None:
    beginning = begin()
    beginning.keep(finish(beginning.job(), beginning.receive))
    bench.close_case()
    again = bench.open_case(scan)
    np.testing.assert_array_equal(again.labels, case.labels)
    np.testing.assert_array_equal(again.source, case.source)


def test_after_a_crash_the_filled_mask_is_there_and_strokes_can_be_taken_back(
    bench: Workbench, scan: Volume, case: Case, begin: Begin, tmp_path: Path, models: Path
) -> None:
    beginning = begin()
    beginning.keep(finish(beginning.job(), beginning.receive))
    filled = case.labels.copy()
    case.labels[5, 0, 0] = 1
    bench.commit()
    assert bench.flush(10)
    left = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-left"))
    after = Workbench(left, models)
    again = after.open_case(scan)
    np.testing.assert_array_equal(again.labels, case.labels)
    after.editor.undo()
    np.testing.assert_array_equal(again.labels, filled)
    after.close()


def test_one_that_is_stopped_leaves_neither_labels_nor_files(
    bench: Workbench, case: Case, begin: Begin, tmp_path: Path
) -> None:
    before, beginning = case.labels.copy(), begin()
    job = beginning.job()
    for event in job:
        beginning.receive(event)
        if (case.labels != before).any():
            break
    job.close()
    beginning.give_up()
    np.testing.assert_array_equal(case.labels, before)
    assert not bench.editor.history.steps[2:]
    assert not list((tmp_path / "models").glob(".begin*"))


def test_one_that_is_given_up_after_its_last_piece_leaves_nothing_either(
    case: Case, begin: Begin, tmp_path: Path
) -> None:
    before, beginning = case.labels.copy(), begin()
    finish(beginning.job(), beginning.receive)
    assert (case.labels != before).any()
    beginning.give_up()
    np.testing.assert_array_equal(case.labels, before)
    assert not list((tmp_path / "models").glob(".begin*"))


def test_a_stroke_meanwhile_stays_also_when_the_rest_is_taken_back(
    bench: Workbench, case: Case, begin: Begin
) -> None:
    beginning = begin()
    for event in (job := beginning.job()):
        beginning.receive(event)
        if case.labels[5, 0, 11] == 2:
            break
    case.labels[5, 0, 11] = 1
    bench.commit()
    beginning.keep(finish(job, beginning.receive))
    assert case.labels[5, 0, 10:].tolist() == [2, 1]
    bench.editor.undo()
    assert case.labels[5, 0, 10:].tolist() == [0, 1]


def test_no_prediction_fills_the_mask_meanwhile(bench: Workbench, case: Case) -> None:
    bench.begin(ScratchConfig())  # may be asked for
    bench._predictor.running = True
    with pytest.raises(InputError, match="must end before"):
        bench.predict(PredictConfig())
    with pytest.raises(InputError, match="must end before"):
        bench.begin(ScratchConfig())


def test_slices_are_counted_along_the_axis_that_has_fewest(case: Case) -> None:
    every = range(len(case.labels))
    assert painted_slices(case, every, 9) == 2
    assert painted_slices(case, every, 2) == 2
    assert painted_slices(case, [1], 2) == 1
    assert painted_slices(case, [], 2) == 0


def test_closing_the_scan_while_it_is_filled_leaves_it_as_it_was(
    bench: Workbench, scan: Volume, case: Case, begin: Begin
) -> None:
    before, beginning = case.labels.copy(), begin()
    finish(beginning.job(), beginning.receive)
    assert (case.labels != before).any()
    bench.close_case()
    beginning.give_up()
    np.testing.assert_array_equal(bench.open_case(scan).labels, before)


def test_taking_it_back_spares_what_a_model_found_since(
    bench: Workbench, case: Case, begin: Begin
) -> None:
    beginning = begin()
    beginning.keep(finish(beginning.job(), beginning.receive))
    box = slice(4, 5), slice(0, 4), slice(6, 9)
    bench.editor.corrector.receive(box, np.ones((1, 4, 3), np.uint8))
    bench.editor.undo()
    assert (case.labels[box] == 1).all()
    assert not case.labels[4, 4:, 6:].any()
