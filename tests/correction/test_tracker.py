"""Who is behind each voxel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from napari_medseg.correction.record import Source
from napari_medseg.correction.tracker import Tracker, clip
from napari_medseg.errors import GridError, InputError

SHAPE = (6, 7, 8)
BOX = slice(1, 4), slice(2, 5), slice(3, 6)
Array = npt.NDArray[np.uint8]


@pytest.fixture
def tracker() -> Tracker:
    """A model said 1 in the lower half, nobody corrected yet."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[:3] = 1
    return Tracker(labels)


def test_painted_is_exactly_where_a_person_changed_voxels(tracker: Tracker) -> None:
    tracker.labels[BOX] = 2
    tracker.commit()
    expected = np.zeros(SHAPE, np.uint8)
    expected[BOX] = Source.PAINTED
    np.testing.assert_array_equal(tracker.source, expected)


def test_painting_what_the_model_had_said_is_no_correction(tracker: Tracker) -> None:
    tracker.labels[0, 0, 0] = 1
    assert tracker.commit() is None
    assert not tracker.touched


def test_a_correction_holds_the_smallest_box_with_old_new_and_baseline(tracker: Tracker) -> None:
    tracker.labels[BOX] = 2
    correction = tracker.commit()
    assert correction is not None
    assert correction.box == BOX
    np.testing.assert_array_equal(correction.old, tracker.baseline[BOX])
    assert (correction.new == 2).all()
    assert correction.confirmed.all()
    assert correction.voxels == 27


def test_two_far_strokes_between_commits_are_one_correction_of_two_voxels(tracker: Tracker) -> None:
    tracker.labels[0, 0, 0] = tracker.labels[5, 6, 7] = 2
    correction = tracker.commit()
    assert correction is not None
    assert correction.box == clip(None, SHAPE)
    assert correction.voxels == 2
    assert correction.confirmed.sum() == 2


def test_erasing_is_a_correction_too(tracker: Tracker) -> None:
    tracker.labels[0, 0, 0] = 0
    tracker.commit()
    assert tracker.source[0, 0, 0] == Source.PAINTED


def test_an_undone_stroke_is_the_models_again(tracker: Tracker) -> None:
    before = tracker.labels[BOX].copy()
    tracker.labels[BOX] = 2
    tracker.commit()
    tracker.labels[BOX] = before
    undone = tracker.commit()
    assert undone is not None
    assert not undone.confirmed.any()
    assert not tracker.source.any()
    assert not tracker.touched


def test_a_commit_in_a_box_leaves_the_rest_for_the_next_one(tracker: Tracker) -> None:
    tracker.labels[0, 0, 0] = tracker.labels[5, 5, 5] = 2
    first = tracker.commit((slice(0, 2), slice(-9, 99), slice(None)))
    second = tracker.commit()
    assert first is not None
    assert second is not None
    assert first.box[0] == slice(0, 1)
    assert second.box == (slice(5, 6),) * 3


def test_a_prediction_never_overwrites_painted_voxels(tracker: Tracker) -> None:
    tracker.labels[BOX] = 2
    tracker.commit()
    assert tracker.receive(clip(None, SHAPE), np.full(SHAPE, 3, np.uint8))
    assert (tracker.labels[BOX] == 2).all()
    assert (np.delete(tracker.labels.ravel(), _flat(BOX)) == 3).all()


def test_a_prediction_never_overwrites_a_stroke_that_is_not_committed_yet(tracker: Tracker) -> None:
    tracker.labels[BOX] = 2
    tracker.receive(clip(None, SHAPE), np.full(SHAPE, 3, np.uint8))
    correction = tracker.commit()
    assert correction is not None
    assert correction.box == BOX
    assert (tracker.source == Source.PAINTED).sum() == 27


def test_a_prediction_never_overwrites_a_confirmed_slice(tracker: Tracker) -> None:
    tracker.confirm(0, 2)
    tracker.receive(clip(None, SHAPE), np.full(SHAPE, 3, np.uint8))
    assert (tracker.labels[2] == 1).all()
    assert (tracker.labels[3] == 3).all()


def test_a_prediction_is_no_correction(tracker: Tracker) -> None:
    tracker.receive(BOX, np.full((3, 3, 3), 2, np.uint8))
    assert tracker.commit() is None
    assert not tracker.source.any()


def test_a_prediction_that_says_the_same_changes_nothing(tracker: Tracker) -> None:
    assert not tracker.receive(BOX, tracker.labels[BOX].copy())


def test_undo_after_a_new_prediction_gives_back_what_the_person_had_found(tracker: Tracker) -> None:
    tracker.labels[0, 0, 0] = 2
    tracker.commit()
    tracker.receive(clip(None, SHAPE), np.full(SHAPE, 3, np.uint8))
    tracker.labels[0, 0, 0] = 1  # undo writes the old value
    tracker.commit()
    assert not tracker.source.any()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_confirmed_slice_is_vouched_for_and_taken_back_exactly(
    tracker: Tracker, axis: int
) -> None:
    tracker.labels[BOX] = 2
    tracker.commit()
    before = tracker.source.copy()
    tracker.confirm(axis, 3)
    assert (np.moveaxis(tracker.source, axis, 0)[3] == Source.CONFIRMED).all()
    tracker.unconfirm(axis, 3)
    np.testing.assert_array_equal(tracker.source, before)


