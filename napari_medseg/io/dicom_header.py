"""What one DICOM file says about its pixels; nothing of who the patient is leaves this module."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.config import disable_value_validation
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from napari_medseg.errors import ReadError
from napari_medseg.io import guard
from napari_medseg.io.dicom_pet import PET_TAGS, Dose, dose_of

PIXEL_TAGS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
IDENTITY_TAGS = (
    "PatientName", "PatientID", "PatientBirthDate", "OtherPatientNames", "PatientAddress",
    "InstitutionName", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName",
    "AccessionNumber",
)  # fmt: skip
TAGS = (
    "SpecificCharacterSet", "SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesNumber",
    "SeriesDescription", "InstanceNumber", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "BitsAllocated", "PixelRepresentation",
    "PlanarConfiguration", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices", "RescaleSlope",
    "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    *PIXEL_TAGS, *IDENTITY_TAGS, *PET_TAGS,
)  # fmt: skip
OTHER_MODALITIES = {
    "SR": "a report", "KO": "a list of key images", "PR": "display settings", "SEG": "a DICOM "
    "segmentation", "RTSTRUCT": "contours", "RTPLAN": "a treatment plan", "RTDOSE": "a dose plan",
    "REG": "a registration", "DOC": "a document", "AU": "sound", "ECG": "a curve",
}  # fmt: skip
FLAT = ("CR", "DX", "MG", "US", "RG", "RF", "XA", "ES", "IO", "PX", "OP", "SM")  # no stacks
PLAIN_SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
MOST_DEFLATED_BYTES = 1 << 28
DEFER_BYTES = 1 << 16
ACTIVITY = "Bq/ml"
DAMAGE = (InvalidDicomError, BytesLengthException, RecursionError)


@dataclass(frozen=True)
class Plane:
    """Where one frame lies (LPS mm), and what its stored numbers mean."""

    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_yx: tuple[float, ...] | None
    step_mm: float | None
    slope: float
    intercept: float


@dataclass(frozen=True)
class Header:
    """One file. `not_a_scan` and `broken` say why its pixels are of no use; else empty.

    `dose` is what one PET file in Bq/ml says; `suv_factor` and the unit SUV come from its series.
    """

    path: Path
    uid: str
    number: int
    instance: int
    description: str
    modality: str
    rows: int
    columns: int
    dtype: str
    compressed: bool
    inverted: bool
    unit: str
    dose: Dose | None
    window: tuple[float, float] | None
    planes: tuple[Plane, ...]
    not_a_scan: str = ""
    broken: str = ""
    suv_factor: float | None = None


@dataclass(frozen=True)
class Frame:
    """One picture of a file: the file's header and the frame's number from 0."""

    header: Header
    index: int

    @property
    def plane(self) -> Plane:
        return self.header.planes[self.index]


def dataset_of(path: Path, pixels: bool = False) -> Any:
    """pydicom's dataset: the tags we need, or with the pixels; bounded in time and memory."""
    _check_deflated(path)
    with disable_value_validation():
        if pixels:
            return pydicom.dcmread(path, force=True)
        return pydicom.dcmread(path, force=True, defer_size=DEFER_BYTES, specific_tags=list(TAGS))


def _check_deflated(path: Path) -> None:
    """Refuse a deflated file that would unpack without an end: pydicom does it at one go."""
    with path.open("rb") as stream:
        start = stream.read(2048)
        if str(DeflatedExplicitVRLittleEndian).encode() not in start:
            return
        meta = pydicom.filereader.read_file_meta_info(path)
        stream.seek(132 + 12 + int(meta.FileMetaInformationGroupLength))
        inflate, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while not inflate.eof and (packed := inflate.unconsumed_tail or stream.read(1 << 20)):
            size += len(inflate.decompress(packed, guard.CHUNK_BYTES))
            if size > MOST_DEFLATED_BYTES:
                raise ReadError("must unpack to one picture, got endless data", path.name)


def read_header(path: Path) -> Header:
    """What the file says.

    Raises
    ------
    ReadError
        It is not DICOM, or too damaged to say anything.
    """
    with guard.refusing(path, *DAMAGE), disable_value_validation():
        dataset = dataset_of(path)
        if not any(key in dataset for key in ("Rows", "Modality", "SOPClassUID")):
            raise ReadError("must be a DICOM file, got something else under its name", path.name)
        return _header(dataset, path)


def _header(dataset: Any, path: Path) -> Header:
    rows, columns = _int(dataset, "Rows"), _int(dataset, "Columns")
    modality = str(dataset.get("Modality") or "")[:16]
    kind = _no_scan(dataset, modality, rows)
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    compressed = bool(syntax) and syntax not in PLAIN_SYNTAXES
    n_frames = max(1, _int(dataset, "NumberOfFrames", 1))
    broken = "" if kind else _broken(dataset, path, n_frames, compressed, syntax)
    unit = _unit(dataset, modality)
    return Header(
        path=path,
        uid=str(dataset.get("SeriesInstanceUID") or "").strip(),
        number=_int(dataset, "SeriesNumber"),
        instance=_int(dataset, "InstanceNumber"),
        description=_description(dataset),
        modality=modality,
        rows=rows,
        columns=columns,
        dtype=_dtype(dataset),
        compressed=compressed,
        inverted=str(dataset.get("PhotometricInterpretation")) == "MONOCHROME1",
        unit=unit,
        dose=dose_of(dataset) if unit == ACTIVITY else None,
        window=_window(dataset),
        planes=() if kind or broken else _planes(dataset, n_frames),
        not_a_scan=kind,
        broken=broken,
    )


