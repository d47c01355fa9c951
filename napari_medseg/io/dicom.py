"""DICOM: a file, or a folder with its subfolders, as one series or several."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from napari_medseg.errors import ReadError
from napari_medseg.io.dicom_header import FLAT, Frame, Header, read_header
from napari_medseg.io.dicom_pet import suv_factor
from napari_medseg.io.dicom_stack import Layout, counted, layout
from napari_medseg.io.dicom_values import dtype_of, values
from napari_medseg.io.files import READABLE, looks_like_dicom
from napari_medseg.volume import Geometry, Volume

MOST_FILES = 20_000
MOST_NEIGHBOURS = 50
ODD_SHARE = 0.25  # of a series: fewer slices of another size are left out, more are a series


@dataclass(frozen=True)
class Series:
    """Frames that belong together, and what was odd in finding them."""

    name: str
    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = ()
    broken: Header | None = None


@dataclass(frozen=True)
class Listed:
    """A series as far as its headers tell; no pixel was decoded."""

    name: str
    modality: str
    unit: str
    geometry: Geometry
    dtype: str
    channels: int
    warnings: tuple[str, ...]


def read(path: Path, name: str | None = None) -> Volume:
    """One series as a volume; `name` says which one where there are several."""
    found = _series(path)
    chosen = [one for one in found if name in (None, one.name)]
    if len(chosen) != 1:
        names = ", ".join(repr(one.name) for one in found)
        asked = f"{len(found)}" if name is None else f"none called {name!r} but"
        raise ReadError(f"one series must be chosen, got {asked}: {names}"[:170], path.name)
    return _volume(chosen[0], path)


def list_series(path: Path) -> list[Listed]:
    """Each series that can be read, from the headers alone."""
    listed, refused = [], []
    for one in _series(path):
        try:
            plan = _layout(one)
        except ReadError as error:
            refused.append(error)
            continue
        header = one.frames[0].header
        listed.append(
            Listed(
                one.name,
                header.modality,
                header.unit,
                plan.geometry,
                str(dtype_of(one.frames)),
                len(plan.channels),
                (*one.notes, *plan.notes),
            )
        )
    if not listed:
        raise refused[0]
    lost = tuple(f"another series cannot be read: {error}" for error in refused)
    return [replace(one, warnings=(*one.warnings, *lost)) for one in listed]


def _volume(series: Series, path: Path) -> Volume:
    plan = _layout(series)
    header = series.frames[0].header
    n = len(plan.channels)
    notes = [*series.notes, *plan.notes]
    if path.is_file() and len(series.frames) == 1 and _has_company(path, header):
        notes.append("one slice of a series: open its folder for the whole scan")
    return Volume(
        values(plan, path.name),
        plan.geometry,
        name=series.name,
        modality=header.modality,
        unit=header.unit,
        channels=tuple(f"channel {i}" for i in range(n)) if n > 1 else (),
        warnings=tuple(notes),
        window=_window(header),
        inverted=header.inverted,
        header={"format": "dicom"},
    )


def _layout(series: Series) -> Layout:
    if series.broken is not None:
        raise ReadError(series.broken.broken, series.broken.path.name)
    return layout(series.frames)


def _window(header: Header) -> tuple[float, float] | None:
    """The file's own; soft tissue for a CT that has none."""
    if header.window is not None and header.suv_factor is None:
        return header.window
    return (-160.0, 240.0) if header.unit == "HU" else None


def _has_company(path: Path, header: Header) -> bool:
    """Whether other slices lie beside a file that somebody picked."""
    if header.modality in FLAT or not header.uid:
        return False
    others = (one for one in path.parent.iterdir() if one != path and one.suffix == path.suffix)
    for other in islice(others, MOST_NEIGHBOURS):
        with suppress(ReadError):
            if looks_like_dicom(other) and read_header(other).uid == header.uid:
                return True
    return False


