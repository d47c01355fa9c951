"""All corrected cases of this user: found again by what the scan shows, not by its name."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from isal import isal_zlib

from napari_medseg.correction.disk import DISK, Disk
from napari_medseg.correction.files import CaseFiles, keep_scan, read_scan
from napari_medseg.correction.history import History
from napari_medseg.correction.journal import Journal
from napari_medseg.correction.log import Entry, Log, is_locked, is_passing
from napari_medseg.correction.recall import recalled
from napari_medseg.correction.record import Example, Source
from napari_medseg.correction.state import DAMAGE, DamagedError, State, apply, load, save
from napari_medseg.volume import Mask, Volume

AFFINE_DECIMALS = 3  # mm; readers of one file differ by less
KEY_DIGITS = 32


@dataclass(frozen=True, eq=False)
class Recovered:
    """What the store knows of a case.

    Attributes
    ----------
    state
        The case; None where nothing is known.
    seq
        Number of the last step that is in the store.
    warning
        A sentence for the user, if something is not as it should be.
    writable
        Whether the case may be recorded now; another window's record must not be overwritten.
    since
        Number of the step with which the case was closed last as it should; 0 where it never was.
    history
        The steps behind that one, to be taken back: none, but after a crash.
    """

    state: State | None
    seq: int = 0
    warning: str = ""
    writable: bool = True
    since: int = 0
    history: History = field(default_factory=History)


class Store:
    """The folder of corrected cases; no file in it carries a patient's name or path.

    A log is open for one reader or writer only: those of this window wait for each other.
    """

    def __init__(self, folder: Path, disk: Disk = DISK) -> None:
        self.folder, self._disk = folder, disk
        self._gate = threading.Lock()  # around opening a log, and reading it

    def files(self, key: str) -> CaseFiles:
        """Where a case lies."""
        return CaseFiles(self.folder, key, self._disk)

    def recover(self, key: str, blank: State | None = None) -> Recovered:
        """The case as of its last step on the disk; up to the damage, if there is one.

        Parameters
        ----------
        blank
            The case before anything was done, to play the log onto where no whole state is left.
        """
        files = self.files(key)
        found, damaged = self._look(files, blank)
        if damaged and found.state is not None and found.writable:
            with self._gate:
                seq = _repair(files, found.state, found.seq)
            found = replace(found, seq=seq, warning=_DAMAGED)
        return found if found.seq or not found.writable else replace(found, state=None)

    def _look(
        self, files: CaseFiles, blank: State | None, look: bool = False
    ) -> tuple[Recovered, bool]:
        """What can be read of a case, and whether that is not all; changes nothing.

        The log is closed again before its steps are played: another thread may wait for it.
        """
        state, seq, damaged = _newest_state(files)
        base = blank if state is None else state
        if base is None:
            return Recovered(None), False
        if files.log_is_empty():  # a log is begun before the first state
            return Recovered(base, seq), damaged or state is not None
        try:
            with self._gate:
                read = _read(files, seq, look)
        except sqlite3.DatabaseError as error:
            warning = _ELSEWHERE if is_locked(error) else _UNREADABLE.format(error)
            return Recovered(state, seq, warning, writable=False), damaged
        base, seq, misfit = _replay(read.steps, base, seq)
        history = recalled(entry for entry in read.past if entry.seq <= seq)
        return Recovered(base, seq, "", True, read.since, history), damaged or read.cut or misfit

    def journal(
        self, key: str, found: Recovered, whole: Callable[[], State], report: Callable[[str], None]
    ) -> Journal:
        """The writer of an open case, from where it was found."""
        files = self.files(key)
        return Journal(files, found.seq, whole, report, self._gate, found.since)

    def keep_scan(self, key: str, volume: Volume) -> Iterator[None] | None:
        """The work of copying a case's scan, in parts; None where the copy is there."""
        files = self.files(key)
        return None if files.scan.exists() else keep_scan(volume, files)

    def corrected(self) -> list[str]:
        """Cases whose scan is kept, the last corrected first."""
        found = (path.name.split(".")[0] for path in self.folder.glob("*.scan.gz"))
        return sorted(found, key=self._changed, reverse=True)

    def size(self, key: str) -> int:
        """Bytes of a case's scan in memory, as the end of a gzip file tells."""
        with self.files(key).scan.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return int.from_bytes(file.read(4), "little")

    def example(self, key: str, family: str) -> Example | None:
        """A case as a teacher of a family of models.

        None where it belongs to another family, nothing is corrected, or its files are not whole.
        Nothing on the disk changes; may be called on any thread.
        """
        try:
            volume = read_scan(self.files(key))
        except DamagedError:
            return None
        empty = np.zeros(volume.geometry.shape, np.uint8)
        state = self._look(self.files(key), State(empty, empty.copy()), look=True)[0].state
        if state is None or (state.family, state.labels.shape) != (family, volume.geometry.shape):
            return None
        tracker = state.tracker()
        if not tracker.touched:
            return None
        mask = Mask(state.labels, volume.geometry, state.names)
        return Example(volume, mask, tracker.source != Source.MODEL, state.subject)

    def _changed(self, key: str) -> float:
        files = self.files(key)
        log = [files.log, Path(f"{files.log}-wal"), files.scan]
        return max(map(_mtime, log))


