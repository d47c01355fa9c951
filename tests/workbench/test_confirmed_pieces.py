"""A person's word on a piece or a whole structure: kept, taken back, and what it teaches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg.correction.history import History, Vouching
from napari_medseg.correction.record import Deed, Source
from napari_medseg.errors import InputError
from napari_medseg.inference.events import BoxDone
from napari_medseg.jobs import finish
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import IGNORE
from napari_medseg.training.examples import lessons_of
from napari_medseg.volume import Geometry, Label, Volume
from napari_medseg.workbench import Workbench
from napari_medseg.workbench.editor import Editor
from napari_medseg.workbench.vouching import Vouch

SHAPE = (12, 30, 40)
PIECE = (slice(4, 8), slice(10, 16), slice(8, 14))
OTHER = (slice(4, 8), slice(10, 16), slice(28, 34))


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """A model said that there are two pieces of 1."""
    bench = Workbench(tmp_path)
    image = np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.int16)
    bench.open_case(Volume(image, Geometry.from_spacing(SHAPE)))
    bench.receive(BoxDone((0, 0, 0), two_pieces()))
    return bench


def two_pieces() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[PIECE] = labels[OTHER] = 1
    return labels


def editor_of(bench: Workbench) -> Editor:
    assert bench.editor is not None
    return bench.editor


def confirmed(bench: Workbench) -> np.ndarray:
    assert bench.case is not None
    return np.asarray(bench.case.source == Source.CONFIRMED)


def test_a_piece_is_confirmed_with_the_background_beside_it(bench: Workbench) -> None:
    assert editor_of(bench).voucher.toggle_piece((5, 12, 10)) == Vouch(1, 4 * 6 * 6, True)
    found = confirmed(bench)
    assert found[PIECE].all()
    assert found[5, 12, 14:19].all()
    assert not found[5, 12, 19:].any()
    assert not found[OTHER].any()


def test_a_structure_is_confirmed_in_all_its_pieces(bench: Workbench) -> None:
    assert editor_of(bench).voucher.toggle_structure(1).voxels == 2 * 4 * 6 * 6
    assert confirmed(bench)[two_pieces() == 1].all()


def test_the_same_word_again_takes_it_back(bench: Workbench) -> None:
    voucher = editor_of(bench).voucher
    voucher.toggle_structure(1)
    assert not voucher.toggle_structure(1).on
    assert not confirmed(bench).any()
    assert bench.case is not None
    assert not bench.case.tracker.touched
    names = [step.name for step in editor_of(bench).history.steps]
    assert names == ["confirm structure", "unconfirm structure"]


def test_it_is_taken_back_and_done_again_like_a_stroke(bench: Workbench) -> None:
    editor = editor_of(bench)
    editor.voucher.toggle_piece((5, 12, 10))
    one = confirmed(bench)
    editor.voucher.toggle_structure(1)
    both = confirmed(bench)
    editor.undo()
    np.testing.assert_array_equal(confirmed(bench), one)
    editor.go_to(0)
    assert not confirmed(bench).any()
    editor.go_to(2)
    np.testing.assert_array_equal(confirmed(bench), both)


def test_a_later_prediction_leaves_it_as_it_is(bench: Workbench) -> None:
    editor_of(bench).voucher.toggle_piece((5, 12, 10))
    bench.receive(BoxDone((0, 0, 0), np.full(SHAPE, 2, np.uint8)))
    assert bench.case is not None
    np.testing.assert_array_equal(bench.case.labels[PIECE], 1)
    np.testing.assert_array_equal(bench.case.labels[OTHER], 2)


def test_a_quick_look_cannot_be_confirmed(bench: Workbench) -> None:
    bench.receive(BoxDone((0, 0, 0), np.full(SHAPE, 2, np.uint8), preview=True))
    with pytest.raises(InputError, match="quick look"):
        editor_of(bench).voucher.toggle_structure(2)


def test_a_stroke_that_was_not_told_yet_counts(bench: Workbench) -> None:
    assert bench.case is not None
    bench.case.labels[PIECE][:, :, -1] = 0
    assert editor_of(bench).voucher.toggle_piece((5, 12, 10)).voxels == 4 * 6 * 5
    assert bench.case.tracker.painted == 4 * 6


def test_it_teaches_the_structure_and_where_it_ends(bench: Workbench) -> None:
    editor_of(bench).voucher.toggle_piece((5, 12, 10))
    example = bench.example()
    recipe = Recipe((Label(1, "ball", "#ff0000"),), patch=(8, 16, 16))
    (lesson,) = finish(lessons_of([example], recipe, ignore=255))
    values, counts = torch.unique(lesson.target, return_counts=True)
    known = dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert set(known) <= {0, 1, IGNORE}
    assert known[1] > 0
    assert known[0] > known[1]


def test_it_is_a_step_of_the_effort_that_changes_no_voxel(bench: Workbench) -> None:
    editor_of(bench).voucher.toggle_structure(1)
    effort = editor_of(bench).effort
    assert (effort.strokes["confirm structure"], effort.voxels.total()) == (1, 0)


def test_it_comes_back_when_the_scan_is_opened_again(bench: Workbench) -> None:
    told: list[str] = []
    assert bench.case is not None
    editor_of(bench).voucher.toggle_structure(1)
    before, volume = confirmed(bench), bench.case.volume
    bench.warned.connect(told.append)
    bench.open_case(volume)
    np.testing.assert_array_equal(confirmed(bench), before)
    assert "voxels of confirmed structures" in told[0]
    bench.close()


def test_where_memory_is_short_a_word_waits_in_a_file() -> None:
    history, where = History(most_bytes=0), np.random.default_rng(0).random((4, 6, 6)) > 0.5
    history.put(Vouching.of(PIECE, where, True, Deed("confirm piece", 1.0)))
    assert history.n_bytes == 0
    step = history.back()
    assert isinstance(step, Vouching)
    np.testing.assert_array_equal(step.where, where)
    assert step.bits.file is not None
