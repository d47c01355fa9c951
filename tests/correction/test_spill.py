"""Undo in bounded memory: what waits in a file comes back as it was."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.correction.history import History
from napari_medseg.correction.record import Correction, Deed
from napari_medseg.correction.spill import Spill, pack, unpack
from napari_medseg.correction.tracker import whole

SHAPE = (24, 48, 48)
EDITS = 20
BOUND = 100_000  # bytes; one edit of the whole volume packs to two fifths of it


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, SHAPE).astype(np.uint8)


def edited(history: History) -> list[np.ndarray]:
    """The mask before the first and after each of twenty edits of all of it."""
    masks, baseline = [np.zeros(SHAPE, np.uint8)], np.zeros(SHAPE, np.uint8)
    for number in range(EDITS):
        masks.append(noise(number))
        history.add(step(masks[-2], masks[-1], baseline), Deed("fill"))
    return masks


def step(old: np.ndarray, new: np.ndarray, baseline: np.ndarray) -> Correction:
    return Correction(whole(old.shape), old, new, baseline, old != new)


def test_twenty_edits_of_the_whole_volume_stay_within_the_bound_and_all_come_back():
    history = History(most_bytes=BOUND)
    masks = edited(history)
    assert history.n_bytes <= BOUND
    assert sum(step.n_bytes for step in history.steps) == history.n_bytes
    labels, baseline = masks[-1].copy(), np.zeros(SHAPE, np.uint8)
    for before in reversed(masks[:-1]):
        history.back().undo(labels, baseline)
        np.testing.assert_array_equal(labels, before)
    for after in masks[1:]:
        history.forth().redo(labels)
        np.testing.assert_array_equal(labels, after)


def test_without_the_bound_the_same_edits_take_many_times_the_memory():
    history = History()
    edited(history)
    assert history.n_bytes > 5 * BOUND


def test_a_full_disk_keeps_the_steps_in_memory_and_all_come_back(monkeypatch):
    def full(self, packed):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spill, "put", full)
    history = History(most_bytes=BOUND)
    masks = edited(history)
    assert history.n_bytes > BOUND
    labels = masks[-1].copy()
    for _ in range(EDITS):
        history.back().undo(labels, masks[0])
    np.testing.assert_array_equal(labels, masks[0])


def test_a_new_step_after_going_back_frees_the_memory_of_those_that_went():
    history = History(most_bytes=BOUND)
    masks = edited(history)
    for _ in range(EDITS):
        history.back()
    history.add(step(masks[0], masks[1], masks[0]), Deed("fill"))
    assert len(history.steps) == 1
    assert history.n_bytes == history.steps[0].n_bytes


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.bool_])
def test_arrays_in_one_file_are_read_in_any_order(dtype):
    spill, arrays = Spill(), [noise(seed)[:2].astype(dtype) for seed in range(3)]
    spilled = [spill.put(pack(one)) for one in arrays]
    assert [one.n_bytes for one in spilled] == [0, 0, 0]
    for number in (2, 0, 1, 0):
        assert unpack(spilled[number]) == arrays[number].tobytes()


def test_an_array_in_memory_and_an_empty_one_are_read_too():
    assert unpack(pack(np.arange(5, dtype=np.uint8))) == bytes(range(5))
    empty = pack(np.zeros(0, np.uint8))
    assert unpack(Spill().put(empty)) == b""
