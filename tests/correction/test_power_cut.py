"""A power cut at any moment, whatever of the unsynced writes it drops, loses no finished stroke."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("apsw", reason="apsw notes what SQLite writes; pip install apsw")
from painting import KEY, Session
from power import NoFileSync, NoFolderSync, NoLogSync, NoRename, RecordingDisk, cuts

from napari_medseg.correction import journal
from napari_medseg.correction.state import CLOSED, Sign
from napari_medseg.correction.store import Store

STATES, FEWER = 300, 80


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "STATE_EVERY", 7)


def lost(folder: Path, disk: RecordingDisk, states: int = STATES, steps: int = 40) -> int:
    """After how many of some power cuts a finished stroke is missing, or a part was unreadable."""
    session = Session(folder / "painted", disk)
    for step in range(1, steps + 1):
        session.paint()
        assert session.journal.flush(20)
        disk.done(step)
        if step == steps // 3:
            session.journal.append(Sign(CLOSED))  # what is before it is dropped from the log
            session.close()
            session.open()
    session.close()
    wrong = 0
    for number, (done, files) in enumerate(cuts(disk.ops, states, np.random.default_rng(1))):
        cut = folder / "cut" / str(number)
        cut.mkdir(parents=True)
        for name, content in files.items():
            (cut / name).write_bytes(content)
        found = Store(cut).recover(KEY, session.blank())
        labels = (found.state or session.blank()).labels
        there = any(np.array_equal(labels, one) for one in session.history[max(done, 0) :])
        wrong += bool(found.warning) or not there
        for path in cut.iterdir():
            path.unlink()
    return wrong


def test_no_finished_stroke_is_lost_by_a_power_cut(tmp_path: Path) -> None:
    assert lost(tmp_path, RecordingDisk()) == 0


@pytest.mark.parametrize("careless", [NoFileSync, NoFolderSync, NoLogSync, NoRename])
def test_without_one_of_its_guards_strokes_would_be_lost(
    tmp_path: Path, careless: type[RecordingDisk]
) -> None:
    assert lost(tmp_path, careless(), FEWER) > 0
