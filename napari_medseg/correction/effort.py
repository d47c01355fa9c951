"""How much work a case took: active seconds, strokes, voxels, tools and slices; kept beside it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from napari_medseg.correction.whole import whole

IDLE_S = 20.0  # a longer pause is no work
MINUTE_S = 60.0


@dataclass
class Effort:
    """What a person put into one case; grows while they work.

    Attributes
    ----------
    seconds
        Of active work: pauses between two signs of life count up to `IDLE_S`.
    strokes, voxels
        Steps by what did them, and voxels that each kind of step changed.
    slices
        Visited slices as (axis, index).
    minutes
        Strokes in each minute of active work, the first minute first.
    pixel_mm2
        Of a pixel of its thickest slices; 0 where that is not known.
    """

    seconds: float = 0.0
    strokes: Counter[str] = field(default_factory=Counter)
    voxels: Counter[str] = field(default_factory=Counter)
    slices: set[tuple[int, int]] = field(default_factory=set)
    minutes: list[int] = field(default_factory=list)
    pixel_mm2: float = 0.0
    _last: float | None = None

    def alive(self, now: float) -> None:
        """A sign of life at `now`, in seconds of any clock that only runs forward."""
        if self._last is not None:
            self.seconds += min(max(now - self._last, 0.0), IDLE_S)
        self._last = now

    def stepped(self, name: str, voxels: int, now: float) -> None:
        """A step was done."""
        self.alive(now)
        self.strokes[name] += 1
        self.voxels[name] += voxels
        minute = int(self.seconds // MINUTE_S)
        self.minutes += [0] * (minute + 1 - len(self.minutes))
        self.minutes[minute] += 1

    def visited(self, axis: int, index: int, now: float) -> None:
        """A slice was looked at."""
        self.alive(now)
        self.slices.add((axis, index))

    def rested(self) -> None:
        """The case closes: time until it is opened again is no work."""
        self._last = None


def save(effort: Effort, path: Path) -> None:
    """Write it whole or not at all."""
    about = {
        "seconds": round(effort.seconds, 1),
        "strokes": dict(effort.strokes),
        "voxels": dict(effort.voxels),
        "slices": sorted(effort.slices),
        "minutes": effort.minutes,
        "pixel_mm2": effort.pixel_mm2,
    }
    with whole(path) as file:
        file.write(json.dumps(about).encode())


def load(path: Path) -> Effort:
    """What was kept; nothing where the file is missing or damaged: no mask depends on it."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return Effort(
            float(about["seconds"]),
            Counter({str(k): int(v) for k, v in about["strokes"].items()}),
            Counter({str(k): int(v) for k, v in about["voxels"].items()}),
            {(int(axis), int(index)) for axis, index in about["slices"]},
            [int(n) for n in about["minutes"]],
            float(about.get("pixel_mm2", 0.0)),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return Effort()


COLUMNS = ("case", "active_seconds", "strokes", "voxels_changed", "slices_visited")


def table(cases: Mapping[str, Effort]) -> str:
    """CSV of several cases: one row each, then a column of strokes for each tool."""
    tools = sorted({name for effort in cases.values() for name in effort.strokes})
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([*COLUMNS, *(f"strokes_{name.replace(' ', '_')}" for name in tools)])
    for case, effort in cases.items():
        rows.writerow(
            [
                case,
                round(effort.seconds, 1),
                effort.strokes.total(),
                effort.voxels.total(),
                len(effort.slices),
                *(effort.strokes[name] for name in tools),
            ]
        )
    return text.getvalue()
