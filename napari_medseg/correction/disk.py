"""What the records ask of a disk: the few calls that their safety rests on, in one place."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import BinaryIO

LOCK_WAIT_S = 0.2


class Disk:
    """The disk as it is. A test puts another in its place: one that fails, fills up or forgets."""

    def create(self, path: Path) -> BinaryIO:
        """A new file, to write."""
        return path.open("wb")

    def sync(self, file: BinaryIO) -> None:
        """What was written is on the disk when this returns."""
        file.flush()
        os.fsync(file.fileno())

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another's name; that one is gone."""
        old.replace(new)

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""
        path.unlink(missing_ok=True)

    def sync_folder(self, folder: Path) -> None:
        """Names in the folder are on the disk when this returns."""
        if os.name != "posix":  # Windows cannot open a folder; its rename is journalled
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def make_folder(self, folder: Path) -> None:
        """Make the folder, with those above it; nobody else may look in."""
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for one in missing:  # else a power cut may forget the folder, and all that is in it
            self.sync_folder(one.parent)

    def connect(self, path: Path) -> sqlite3.Connection:
        """A SQLite database; no transaction begins by itself."""
        return sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None)


DISK = Disk()
