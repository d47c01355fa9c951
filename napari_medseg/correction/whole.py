"""Files that are there completely or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from napari_medseg.correction.disk import DISK, Disk


@contextmanager
def whole(path: Path, disk: Disk = DISK) -> Iterator[BinaryIO]:
    """A file to write; `path` gets its content when all of it is on the disk, else stays as it was.

    Written beside, fsync, renamed, and fsync of the folder: without the last one a power cut may
    forget the renaming.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with disk.create(beside) as file:
            yield file
            disk.sync(file)
        disk.rename(beside, path)
        disk.sync_folder(path.parent)
    finally:
        disk.remove(beside)
