"""Files that are there whole, or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from napari_medseg.errors import WriteError


def write_whole(path: Path, data: bytes, make_folder: bool = False) -> None:
    """Write a file; the old one stays until the new one is complete.

    `make_folder` makes the folders that are not there.

    Raises
    ------
    WriteError
        The folder does not take it.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise WriteError(
            f"a model must be saved, {error.strerror}; choose another folder", path.name
        ) from error
