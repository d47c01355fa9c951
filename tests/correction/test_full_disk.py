"""A disk that fills up while somebody corrects: told, and nothing lost once there is space."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("apsw", reason="apsw makes the disk that fills up; pip install apsw")
from full import SmallDisk
from painting import KEY, Session, same

from napari_medseg.correction import journal
from napari_medseg.correction.store import Store

STEPS = 30


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "STATE_EVERY", 7)
    monkeypatch.setattr(journal, "RETRY_S", 0.01)


def fill(folder: Path, disk: SmallDisk) -> tuple[Session, int]:
    """Paint on; the session, and how many strokes were on the disk before there was no space."""
    session, safe = Session(folder, disk), 0
    for step in range(1, STEPS + 1):
        session.paint()
        if safe == step - 1 and session.journal.flush(0.2 if safe else 1):
            safe = step
    return session, safe


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def needed(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Bytes that the strokes take on a disk with space."""
    folder = tmp_path_factory.mktemp("space")
    session, safe = fill(folder, SmallDisk(math.inf, False))
    taken = size(folder)
    session.close()
    assert safe == STEPS
    return taken


@pytest.mark.parametrize("short", [False, True], ids=["failed writes", "short writes"])
@pytest.mark.parametrize("part", [number / 16 for number in range(16)])
def test_what_was_painted_on_a_full_disk_is_told_and_kept(
    tmp_path: Path, needed: int, part: float, short: bool
) -> None:
    disk = SmallDisk(part * needed, short)
    session, safe = fill(tmp_path, disk)
    assert safe < STEPS
    assert sum("free some space" in told for told in session.reports) == 1
    disk.room = math.inf
    assert session.journal.flush(20)
    assert "nothing was lost" in session.reports[-1]
    session.close()
    assert same(Store(tmp_path / "cases").recover(KEY).state, session.history[-1])


def test_strokes_that_were_safe_are_there_after_a_crash_on_a_full_disk(
    tmp_path: Path, needed: int
) -> None:
    session, safe = fill(tmp_path, SmallDisk(0.6 * needed, True))
    session.journal.close(0.1)
    found = Store(tmp_path / "cases").recover(KEY, session.blank())
    assert 0 < safe < STEPS
    assert found.state is not None
    assert any(np.array_equal(found.state.labels, one) for one in session.history[safe:])
