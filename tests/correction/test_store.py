"""Corrected cases are found again, as far as their files are whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from time import sleep

import numpy as np
import pytest
from painting import KEY, SHAPE, Session, same

from napari_medseg.correction import log
from napari_medseg.correction.files import keep_scan, read_scan
from napari_medseg.correction.log import Entry, Log
from napari_medseg.correction.state import DamagedError
from napari_medseg.correction.store import Store, content_key, data_folder
from napari_medseg.volume import Geometry, Volume


@pytest.fixture
def scan() -> Volume:
    array = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    geometry = Geometry.from_spacing(SHAPE, (2.0, 0.7, 0.7))
    return Volume(array, geometry, "JOHN DOE 1950", "CT", "HU", window=(-160.0, 240.0))


def keep(session: Session, volume: Volume) -> None:
    """Copy the scan when the log has begun, as its own thread does: it sweeps half files first."""
    assert session.journal.flush(20)
    list(keep_scan(volume, session.files))


def test_the_same_scan_has_the_same_key_under_any_name(scan: Volume) -> None:
    assert content_key(scan) == content_key(replace(scan, name="other", array=scan.array.copy()))


def test_one_changed_voxel_or_a_moved_grid_is_another_scan(scan: Volume) -> None:
    array = scan.array.copy()
    array[3, 4, 5] += 1
    moved = Geometry(SHAPE, scan.geometry.affine + np.eye(4, k=3))
    keys = {
        content_key(v) for v in (scan, replace(scan, array=array), replace(scan, geometry=moved))
    }
    assert len(keys) == 3


def test_a_scan_that_was_never_corrected_is_unknown(tmp_path: Path) -> None:
    found = Store(tmp_path).recover(KEY)
    assert (found.state, found.seq, found.warning) == (None, 0, "")


@pytest.mark.parametrize("channels", [(), (2,)])
def test_the_copy_of_a_scan_is_exact(session: Session, scan: Volume, channels: tuple[int]) -> None:
    wide = replace(scan, array=np.broadcast_to(scan.array, (*channels, *SHAPE)))
    keep(session, wide)
    back = read_scan(session.files)
    np.testing.assert_array_equal(back.array, wide.array)
    assert back.geometry == scan.geometry
    assert (back.modality, back.unit, back.window) == ("CT", "HU", (-160.0, 240.0))


def test_no_file_of_the_store_holds_the_name_of_the_scan(session: Session, scan: Volume) -> None:
    session.paint(3)
    keep(session, scan)
    session.close()
    assert "DOE" not in read_scan(session.files).name
    for path in session.store.folder.iterdir():
        assert b"DOE" not in path.read_bytes()
        assert path.name.startswith(KEY)


def test_half_a_copy_of_a_scan_leaves_no_file(session: Session, scan: Volume) -> None:
    work = keep_scan(scan, session.files)
    next(work)
    work.close()  # type: ignore[attr-defined]
    assert session.store.corrected() == []
    assert list(session.store.folder.iterdir()) == []


def test_a_damaged_copy_of_a_scan_is_refused(session: Session, scan: Volume) -> None:
    keep(session, scan)
    content = bytearray(session.files.scan.read_bytes())
    content[len(content) // 2] ^= 1
    session.files.scan.write_bytes(content)
    with pytest.raises(DamagedError, match="damaged"):
        read_scan(session.files)
    assert session.store.example(KEY, "root") is None


def test_a_closed_case_teaches_its_own_family_of_models_only(
    session: Session, scan: Volume
) -> None:
    session.paint(3)
    keep(session, scan)
    session.close()
    example = session.store.example(KEY, "root")
    assert example is not None
    np.testing.assert_array_equal(example.mask.labels, session.history[-1])
    np.testing.assert_array_equal(example.confirmed, session.history[-1] != 0)
    assert session.store.example(KEY, "another") is None


def test_a_closed_case_teaches_what_is_vouched_for(session: Session, scan: Volume) -> None:
    box = slice(1, 4), slice(2, 9), slice(3, 12)
    session.vouch(box)
    keep(session, scan)
    session.close()
    example = session.store.example(KEY, "root")
    assert example is not None
    assert example.confirmed[box].all()
    assert np.count_nonzero(example.confirmed) == 3 * 7 * 9


def test_a_case_whose_corrections_were_all_undone_teaches_nothing(
    session: Session, scan: Volume
) -> None:
    session.mark(0, 1)
    session.mark(0, 1, on=False)
    keep(session, scan)
    session.close()
    assert session.store.corrected() == [KEY]
    assert session.store.example(KEY, "root") is None


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_truncated_log_gives_all_before_the_cut_and_one_warning(
    session: Session, share: float
) -> None:
    _paint_and_close(session)
    content = session.files.log.read_bytes()
    session.files.log.write_bytes(content[: int(len(content) * share)])
    _check_prefix(session)


@pytest.mark.parametrize("checked", [True, False])
def test_a_changed_step_is_noticed_by_its_checksum_and_by_nothing_else(
    session: Session, monkeypatch: pytest.MonkeyPatch, checked: bool
) -> None:
    if not checked:
        monkeypatch.setattr(log, "_crc", lambda *row: 0)
    session.paint(1)
    assert session.journal.flush(20)
    session.mark(0, 2)
    session.close()
    content = session.files.log.read_bytes()
    session.files.log.write_bytes(content.replace(b'"index": 2', b'"index": 3'))
    found = session.open()
    assert bool(found.warning) == checked
    assert session.tracker.marks[0] == (frozenset() if checked else {3})


@pytest.mark.parametrize("seed", range(12))
def test_a_changed_log_gives_all_before_the_damage(session: Session, seed: int) -> None:
    _paint_and_close(session)
    content = bytearray(session.files.log.read_bytes())
    for place in np.random.default_rng(seed).integers(0, len(content), 3):
        content[place] ^= 255
    session.files.log.write_bytes(content)
    _check_prefix(session)


def test_a_damaged_whole_state_falls_back_to_the_one_before(session: Session) -> None:
    for _ in range(2):
        session.paint(3)
        session.journal.append(None)
        assert session.journal.flush(20)
    session.close()
    newest = session.files.states()[0][1]
    newest.write_bytes(newest.read_bytes()[:-9])
    found = session.open()
    assert "damaged" in found.warning
    assert same(found.state, session.history[-1])


def test_without_any_whole_state_the_log_alone_gives_the_strokes_since(session: Session) -> None:
    session.paint(1)
    assert session.journal.flush(20)
    session.paint(4)
    session.close()
    for _, path in session.files.states():
        path.unlink()
    found = session.open().state
    assert found is not None
    changed = session.history[-1] != session.history[1]
    np.testing.assert_array_equal(found.labels[changed], session.history[-1][changed])


def test_a_repaired_record_is_repaired_once_and_goes_on(session: Session) -> None:
    session.paint(30)
    session.close()
    content = session.files.log.read_bytes()
    session.files.log.write_bytes(content[: len(content) // 2])
    assert session.open().warning
    session.paint(2)
    session.close()
    last = session.tracker.labels.copy()
    found = session.open()
    assert not found.warning
    assert same(found.state, last)


def test_a_scan_that_is_opened_while_it_is_read_as_a_teacher_is_recorded_all_the_same(
    session: Session, scan: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.paint(3)
    keep(session, scan)
    session.close()
    reading, read = Event(), Log.read

    def slow(log: Log, after: int) -> Iterator[Entry]:
        reading.set()
        sleep(0.5)  # longer than SQLite waits
        return read(log, after)

    monkeypatch.setattr(Log, "read", slow)
    job = Thread(target=session.store.example, args=(KEY, "root"))
    job.start()
    assert reading.wait(5)
    found = session.store.recover(KEY, session.blank())
    job.join()
    assert (found.writable, found.warning) == (True, "")


def test_reading_a_damaged_case_as_a_teacher_repairs_nothing(
    session: Session, scan: Volume
) -> None:
    keep(session, scan)
    _paint_and_close(session)
    content = session.files.log.read_bytes()
    session.files.log.write_bytes(content[: len(content) // 2])
    before = {path.name: path.read_bytes() for path in session.store.folder.iterdir()}
    assert session.store.example(KEY, "root") is not None
    after = {path.name: path.read_bytes() for path in session.store.folder.iterdir()}
    assert after == before


def test_the_data_folder_can_be_moved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEDSEG_DATA_DIR", str(tmp_path))
    assert data_folder() == tmp_path / "napari-medseg"
    monkeypatch.delenv("MEDSEG_DATA_DIR")
    assert data_folder().name == "napari-medseg"


def _paint_and_close(session: Session) -> None:
    """Sixty strokes, of which the first is in a whole state and the others are steps."""
    session.paint(1)
    assert session.journal.flush(20)
    session.paint(59)
    session.close()


def _check_prefix(session: Session) -> None:
    """What is found is the labels after some stroke; fewer than all come with a warning."""
    found = session.open()
    matches = [i for i, labels in enumerate(session.history) if same(found.state, labels)]
    assert matches, "this state never was"
    whole = np.array_equal(session.history[matches[-1]], session.history[-1])
    assert whole or found.warning
    session.close()
    assert not session.open().warning
