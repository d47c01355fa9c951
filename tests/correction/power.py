"""A disk that writes down what it is asked to do, and what a power cut would leave of it.

The store and SQLite itself (through a VFS of its own) work on a real folder; each write, sync,
rename and deletion is noted. `Recording.cut` gives the files as they may be after a power cut at
any moment: what was not synced is there, or not, or torn at a sector, in any mixture.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import apsw
import numpy as np
from killing import in_place

from napari_medseg.correction.disk import Disk

SECTOR = 512
Files = dict[str, bytes]


@dataclass(frozen=True)
class Op:
    """One operation: create, write, truncate, sync, rename, remove, sync folder, or done."""

    kind: str
    inode: int = 0
    name: str = ""
    new: str = ""
    offset: int = 0
    data: bytes = b""


class RecordingDisk(Disk):
    """The real disk, written down; subclasses leave out what must not be left out."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._inodes = 0
        self.by_name: dict[str, int] = {}
        self._unsynced_names: set[int] = set()
        self._vfs = _Vfs(self)

    # -- what happens --------------------------------------------------------------------------

    def noted(self, op: Op) -> None:
        self.ops.append(op)

    def inode(self, path: str | Path, new: bool = False) -> int:
        """The number of a file; a new one is noted."""
        name = Path(path).name
        if new or name not in self.by_name:
            self._inodes += 1
            self.by_name[name] = self._inodes
            self.noted(Op("create", self._inodes, name))
        return self.by_name[name]

    def fits(self, path: Path, offset: int, length: int) -> int:
        """How many bytes of a write the disk takes; fewer than all make it fail."""
        return length

    def done(self, step: int) -> None:
        """The user was told that this step is on the disk."""
        self.noted(Op("done", offset=step))

    # -- the store's own files -------------------------------------------------------------------

    def create(self, path: Path) -> BinaryIO:
        return _Noted(path, self)  # type: ignore[return-value]

    def sync(self, file: BinaryIO) -> None:
        file.flush()
        self.noted(Op("sync", file.inode))  # type: ignore[attr-defined]

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.by_name[new.name] = self.by_name.pop(old.name)
        self.noted(Op("rename", name=old.name, new=new.name))

    def remove(self, path: Path) -> None:
        if path.exists():
            super().remove(path)
            self.by_name.pop(path.name, None)
            self.noted(Op("remove", name=path.name))

    def sync_folder(self, folder: Path) -> None:
        self.noted(Op("sync folder"))

    # -- SQLite ----------------------------------------------------------------------------------

    def connect(self, path: Path) -> Any:
        return _Connection(str(path), self._vfs.name)


class _Connection:
    """As much of `sqlite3.Connection` as a log needs, on our VFS."""

    def __init__(self, path: str, vfs: str) -> None:
        self._db = apsw.Connection(path, vfs=vfs)

    def execute(self, query: str, row: tuple[Any, ...] = ()) -> Any:
        try:
            return self._db.execute(query, row)
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error

    def close(self) -> None:
        try:
            self._db.close()
        except apsw.Error as error:
            raise sqlite3.OperationalError(str(error)) from error


class _Noted:
    """A file whose writes are noted."""

    def __init__(self, path: Path, disk: RecordingDisk) -> None:
        self._file, self._path, self._disk = path.open("wb", 0), path, disk
        self.inode = disk.inode(path, new=True)

    def write(self, data: Any) -> int:
        content = bytes(data)
        taken = self._disk.fits(self._path, self._file.tell(), len(content))
        self._disk.noted(Op("write", self.inode, "", "", self._file.tell(), content[:taken]))
        self._file.write(content[:taken])
        if taken < len(content):
            raise OSError(errno.ENOSPC, "No space left on device")
        return taken

    def __enter__(self) -> _Noted:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Vfs(apsw.VFS):
    """SQLite's own files, noted."""

    made = 0

    def __init__(self, disk: RecordingDisk) -> None:
        _Vfs.made += 1
        self.name, self._disk = f"noted{_Vfs.made}", disk
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802  SQLite's name
        return _VfsFile(name, flags, self._disk)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        super().xDelete(name, sync_folder)
        self._disk.by_name.pop(Path(name).name, None)
        self._disk.noted(Op("remove", name=Path(name).name))
        if sync_folder:
            self._disk.sync_folder(Path(name).parent)


