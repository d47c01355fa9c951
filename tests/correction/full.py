"""A disk of limited size, for the store's own files and for SQLite's."""

from __future__ import annotations

from pathlib import Path

from power import RecordingDisk


class SmallDisk(RecordingDisk):
    """Takes `room` bytes; a write that does not fit comes out short, or not at all."""

    def __init__(self, room: float, short: bool) -> None:
        super().__init__()
        self.room, self._short = room, short

    def fits(self, path: Path, offset: int, length: int) -> int:
        used = sum(one.stat().st_size for one in path.parent.iterdir() if one != path)
        free = self.room - used - offset
        return length if length <= free else int(max(0, free)) * self._short