def _series(path: Path) -> list[Series]:
    """All series of a file or folder, in the order of their numbers."""
    headers = _headers(path)
    scans = [one for one in headers if not one.not_a_scan]
    if not scans:
        kinds = ", ".join(sorted({one.not_a_scan for one in headers}))
        raise ReadError(f"must hold a scan with grey values, got only {kinds}", path.name)
    by_uid: dict[tuple[object, ...], list[Header]] = defaultdict(list)
    for header in scans:
        by_uid[_family(header)].append(header)
    families = sorted(by_uid.values(), key=lambda family: (family[0].number, family[0].uid))
    found = [one for family in families for one in _split(_as_suv(family))]
    return _named(found)


def _headers(path: Path) -> list[Header]:
    if path.is_file():
        return [read_header(path)]
    headers, damaged = [], []
    for file in _files(path):
        try:
            headers.append(read_header(file))
        except ReadError as error:
            damaged.append(error)
    if not headers:
        raise damaged[0]
    return headers


def _files(folder: Path) -> list[Path]:
    """Every DICOM file below a folder, DICOMDIR apart; in a fixed order."""
    found, seen, other = [], 0, ""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > MOST_FILES:
                raise ReadError(
                    f"must hold one study, got more than {MOST_FILES} files; choose its folder",
                    folder.name,
                )
            if name.upper() != "DICOMDIR" and looks_like_dicom(Path(place, name)):
                found.append(Path(place, name))
            elif name.lower().endswith(READABLE):
                other = name
    if not found:
        hint = f"; open {other} by itself" if other else ""
        raise ReadError(f"must hold DICOM files, got a folder without any{hint}", folder.name)
    return found


def _family(header: Header) -> tuple[object, ...]:
    """What files of one series share; a flat picture or a cine is a series of its own."""
    classic = len(header.planes) > 1 and header.planes[0].position is None
    alone = header.path if header.modality in FLAT or classic else None
    if header.uid:
        return (header.uid, alone)
    return ("", header.modality, header.number, header.description, alone)


def _as_suv(family: list[Header]) -> list[Header]:
    """PET files with the one factor of their series; as they are where the tags do not allow it."""
    factor = suv_factor([header.dose for header in family])
    if factor is None:
        return family
    return [replace(header, unit="SUV", suv_factor=factor) for header in family]


def _split(family: list[Header]) -> list[Series]:
    """One series per size and orientation; a few odd slices among many are left out and named."""
    broken = next((one for one in family if one.broken), None)
    if broken is not None:
        return [Series("", (Frame(broken, 0),), (), broken)]
    groups: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for header in family:
        for index in range(len(header.planes)):
            groups[_look(Frame(header, index))].append(Frame(header, index))
    ordered = sorted(groups.values(), key=len, reverse=True)
    most = len(ordered[0])
    odd = [one for group in ordered for one in group if len(group) < ODD_SHARE * most]
    notes = []
    if not family[0].uid:
        notes.append("its series number (UID) is empty: all files of one geometry were taken")
    if odd:
        names = sorted({one.header.path.name for one in odd})
        text = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
        notes.append(f"{counted(len(odd), 'slice')} of another size or direction, left out: {text}")
    kept = [group for group in ordered if len(group) >= ODD_SHARE * most]
    return [Series("", tuple(group), tuple(notes)) for group in kept]


def _look(frame: Frame) -> tuple[object, ...]:
    turned = frame.plane.orientation
    direction = None if turned is None else tuple(np.round(turned, 2).tolist())
    return (frame.header.rows, frame.header.columns, frame.header.dtype, direction)


def _named(series: Sequence[Series]) -> list[Series]:
    """Each with a name that a user may see and choose by: the description, made unique."""
    named: list[Series] = []
    for one in series:
        header = one.frames[0].header
        plain = header.description or f"{header.modality or 'series'} {header.number or ''}".strip()
        taken = {other.name for other in named}
        name, n = plain, 2
        while name in taken:
            name, n = f"{plain} ({n})", n + 1
        named.append(replace(one, name=name))
    return named
