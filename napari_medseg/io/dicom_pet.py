"""From Bq/ml to SUV by body weight, where a PET file says enough for it.

SUV = activity concentration × weight / injected dose, decay-corrected to the scan's start
(QIBA's vendor-neutral pseudocode, "happy path only").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

PET_TAGS = (
    "Units", "PatientWeight", "DecayCorrection", "CorrectedImage", "SeriesDate", "SeriesTime",
    "AcquisitionDate", "AcquisitionTime", "RadiopharmaceuticalInformationSequence",
)  # fmt: skip
SECONDS_A_DAY = 86400
MOST_HALF_LIVES = 30  # from injection to scan: after that nothing is left to see


@dataclass(frozen=True)
class Dose:
    """What one file says of the tracer and the patient.

    Attributes
    ----------
    waits_s
        Seconds from the injection to the series' time and to this file's acquisition, if stated;
        (0,) where the scan is decay-corrected to the injection.
    """

    weight_g: float
    dose_bq: float
    half_life_s: float
    waits_s: tuple[float, ...]


def dose_of(dataset: Any) -> Dose | None:
    """All that SUV needs of one file; None where a tag is missing."""
    corrected = [str(word) for word in dataset.get("CorrectedImage") or []]
    tracer = next(iter(dataset.get("RadiopharmaceuticalInformationSequence") or []), None)
    how = str(dataset.get("DecayCorrection"))
    if tracer is None or not {"ATTN", "DECY"} <= set(corrected) or how not in ("START", "ADMIN"):
        return None
    try:
        dose = Dose(
            weight_g=float(dataset.PatientWeight) * 1000,
            dose_bq=float(tracer.RadionuclideTotalDose),
            half_life_s=float(tracer.RadionuclideHalfLife),
            waits_s=(0.0,) if how == "ADMIN" else _waits_s(dataset, tracer),
        )
    except (AttributeError, TypeError, ValueError):
        return None
    plausible = 1e3 < dose.weight_g < 5e5 and dose.dose_bq > 1e5 and dose.half_life_s > 0
    return dose if plausible else None


def suv_factor(doses: Sequence[Dose | None]) -> float | None:
    """What a series' Bq/ml must be multiplied with to be SUV (g/ml): one factor for all files.

    The scan began with its earliest acquisition, for every slice: beds scanned later are
    decay-corrected to that time too. None where a file lacks something or contradicts another.
    """
    known = [one for one in doses if one is not None]
    told = {(one.weight_g, one.dose_bq, one.half_life_s, len(one.waits_s)) for one in known}
    if len(known) < len(doses) or len(told) != 1:
        return None
    first = known[0]
    half_lives = min(wait for one in known for wait in one.waits_s) / first.half_life_s
    if half_lives > MOST_HALF_LIVES:
        return None
    return float(first.weight_g / (first.dose_bq * 2**-half_lives))


def _waits_s(dataset: Any, tracer: Any) -> tuple[float, ...]:
    """Seconds from the injection to the times that may be the scan's start."""
    starts = [str(dataset.SeriesTime)]  # a reconstruction made later carries a later one
    if dataset.get("AcquisitionTime"):
        starts.append(str(dataset.AcquisitionTime))
    given = str(tracer.get("RadiopharmaceuticalStartDateTime") or "")[8:]
    injected = _time(given or str(tracer.RadiopharmaceuticalStartTime))
    return tuple((_time(start) - injected) % SECONDS_A_DAY for start in starts)


def _time(text: str) -> float:
    """Seconds since midnight of DICOM's HHMMSS.ffffff."""
    clock = datetime.strptime(text.strip()[:6], "%H%M%S")
    return clock.hour * 3600.0 + clock.minute * 60 + clock.second
