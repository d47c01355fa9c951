"""From Bq/ml to SUV by body weight, where a PET file says enough for it.

SUV = activity concentration × weight / injected dose, decay-corrected to the scan's start
(QIBA's vendor-neutral pseudocode, "happy path only").
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

PET_TAGS = (
    "Units", "PatientWeight", "DecayCorrection", "CorrectedImage", "SeriesDate", "SeriesTime",
    "AcquisitionDate", "AcquisitionTime", "RadiopharmaceuticalInformationSequence",
)  # fmt: skip
SECONDS_A_DAY = 86400


def suv_factor(dataset: Any) -> float | None:
    """What Bq/ml must be multiplied with to be SUV (g/ml); None where a tag is missing."""
    corrected = [str(word) for word in dataset.get("CorrectedImage") or []]
    tracer = next(iter(dataset.get("RadiopharmaceuticalInformationSequence") or []), None)
    if tracer is None or not {"ATTN", "DECY"} <= set(corrected):
        return None
    try:
        weight_g = float(dataset.PatientWeight) * 1000
        dose_bq = float(tracer.RadionuclideTotalDose)
        half_life_s = float(tracer.RadionuclideHalfLife)
        how = str(dataset.DecayCorrection)
        waited_s = 0.0 if how == "ADMIN" else _waited_s(dataset, tracer)
    except (AttributeError, TypeError, ValueError):
        return None
    plausible = 1e3 < weight_g < 5e5 and dose_bq > 1e5 and half_life_s > 0
    if how not in ("START", "ADMIN") or not plausible or not 0 <= waited_s < SECONDS_A_DAY:
        return None
    return float(weight_g / (dose_bq * 2 ** (-waited_s / half_life_s)))


def _waited_s(dataset: Any, tracer: Any) -> float:
    """Seconds from the injection to the time to which the scan is decay-corrected."""
    series = _time(str(dataset.SeriesTime))
    taken = _time(str(dataset.get("AcquisitionTime") or dataset.SeriesTime))
    start = min(series, taken)  # a reconstruction made later carries a later series time
    given = str(tracer.get("RadiopharmaceuticalStartDateTime") or "")[8:]
    return (start - _time(given or str(tracer.RadiopharmaceuticalStartTime))) % SECONDS_A_DAY


def _time(text: str) -> float:
    """Seconds since midnight of DICOM's HHMMSS.ffffff."""
    clock = datetime.strptime(text.strip()[:6], "%H%M%S")
    return clock.hour * 3600.0 + clock.minute * 60 + clock.second