def _no_scan(dataset: Any, modality: str, rows: int) -> str:
    """Why this is no scan at all; empty where it may be one."""
    if modality in OTHER_MODALITIES:
        return OTHER_MODALITIES[modality]
    if rows == 0 and not any(tag in dataset for tag in PIXEL_TAGS):
        return "an object without pixels"
    if _int(dataset, "SamplesPerPixel", 1) > 1:
        return "a colour picture (RGB)"
    return ""


def _broken(dataset: Any, path: Path, n_frames: int, compressed: bool, syntax: UID) -> str:
    """Why the pixels cannot be whole; empty where they may be."""
    rows, columns = _int(dataset, "Rows"), _int(dataset, "Columns")
    if min(rows, columns) < 1:
        return f"must have rows and columns, got {rows} × {columns}"
    tag = next((tag for tag in PIXEL_TAGS if tag in dataset), None)
    if tag is None:
        return "must hold pixel data, got none: the file is truncated; copy it again"
    stored = path.stat().st_size
    if compressed or syntax == DeflatedExplicitVRLittleEndian:
        return "" if n_frames <= stored else f"must hold {n_frames} frames, got a file too small"
    want = rows * columns * n_frames * max(1, _int(dataset, "BitsAllocated", 16) // 8)
    element = dataset.get_item(tag, keep_deferred=True)
    got = min(element.length, stored - (element.value_tell or 0))
    if want > got or element.length > got:
        want = max(want, min(element.length, 1 << 40))
        return f"must hold {want} bytes of pixels, got {got}: the file is truncated; copy it again"
    return ""


def _dtype(dataset: Any) -> str:
    """The type of the stored numbers."""
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        return "f4" if "FloatPixelData" in dataset else "f8"
    size = 4 if _int(dataset, "BitsAllocated", 16) > 16 else 2
    size = 1 if _int(dataset, "BitsAllocated", 16) <= 8 else size
    return f"{'i' if _int(dataset, 'PixelRepresentation') == 1 else 'u'}{size}"


def _unit(dataset: Any, modality: str) -> str:
    """The unit after rescaling."""
    if modality == "CT":
        has_scale = "RescaleIntercept" in dataset or "SharedFunctionalGroupsSequence" in dataset
        kind = str(dataset.get("RescaleType") or "HU").upper()
        return "HU" if has_scale and kind in ("HU", "US") else ""
    if modality != "PT":
        return ""
    units = str(dataset.get("Units") or "").upper()
    return {"GML": "SUV", "BQML": ACTIVITY}.get(units, units.capitalize())


def _description(dataset: Any) -> str:
    """The series' description, unless a word of the patient's identity stands in it."""
    text = "".join(c for c in str(dataset.get("SeriesDescription") or "") if c.isprintable())
    for tag in IDENTITY_TAGS:
        for word in re.split(r"[\^=\\\s,;]+", str(dataset.get(tag) or "")):
            if len(word) > 2 and word.casefold() in text.casefold():
                return ""
    return text.strip()[:64]


def _window(dataset: Any) -> tuple[float, float] | None:
    centre = _floats(dataset.get("WindowCenter"), first=True)
    width = _floats(dataset.get("WindowWidth"), first=True)
    if centre is None or width is None or width[0] <= 1:
        return None
    return centre[0] - width[0] / 2, centre[0] + width[0] / 2


def _planes(dataset: Any, n_frames: int) -> tuple[Plane, ...]:
    """One per frame: from its own functional groups, the shared ones, or the file's own tags."""
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    own = list(dataset.get("PerFrameFunctionalGroupsSequence") or [])
    classic = n_frames > 1 and not own  # a cine: its one position is not every frame's
    planes = []
    for i in range(n_frames):
        groups = [*own[i : i + 1], *shared]
        planes.append(_plane(dataset, groups, classic))
    return tuple(planes)


def _plane(dataset: Any, groups: Sequence[Any], classic: bool) -> Plane:
    def find(sequence: str, key: str) -> Any:
        for group in groups:
            for item in list(group.get(sequence) or [])[:1]:
                if item.get(key) is not None:
                    return item.get(key)
        return dataset.get(key)

    measures = "PixelMeasuresSequence"
    spacing = _floats(find(measures, "PixelSpacing") or dataset.get("ImagerPixelSpacing"), 2)
    between = _floats(find(measures, "SpacingBetweenSlices"), 1)
    thick = _floats(find(measures, "SliceThickness"), 1)
    steps = [abs(step[0]) for step in (between, thick) if step is not None and step[0] != 0]
    position = find("PlanePositionSequence", "ImagePositionPatient")
    slope = _floats(find("PixelValueTransformationSequence", "RescaleSlope"), 1) or (1.0,)
    inter = _floats(find("PixelValueTransformationSequence", "RescaleIntercept"), 1) or (0.0,)
    return Plane(
        position=None if classic else _floats(position, 3),
        orientation=_floats(find("PlaneOrientationSequence", "ImageOrientationPatient"), 6),
        spacing_yx=spacing if spacing is not None and min(spacing) > 0 else None,
        step_mm=steps[0] if steps else None,
        slope=slope[0] or 1.0,  # a slope of 0 would make the picture flat: some files say so
        intercept=inter[0],
    )


def _floats(value: Any, count: int = 1, first: bool = False) -> tuple[float, ...] | None:
    """Finite numbers of an element; None where they are missing, too few or nonsense."""
    if value is None or value == "":
        return None
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError):
        return None
    numbers = numbers[:1] if first else numbers
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else None


def _int(dataset: Any, key: str, default: int = 0) -> int:
    numbers = _floats(dataset.get(key), 1)
    return default if numbers is None else int(numbers[0])
