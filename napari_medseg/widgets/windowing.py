"""Which grey values are shown: presets for each kind of scan, and the drag that sets them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_medseg.volume import Volume
from napari_medseg.widgets.contrast import full_range, is_ct, percentiles, window_of

PIXELS_PER_E = 250.0  # of dragging to the right: the width grows by the factor 2.7
LEVEL_PER_PIXEL = 1 / 400  # of the width, for each pixel dragged down
NARROWEST = 1e-6


@dataclass(frozen=True)
class Preset:
    """A named window; `low` and `high` in the scan's unit."""

    name: str
    low: float
    high: float


def _centred(name: str, level: float, width: float) -> Preset:
    return Preset(name, level - width / 2, level + width / 2)


# level and width in HU as radiology departments have them (radiopaedia.org, "Windowing (CT)")
CT = (
    _centred("Soft tissue", 40, 400),
    _centred("Lung", -600, 1500),
    _centred("Mediastinum", 50, 350),
    _centred("Bone", 400, 1800),
    _centred("Brain", 40, 80),
    _centred("Liver", 60, 160),
)
SPREADS = {"98 %": (1, 99), "90 %": (5, 95), "Bright parts": (50, 99.9)}  # percentiles, for MR
PET = (Preset("SUV 0–5", 0, 5), Preset("SUV 0–10", 0, 10))


def presets(volume: Volume) -> tuple[Preset, ...]:
    """The windows that fit a scan, its own first."""
    own = Preset("Automatic", *window_of(volume))
    full = Preset("All values", *full_range(volume.array))
    if is_ct(volume):
        return (*CT, own, full)
    if volume.unit.startswith("SUV"):
        return (*PET, own, full)
    ranges = percentiles(volume, list(SPREADS.values()))
    more = [Preset(name, *ends) for name, ends in zip(SPREADS, ranges, strict=False)]
    return (own, *(one for one in more if one.low < one.high), full)


def dragged(limits: tuple[float, float], right: float, down: float) -> tuple[float, float]:
    """A window after a drag of so many pixels: to the right is wider, down is brighter."""
    low, high = limits
    width = max(high - low, NARROWEST)
    level = (low + high) / 2 - down * LEVEL_PER_PIXEL * width
    width = max(width * math.exp(right / PIXELS_PER_E), NARROWEST * max(abs(level), 1.0))
    return level - width / 2, level + width / 2


def name_of(limits: tuple[float, float], among: tuple[Preset, ...]) -> str:
    """The preset with these limits; "" for none."""
    slack = 1e-3 * max(limits[1] - limits[0], NARROWEST)
    near = (p for p in among if abs(p.low - limits[0]) + abs(p.high - limits[1]) < slack)
    return next((one.name for one in near), "")


def words(limits: tuple[float, float]) -> str:
    """Width and level as they are said: "W 400  L 40"."""
    width, level = limits[1] - limits[0], (limits[0] + limits[1]) / 2
    digits = 0 if width >= 20 else 2
    return f"W {width:.{digits}f}  L {level:.{digits}f}"
