"""What a person did is there after a kill, bit for bit, and can be taken back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import deeds
import numpy as np
import pytest
from deeds import DEEDS, scan

from napari_medseg.correction.record import Source
from napari_medseg.errors import InputError
from napari_medseg.inference.events import BoxDone
from napari_medseg.workbench import Workbench
from napari_medseg.workbench.editor import Editor


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a process left that did everything and was killed."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, deeds.__file__, str(folder)]
    ended = subprocess.run(command, check=False, timeout=120, capture_output=True, text=True)
    assert ended.returncode == (1 if os.name == "nt" else -9), ended.stderr
    return folder


def reopened(folder: Path) -> tuple[Workbench, Editor, list[Any]]:
    bench, told = Workbench(folder), list[Any]()
    bench.warned.connect(told.append)
    bench.open_case(scan())
    assert bench.editor is not None
    return bench, bench.editor, told


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
def test_it_is_there_after_a_kill_bit_for_bit(killed: Path, deed: Any) -> None:
    labels, source = np.load(killed / f"{deed.__name__}.npy")
    bench, editor, told = reopened(killed / deed.__name__)
    assert bench.case is not None
    np.testing.assert_array_equal(bench.case.labels, labels)
    np.testing.assert_array_equal(bench.case.source, source)
    at, *names = (killed / f"{deed.__name__}.txt").read_text().split("\n")
    assert [f"{step.name} {step.voxels}" for step in editor.history.steps] == names
    assert editor.history.at == int(at)
    assert "back" in told[0]


def test_all_can_be_taken_back_and_done_again_across_a_kill(killed: Path) -> None:
    labels, source = np.load(killed / "confirm.npy")
    bench, editor, told = reopened(killed / "live")
    assert bench.case is not None
    assert told[0].startswith(f"{editor.history.at} strokes since {datetime.now():%H:}")
    last = editor.history.at
    editor.go_to(0)
    assert not bench.case.labels.any()
    assert not bench.case.tracker.touched
    editor.go_to(last)
    np.testing.assert_array_equal(bench.case.labels, labels)
    np.testing.assert_array_equal(bench.case.source, source)
    bench.close()
    _, editor, told = reopened(killed / "live")
    assert not editor.history.steps  # closed as it should be: nothing came back by surprise
    assert told[0].startswith("earlier corrections")


def test_taking_a_stroke_back_after_a_crash_gives_what_the_model_said(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    bench.open_case(scan())
    bench.receive(BoxDone((0, 0, 0), np.ones(deeds.SHAPE, np.uint8)))
    assert bench.editor is not None
    deeds.stroke(bench, bench.editor)
    assert bench.flush(20)
    later, editor, _ = reopened(_copied(tmp_path))
    assert editor.undo()
    assert later.case is not None
    assert (later.case.labels[2] == 1).all()
    assert not later.case.tracker.touched
    bench.close()


def test_structures_and_confirmed_slices_are_taken_back_like_strokes(tmp_path: Path) -> None:
    bench, editor, _ = reopened(tmp_path)
    label = bench.add_label("lesion")
    bench.rename_label(label.value, "node")
    bench.confirm_slice(0, 1)
    assert bench.case is not None
    editor.undo()
    assert bench.confirmed_slices(0) == ()
    editor.undo()
    assert [one.name for one in bench.case.names if one.value == label.value] == ["lesion"]
    editor.undo()
    assert label.value not in {one.value for one in bench.case.names}
    editor.go_to(3)
    assert bench.confirmed_slices(0) == (1,)
    assert [one.name for one in bench.case.names if one.value == label.value] == ["node"]
    bench.close()


def test_a_second_window_only_shows_the_case(tmp_path: Path) -> None:
    first, editor, _ = reopened(tmp_path)
    deeds.stroke(first, editor)
    assert first.flush(20)
    second, looking, told = reopened(tmp_path)
    assert second.case is not None
    assert not second.case.writable
    assert "open in another window" in told[-1]
    with pytest.raises(InputError, match="another window"):
        deeds.tool(second, looking)
    with pytest.raises(InputError, match="another window"):
        second.confirm_slice(0, 1)
    with pytest.raises(InputError, match="another window"):
        looking.voucher.toggle_structure(3)
    before = second.case.labels.copy()
    second.case.labels[1] = 4
    assert second.commit() is None
    np.testing.assert_array_equal(second.case.labels, before)
    first.close()
    second.open_case(scan())
    assert second.case.writable
    assert (second.case.source[2] == Source.PAINTED).any()
    second.close()


def test_a_window_that_finds_the_record_taken_stops_taking_corrections(tmp_path: Path) -> None:
    first, editor, _ = reopened(tmp_path)
    second, late, _ = reopened(tmp_path)
    changed: list[bool] = []
    second.writable_changed.connect(changed.append)
    deeds.stroke(first, editor)
    assert first.flush(20)
    deeds.stroke(second, late)
    assert not second.flush(0.5)
    second.poll()
    assert changed == [False]
    first.close()
    second.flush(20)
    second.poll()
    assert changed == [False, True]
    second.close()


def _copied(folder: Path) -> Path:
    copied = folder.with_name(f"{folder.name} copied")
    return Path(shutil.copytree(folder, copied, ignore=shutil.ignore_patterns(".*")))
