"""Steps on disk: a SQLite table that survives a killed process and a power cut."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_medseg.correction.disk import DISK, Disk
from napari_medseg.correction.state import CLOSED, Header

APPLICATION_ID = 0x4D534547  # "MSEG"
SCHEMA = """
CREATE TABLE IF NOT EXISTS steps (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, header TEXT NOT NULL,
    payload BLOB NOT NULL, crc INTEGER NOT NULL
)
"""


@dataclass(frozen=True)
class Entry:
    """One step of the log; `seq` counts up by one."""

    seq: int
    kind: str
    header: Header
    payload: bytes


class Log:
    """The table of steps of one case; used from the thread that made it.

    Write-ahead log with ``synchronous=FULL``: `append` returns when the step is on the disk. The
    file is locked for everybody else, which also spares SQLite's shared memory (that fails on
    network drives).

    Parameters
    ----------
    path
        The file; made where there is none, unless it is only looked at.
    look
        Only read: nothing can be written, and no table is made.

    Raises
    ------
    sqlite3.OperationalError
        The file is locked, or the disk is full or gone: try again later.
    sqlite3.DatabaseError
        The file is damaged.
    """

    def __init__(self, path: Path, look: bool = False, disk: Disk = DISK) -> None:
        self._db = disk.connect(path)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            if look:
                self._db.execute("PRAGMA query_only=ON")
            elif not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._db.execute(f"PRAGMA application_id={APPLICATION_ID}")
                self._db.execute(SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise

    def append(self, entry: Entry) -> None:
        """Write a step; it is on the disk when this returns."""
        header = json.dumps(entry.header)
        row = (entry.seq, entry.kind, header, entry.payload)
        self._db.execute("INSERT OR REPLACE INTO steps VALUES (?, ?, ?, ?, ?)", (*row, _crc(*row)))

    def last(self) -> int:
        """The number of the last step; 0 where there is none."""
        return int(self._db.execute("SELECT COALESCE(MAX(seq), 0) FROM steps").fetchone()[0])

    def closed(self) -> int:
        """The number of the step with which the case was closed last; 0 where there is none."""
        query = "SELECT COALESCE(MAX(seq), 0) FROM steps WHERE kind = ?"
        return int(self._db.execute(query, (CLOSED,)).fetchone()[0])

    def read(self, after: int) -> Iterator[Entry]:
        """Steps with a higher number, in order; a damaged one raises sqlite3.DatabaseError."""
        query = "SELECT seq, kind, header, payload, crc FROM steps WHERE seq > ? ORDER BY seq"
        for *row, crc in self._db.execute(query, (after,)):
            seq, kind, header, payload = row
            if _crc(seq, kind, header, payload) != crc:
                raise sqlite3.DatabaseError(f"step {seq} is damaged")
            yield Entry(seq, kind, json.loads(header), payload)

    def prune(self, upto: int) -> None:
        """Forget the steps up to this number; a state holds them."""
        self._db.execute("DELETE FROM steps WHERE seq <= ?", (upto,))

    def close(self) -> None:
        """Let others open the file."""
        with suppress(sqlite3.Error):  # a full disk: the steps stay in the write-ahead file
            self._db.close()


def is_locked(error: BaseException) -> bool:
    """Whether another process has the file."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_passing(error: BaseException) -> bool:
    """Whether the disk or another process is the cause, not the file itself."""
    passing = sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY
    return is_locked(error) or _code(error) in (*passing, sqlite3.SQLITE_PERM)


def _code(error: BaseException) -> int:
    """SQLite's primary code; 0 for an error that has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _crc(seq: int, kind: str, header: str, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(f"{seq} {kind} {header}".encode()))