class _VfsFile(apsw.VFSFile):
    """One of SQLite's files; the first sync of a journal makes its name safe too (os_unix.c)."""

    def __init__(self, name: Any, flags: list[int], disk: RecordingDisk) -> None:
        path = name if isinstance(name, str) else name.filename()
        self._disk, self._path = disk, Path(path)
        fresh = not Path(path).exists()
        super().__init__("", name, flags)
        self._inode = disk.inode(path, new=fresh)
        self._sync_name = fresh and not flags[0] & apsw.SQLITE_OPEN_MAIN_DB

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        taken = self._disk.fits(self._path, offset, len(data))
        self._disk.noted(Op("write", self._inode, offset=offset, data=bytes(data[:taken])))
        super().xWrite(data[:taken], offset)
        if taken < len(data):
            raise apsw.FullError("database or disk is full")

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.noted(Op("truncate", self._inode, offset=size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.noted(Op("sync", self._inode))
        if self._sync_name:
            self._disk.sync_folder(Path())
            self._sync_name = False


# -- after the cut -------------------------------------------------------------------------------


@dataclass
class Platters:
    """What is surely there, and what may be there: per file, and of the names."""

    synced: dict[int, bytes] = field(default_factory=dict)
    pending: dict[int, list[Op]] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    pending_names: list[Op] = field(default_factory=list)
    done: int = -1

    def take(self, op: Op) -> None:
        """What one operation does to a disk."""
        if op.kind in ("write", "truncate"):
            self.pending.setdefault(op.inode, []).append(op)
        elif op.kind == "sync":
            kept = self.pending.pop(op.inode, [])
            self.synced[op.inode] = _written(self.synced.get(op.inode, b""), kept)
        elif op.kind == "sync folder":
            self.names = _named(self.names, self.pending_names)
            self.pending_names = []
        elif op.kind == "done":
            self.done = op.offset
        else:
            self.pending_names.append(op)

    def cut(self, random: np.random.Generator) -> Files:
        """The files after a power cut now; how much of what waits survives is drawn by chance."""
        share = random.choice([0.0, 0.5, 1.0])
        names = _named(self.names, [op for op in self.pending_names if random.random() <= share])
        found = {}
        for name, inode in names.items():
            kept = list(_torn(self.pending.get(inode, []), share, random))
            found[name] = _written(self.synced.get(inode, b""), kept)
        return found


def cuts(ops: list[Op], states: int, random: np.random.Generator) -> Iterator[tuple[int, Files]]:
    """(the last step that was told to be safe, the files), at moments spread over all."""
    at = np.sort(random.integers(1, len(ops) + 1, states))
    platters, taken = Platters(), 0
    for moment in at:
        for op in ops[taken:moment]:
            platters.take(op)
        taken = int(moment)
        yield platters.done, platters.cut(random)


def _torn(ops: list[Op], share: float, random: np.random.Generator) -> Iterator[Op]:
    """Some of the writes, each sector by itself."""
    for op in ops:
        if op.kind == "truncate":
            if random.random() <= share:
                yield op
            continue
        for start in range(0, len(op.data), SECTOR):
            if random.random() <= share:
                part = op.data[start : start + SECTOR]
                yield Op("write", op.inode, offset=op.offset + start, data=part)


def _written(content: bytes, ops: list[Op]) -> bytes:
    out = bytearray(content)
    for op in ops:
        if op.kind == "truncate":
            del out[op.offset :]
        else:
            out.extend(bytes(max(0, op.offset + len(op.data) - len(out))))
            out[op.offset : op.offset + len(op.data)] = op.data
    return bytes(out)


def _named(names: dict[str, int], ops: list[Op]) -> dict[str, int]:
    """Names after some of the operations; what was renamed had been created."""
    out = dict(names)
    for op in ops:
        if op.kind == "create":
            out[op.name] = op.inode
        elif op.kind == "remove":
            out.pop(op.name, None)
        elif op.name in out:
            out[op.new] = out.pop(op.name)
    return out


# -- what must not be left out -------------------------------------------------------------------


class NoFileSync(RecordingDisk):
    """A state's content is not synced before it gets its name."""

    def sync(self, file: BinaryIO) -> None:
        file.flush()


class NoFolderSync(RecordingDisk):
    """Names in the folder are not synced."""

    def sync_folder(self, folder: Path) -> None:
        pass


class NoRename(RecordingDisk):
    """A state is written in place, under its own name."""

    def create(self, path: Path) -> BinaryIO:
        return super().create(in_place(path))

    def rename(self, old: Path, new: Path) -> None:
        pass


class NoLogSync(RecordingDisk):
    """SQLite is told not to sync."""

    def connect(self, path: Path) -> Any:
        connection = super().connect(path)
        execute = connection.execute
        connection.execute = lambda query, row=(): execute(
            query.replace("synchronous=FULL", "synchronous=OFF"), row
        )
        return connection
