"""The files of one case in the store. None of them carries a patient's name or path."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from isal import igzip

from napari_medseg.correction.disk import DISK, Disk
from napari_medseg.correction.state import DAMAGE, DamagedError, read_array
from napari_medseg.correction.whole import whole
from napari_medseg.volume import Geometry, Volume

STATE_NUMBERS = 10**10  # above all
STATES_KEPT = 2  # the older one is for the day when the newer one is damaged
PART_BYTES = 1 << 22


@dataclass(frozen=True)
class CaseFiles:
    """Where the case `key` lies: a log of steps, whole states, and a copy of its scan."""

    folder: Path
    key: str
    disk: Disk = DISK

    @property
    def log(self) -> Path:
        return self.folder / f"{self.key}.db"

    def log_is_empty(self) -> bool:
        """Whether there is no log, or nothing in it nor in its write-ahead file."""
        parts = self.log, Path(f"{self.log}-wal")
        return not any(part.exists() and part.stat().st_size for part in parts)

    @property
    def effort(self) -> Path:
        return self.folder / f"{self.key}.effort"

    @property
    def scan(self) -> Path:
        return self.folder / f"{self.key}.scan.gz"

    def state(self, seq: int) -> Path:
        """The file of the state after step `seq`."""
        return self.folder / f"{self.key}.{seq:010d}.state"

    def states(self) -> list[tuple[int, Path]]:
        """(step, file) of the states that are there, the newest first."""
        found = self.folder.glob(f"{self.key}.*.state")
        return sorted(((int(path.name.split(".")[1]), path) for path in found), reverse=True)

    def make_folder(self) -> None:
        """Make the folder; nobody else may look in."""
        self.disk.make_folder(self.folder)

    def drop_old_states(self) -> int:
        """Delete all but the newest states; up to which step the log is not needed any more."""
        states = self.states()
        for _, path in states[STATES_KEPT:]:
            self.disk.remove(path)
        return states[:STATES_KEPT][-1][0] if len(states) >= STATES_KEPT else 0

    def sweep(self) -> None:
        """Delete half-written files of a process that was killed; call it while the log is ours."""
        for kind in ("*.state", "scan.gz"):
            for path in self.folder.glob(f".{self.key}.{kind}.*"):
                self.disk.remove(path)

    def set_aside(self, below: int) -> None:
        """Rename the log, and the states below a step, so that a new record begins."""
        mark = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}.aside"
        log = [self.log, Path(f"{self.log}-wal"), Path(f"{self.log}-shm")]
        for path in [*log, *(path for seq, path in self.states() if seq < below)]:
            if path.exists():
                self.disk.rename(path, path.with_name(f"{path.name}.{mark}"))


def keep_scan(volume: Volume, files: CaseFiles) -> Iterator[None]:
    """Write a copy of the scan in parts of some megabytes: voxels and grid, no name."""
    about = {
        "affine": volume.geometry.affine.tolist(),
        "modality": volume.modality,
        "unit": volume.unit,
        "window": volume.window,
        "inverted": volume.inverted,
    }
    array = np.ascontiguousarray(volume.array)
    files.make_folder()
    with (
        whole(files.scan, files.disk) as file,
        igzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed,
    ):
        packed.write(json.dumps(about).encode() + b"\n")
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(packed, header)
        raw = array.reshape(-1).view(np.uint8)
        for start in range(0, len(raw), PART_BYTES):
            packed.write(raw[start : start + PART_BYTES].data)
            yield


def read_scan(files: CaseFiles) -> Volume:
    """The copy of a scan; its name is made of its key.

    Raises
    ------
    DamagedError
        The file is truncated or changed.
    """
    try:
        with igzip.open(files.scan, "rb") as file:
            about = json.loads(file.readline())
            array = read_array(file)
            if file.read(1):
                raise DamagedError(f"{files.scan.name} goes on after its end")
        return Volume(
            array,
            Geometry(array.shape[-3:], about["affine"]),
            name=f"case {files.key[:8]}",
            modality=about["modality"],
            unit=about["unit"],
            window=None if about["window"] is None else tuple(about["window"]),
            inverted=about["inverted"],
        )
    except DAMAGE as error:
        raise DamagedError(f"{files.scan.name} is damaged: {error}") from error