_DAMAGED = (
    "a part of this scan's record was damaged; all corrections before the damage are here, "
    "look over the latest ones"
)
_ELSEWHERE = (
    "this scan is open in another window: its latest corrections are not shown here and new ones "
    "are not recorded; close it there and open it again here"
)
_UNREADABLE = (
    "this scan's record cannot be read now ({}): corrections are not recorded; "
    "see to the disk and open the scan again"
)
REPAIRED = 1_000_000  # steps that a repaired record jumps ahead of the damaged one


def _newest_state(files: CaseFiles) -> tuple[State | None, int, bool]:
    """The newest whole state that can be read, its step, and whether a newer one could not."""
    damaged = False
    for seq, path in files.states():
        try:
            return load(path), seq, damaged
        except DamagedError:
            damaged = True
    return None, 0, damaged


@dataclass
class _Read:
    """Steps of a log: those to play, those to take back after a crash, and whether it is damaged.

    Damage that lies before the steps to play harms only what can be taken back.
    """

    steps: list[Entry] = field(default_factory=list)
    past: list[Entry] = field(default_factory=list)
    since: int = 0
    cut: bool = False


def _read(files: CaseFiles, after: int, look: bool) -> _Read:
    """The log's steps behind a state; only who goes on recording asks for what can be taken back.

    Raises
    ------
    sqlite3.DatabaseError
        The log cannot be read now.
    """
    read = _Read()
    try:
        with closing(Log(files.log, look, files.disk)) as log:
            read.steps.extend(log.read(after))  # keeps those before the damage
            if not look:
                with suppress(sqlite3.DatabaseError, *DAMAGE):
                    read.since = log.closed()
                    read.past.extend(log.read(read.since))
    except sqlite3.DatabaseError as error:
        if is_passing(error):
            raise
        read.cut = True
    except (TypeError, ValueError):
        read.cut = True
    return read


def _replay(steps: list[Entry], state: State, seq: int) -> tuple[State, int, bool]:
    """The state after some steps, its number, and whether one of them did not fit."""
    try:
        for entry in steps:
            if _misses(entry, seq):
                return state, seq, True
            state, seq = apply(state, entry.kind, entry.header, entry.payload), entry.seq
    except (DamagedError, TypeError, ValueError):
        return state, seq, True
    return state, seq, False


def _repair(files: CaseFiles, state: State, seq: int) -> int:
    """Begin a new record with what could be read, and put the damaged one aside."""
    try:
        files.make_folder()
        save(state, files.state(seq + REPAIRED), files.disk)
        files.set_aside(below=seq + REPAIRED)
        with closing(Log(files.log, disk=files.disk)) as log:
            log.append(Entry(seq + REPAIRED, "state", {}, b""))
    except (OSError, sqlite3.Error):
        return seq  # the damaged record stays; the next opening tries again
    return seq + REPAIRED


def _misses(entry: Entry, seq: int) -> bool:
    """Whether steps between are gone; before the first state, which is a file, there are none."""
    return entry.seq != seq + 1 and seq != 0


def data_folder() -> Path:
    """The user's folder of cases and model versions; MEDSEG_DATA_DIR moves it."""
    import platformdirs

    base = os.environ.get("MEDSEG_DATA_DIR") or platformdirs.user_data_dir(appauthor=False)
    return Path(base) / "napari-medseg"


def content_key(volume: Volume) -> str:
    """32 hex digits that depend on a scan's voxels and grid only, not on file or name.

    A CRC of each slice feeds the hash: 20 times faster than hashing all of it, and with 32 bits a
    slice no two scans will meet by chance.
    """
    digest = hashlib.sha256(f"{volume.array.shape} {volume.array.dtype.str}".encode())
    digest.update((np.round(volume.geometry.affine, AFFINE_DECIMALS) + 0.0).tobytes())
    for plane in volume.array.reshape(-1, *volume.array.shape[-2:]):
        digest.update(isal_zlib.crc32(np.ascontiguousarray(plane)).to_bytes(4, "little"))
    return digest.hexdigest()[:KEY_DIGITS]


def _mtime(path: Path) -> float:
    """Seconds since 1970; 0 for a file that is not there, or goes while it is asked for."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