def test_where_two_confirmed_slices_cross_one_mark_is_enough(tracker: Tracker) -> None:
    tracker.confirm(0, 2)
    tracker.confirm(1, 2)
    tracker.unconfirm(0, 2)
    assert (tracker.source[2, 2] == Source.CONFIRMED).all()
    assert not tracker.source[2, 3].any()


def test_painting_in_a_confirmed_slice_stays_confirmed(tracker: Tracker) -> None:
    tracker.confirm(0, 2)
    tracker.labels[2, 3, 3] = 2
    tracker.commit()
    assert tracker.source[2, 3, 3] == Source.CONFIRMED
    tracker.unconfirm(0, 2)
    assert tracker.source[2, 3, 3] == Source.PAINTED


@pytest.mark.parametrize(("axis", "index"), [(3, 0), (-1, 0), (0, 6), (2, -1)])
def test_a_slice_outside_the_scan_is_refused(tracker: Tracker, axis: int, index: int) -> None:
    with pytest.raises(InputError, match="a slice must lie inside"):
        tracker.confirm(axis, index)


def test_a_baseline_of_another_shape_is_refused() -> None:
    with pytest.raises(GridError, match="a baseline must be"):
        Tracker(np.zeros(SHAPE, np.uint8), np.zeros((1, 1, 1), np.uint8))


@pytest.mark.parametrize("seed", range(3))
def test_counts_and_source_stay_true_through_a_random_session(seed: int) -> None:
    random = np.random.default_rng(seed)
    tracker = Tracker(random.integers(0, 3, SHAPE).astype(np.uint8))
    for _ in range(60):
        _act(tracker, random)
    tracker.commit()
    np.testing.assert_array_equal(
        tracker.counts, np.bincount(tracker.labels.ravel(), minlength=256)
    )
    painted = tracker.labels != tracker.baseline
    assert tracker.painted == painted.sum()
    np.testing.assert_array_equal(tracker.source, _source(painted, tracker))


def test_copies_are_what_was_committed(tracker: Tracker) -> None:
    tracker.labels[BOX] = 2
    tracker.commit()
    expected = tracker.labels.copy()
    tracker.labels[0, 0, 0] = 9
    labels, baseline = tracker.copies()
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(baseline, tracker.baseline)


def _act(tracker: Tracker, random: np.random.Generator) -> None:
    """One thing that a person or a model does."""
    corner = [int(random.integers(0, n - 2)) for n in SHAPE]
    box = slice(corner[0], corner[0] + 2), slice(corner[1], corner[1] + 2), slice(corner[2], None)
    axis = int(random.integers(3))
    index = int(random.integers(SHAPE[axis]))
    action = random.integers(5)
    if action == 0:
        tracker.labels[box] = random.integers(0, 4)
    elif action == 1:
        tracker.receive(clip(box, SHAPE), np.full(tracker.labels[box].shape, 3, np.uint8))
    elif action == 2:
        tracker.commit(box)
    else:
        (tracker.confirm if action == 3 else tracker.unconfirm)(axis, index)


def _source(painted: npt.NDArray[np.bool_], tracker: Tracker) -> Array:
    source = painted.astype(np.uint8)
    for axis, marks in enumerate(tracker.marks):
        np.moveaxis(source, axis, 0)[list(marks)] = Source.CONFIRMED
    return source


def _flat(box: tuple[slice, slice, slice]) -> npt.NDArray[np.intp]:
    inside = np.zeros(SHAPE, bool)
    inside[box] = True
    return np.flatnonzero(inside)


def test_what_is_vouched_for_is_confirmed_until_it_is_taken_back(tracker: Tracker) -> None:
    where = np.zeros((3, 3, 3), bool)
    where[1] = True
    tracker.vouch(BOX, where, True)
    expected = np.zeros(SHAPE, np.uint8)
    expected[BOX][where] = Source.CONFIRMED
    np.testing.assert_array_equal(tracker.source, expected)
    assert tracker.touched
    tracker.labels[BOX] = 2
    correction = tracker.commit()
    assert correction is not None
    assert (tracker.source[BOX][where] == Source.CONFIRMED).all()
    tracker.vouch(BOX, where, False)
    assert (tracker.source[BOX] == Source.PAINTED).all()


def test_a_prediction_leaves_what_is_vouched_for(tracker: Tracker) -> None:
    tracker.vouch(BOX, np.ones((3, 3, 3), bool), True)
    before = tracker.labels[BOX].copy()
    tracker.receive(clip(None, SHAPE), np.full(SHAPE, 3, np.uint8))
    np.testing.assert_array_equal(tracker.labels[BOX], before)
    assert np.count_nonzero(tracker.labels == 3) == tracker.labels.size - 27


def test_a_slice_s_mark_and_a_voxel_s_are_taken_back_apart(tracker: Tracker) -> None:
    tracker.vouch(BOX, np.ones((3, 3, 3), bool), True)
    tracker.confirm(0, 2)
    tracker.unconfirm(0, 2)
    assert np.count_nonzero(tracker.source == Source.CONFIRMED) == 27
    tracker.confirm(0, 2)
    tracker.vouch(BOX, np.ones((3, 3, 3), bool), False)
    assert np.count_nonzero(tracker.source == Source.CONFIRMED) == 7 * 8
