"""A quick look is in the mask only until the better answer comes, or none comes any more."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.correction.record import Source
from napari_medseg.errors import InputError
from napari_medseg.inference.events import BoxDone
from napari_medseg.volume import Mask, Volume
from napari_medseg.workbench import Case, Workbench
from napari_medseg.workbench.prediction import CaseBox

SLICE = 3  # of the scan's own grid, along an axis that is flipped on the canonical one
SPOT = np.s_[4, 5]


@pytest.fixture
def case(bench: Workbench, scan: Volume) -> Case:
    """A case with labels of an earlier prediction."""
    labels = np.random.default_rng(0).integers(0, 3, scan.array.shape).astype(np.uint8)
    return bench.open_case(scan, Mask(labels, scan.geometry))


def test_after_a_stop_the_labels_are_what_they_were_before_the_quick_look(
    bench: Workbench, case: Case
) -> None:
    before, counts = case.labels.copy(), bench.volumes_ml()
    told: list[object] = []
    look(bench, 5)
    look(bench, 6)  # a closer look at the same slice
    assert (shown(case) == 6).all()
    bench.labels_changed.connect(told.append)
    bench.drop_previews()
    for array in (case.labels, case.baseline):
        np.testing.assert_array_equal(array, before)
    assert bench.volumes_ml() == counts
    assert told
    assert bench.commit() is None


def test_what_became_final_stays_after_a_stop(bench: Workbench, case: Case) -> None:
    before = shown(case).copy()
    look(bench, 5)
    bench.receive(BoxDone((SLICE, 0, 0), np.full((1, 4, 12), 1, np.uint8)))
    bench.drop_previews()
    assert (shown(case)[:4] == 1).all()
    np.testing.assert_array_equal(shown(case)[4:], before[4:])


def test_what_was_painted_on_a_quick_look_stays_after_a_stop(bench: Workbench, case: Case) -> None:
    before = shown(case).copy()
    look(bench, 5)
    shown(case)[SPOT] = 3
    bench.commit()
    shown(case)[SPOT[0], 0] = 4  # not committed yet
    bench.drop_previews()
    before[SPOT], before[SPOT[0], 0] = 3, 4
    np.testing.assert_array_equal(shown(case), before)
    bench.commit()
    assert np.count_nonzero(case.source == Source.PAINTED) == 2


@pytest.mark.parametrize("final", [None, 1, 3])
def test_what_lies_under_a_stroke_is_never_a_quick_look_once_that_is_gone(
    bench: Workbench, case: Case, final: int | None
) -> None:
    before = shown(case).copy()
    look(bench, 5)
    look(bench, 6)
    shown(case)[SPOT] = 3
    bench.commit()
    if final is not None:
        bench.receive(BoxDone((SLICE, 0, 0), np.full((1, 10, 12), final, np.uint8)))
    bench.drop_previews()
    under = case.turn.undo(case.baseline)[SLICE][SPOT]
    assert under == (final if final == 1 else before[SPOT]), "3 is what the person painted"
    assert case.tracker.painted == np.count_nonzero(case.source == Source.PAINTED) == 1


def test_a_mask_to_be_saved_holds_no_quick_look_of_two_over_each_other(
    bench: Workbench, case: Case
) -> None:
    before = shown(case).copy()
    look(bench, 5)
    look(bench, 6)
    np.testing.assert_array_equal(case.mask().labels[SLICE], before)
    np.testing.assert_array_equal(bench.example().mask.labels, case.without_looks())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_that_shows_a_quick_look_cannot_be_confirmed_until_it_is_final(
    bench: Workbench, case: Case, axis: int
) -> None:
    index = at(case) if axis == 0 else 2
    look(bench, 0)
    with pytest.raises(InputError, match="still shows a quick look"):
        bench.confirm_slice(axis, index)
    assert not case.source.any()
    bench.receive(BoxDone((SLICE, 0, 0), np.zeros((1, 10, 12), np.uint8)))
    bench.confirm_slice(axis, index)
    assert bench.confirmed_slices(axis) == (index,)


def test_other_slices_can_be_confirmed_meanwhile(bench: Workbench, case: Case) -> None:
    look(bench, 5)
    bench.confirm_slice(0, at(case) + 1)
    assert bench.confirmed_slices(0) == (at(case) + 1,)


def test_a_slice_can_be_confirmed_after_a_stop_as_it_was(bench: Workbench, case: Case) -> None:
    before = case.labels.copy()
    look(bench, 5)
    bench.drop_previews()
    bench.confirm_slice(0, at(case))
    np.testing.assert_array_equal(bench.example().mask.labels, before)


def test_a_confirmed_slice_takes_no_quick_look(bench: Workbench, case: Case) -> None:
    bench.confirm_slice(0, at(case))
    before = shown(case).copy()
    look(bench, 5)
    np.testing.assert_array_equal(shown(case), before)


def test_the_end_of_a_prediction_leaves_nothing_to_take_back(bench: Workbench, case: Case) -> None:
    look(bench, 5)
    bench.receive(CaseBox((0, 0, 0), np.zeros((0, 10, 12), np.uint8), key=case.key, last=True))
    bench.drop_previews()
    assert (shown(case) == 5).all()


def test_a_closed_case_keeps_no_quick_look_on_the_disk(
    bench: Workbench, case: Case, scan: Volume
) -> None:
    case.labels[0, 0, 0] = 2
    bench.commit()
    before = case.labels.copy()
    look(bench, 5)
    again = bench.open_case(scan)
    np.testing.assert_array_equal(again.labels, before)


def look(bench: Workbench, value: int) -> None:
    """A quick look at one slice arrives."""
    bench.receive(BoxDone((SLICE, 0, 0), np.full((1, 10, 12), value, np.uint8), preview=True))


def at(case: Case) -> int:
    """The index of the slice on canonical axes."""
    return next(i for i in range(6) if case.own_slice(0, i) == (0, SLICE))


def shown(case: Case) -> np.ndarray:
    """That slice, as a view on the scan's own axes."""
    return case.turn.undo(case.labels)[SLICE]
