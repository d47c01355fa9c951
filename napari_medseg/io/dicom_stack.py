"""Slices to a grid: sorted by place, never by name, and honest about gaps, tilt and doubles.

`highdicom.spatial` judges whether slices form a regular stack; what it refuses is diagnosed here:
a tilted gantry gives a sheared grid that is exact, missing or uneven slices are interpolated along
the stack with a warning that says where, and slices in no line are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import ReadError
from napari_medseg.io.dicom_header import FLAT, Frame
from napari_medseg.volume import Geometry

Vectors = npt.NDArray[np.float64]
SAME_PLACE_MM = 0.01
UNEVEN = 0.01  # of the step, as highdicom's own default
TILT_DEGREES = 0.2
MULTIPLE = 0.05  # of the step: how close a gap must be to whole steps to mean missing slices
MOST_STEPS = 10  # in a gap that still means missing slices
NEAR = 0.1  # of the usual gap: two slices closer than this are one place
MOST_SLICES = 20_000  # of an interpolated stack


@dataclass(frozen=True, eq=False)
class Layout:
    """How frames become a volume.

    Attributes
    ----------
    channels
        For each channel its slices, along the stack.
    geometry
        The grid of the result.
    at
        For each slice of the result its place among the stored slices, fractional; None where
        they are the same.
    """

    channels: tuple[tuple[Frame, ...], ...]
    geometry: Geometry
    at: Vectors | None = None
    notes: tuple[str, ...] = ()


def layout(frames: Sequence[Frame]) -> Layout:
    """The grid on which the frames lie.

    Raises
    ------
    ReadError
        They do not form one straight stack.
    """
    placed = all(one.plane.position and one.plane.orientation for one in frames)
    return _placed(frames) if placed else _unplaced(frames)


def _unplaced(frames: Sequence[Frame]) -> Layout:
    """By instance number and the stated step, on axes that nobody knows."""
    ordered = sorted(frames, key=lambda one: (one.header.instance, one.index, one.header.path.name))
    rows, columns, notes = _pixel_spacing(frames)
    step = ordered[0].plane.step_mm
    if step is None and len(ordered) > 1:
        notes.append("the distance between slices is unknown: 1 mm was assumed, do not trust ml")
    if ordered[0].header.modality not in FLAT:
        notes.append("positions are missing: sorted by instance number, orientation unknown")
    shape = (len(ordered), ordered[0].header.rows, ordered[0].header.columns)
    geometry = Geometry.from_spacing(shape, (step or 1.0, rows, columns))
    return Layout((tuple(ordered),), geometry, None, tuple(notes))


def _placed(frames: Sequence[Frame]) -> Layout:
    row, column, normal = _axes(frames[0])
    places, notes = _by_place(frames, normal)
    places, near = _apart(places, normal)
    positions = np.array([place[0].plane.position for place in places], np.float64)
    row_mm, column_mm, more = _pixel_spacing(frames)
    step, at, uneven = _step(places, positions, normal, min(row_mm, column_mm))
    n_slices = len(places) if at is None else len(at)
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([row * column_mm, column * row_mm, step])
    affine[:3, 3] = positions[0]
    geometry = Geometry((n_slices, frames[0].header.rows, frames[0].header.columns), affine)
    channels = tuple(zip(*places, strict=True))
    return Layout(channels, geometry, at, (*notes, *near, *more, *uneven))


def _axes(frame: Frame) -> tuple[Vectors, Vectors, Vectors]:
    """Unit vectors along a row, along a column, and their normal; LPS."""
    cosines = np.array(frame.plane.orientation, np.float64)
    row, column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1, atol=0.01) or abs(row @ column) > 0.01:
        raise ReadError("must have perpendicular image axes, got others", frame.header.path.name)
    row = row / lengths[0]
    column = column - (column @ row) * row
    column /= np.linalg.norm(column)
    return row, column, np.cross(row, column)


def _pixel_spacing(frames: Sequence[Frame]) -> tuple[float, float, list[str]]:
    """Millimetres from row to row and from column to column."""
    known = frames[0].plane.spacing_yx
    if known is None:
        return 1.0, 1.0, ["the pixel size is unknown: 1 mm was assumed, do not trust mm and ml"]
    for one in frames:
        if one.plane.spacing_yx is None or not np.allclose(one.plane.spacing_yx, known, rtol=1e-3):
            raise ReadError("must share one pixel size, got another here", one.header.path.name)
    return known[0], known[1], []


def _by_place(
    frames: Sequence[Frame], normal: Vectors
) -> tuple[list[tuple[Frame, ...]], list[str]]:
    """The frames at each place, along the normal: one each, or as many as there are channels."""

    def place(one: Frame) -> int:
        return round(_along(one, normal) / SAME_PLACE_MM)

    ordered = sorted(frames, key=lambda one: (place(one), one.header.instance, one.index))
    places = [tuple(group) for _, group in groupby(ordered, key=place)]
    counts = {len(group) for group in places}
    if counts == {1}:
        return places, []
    if len(counts) == 1:
        n = counts.pop()
        if len(places) == 1:
            return places, [f"its {n} pictures of one place are shown as channels"]
        return places, [f"4-D: its {n} volumes are shown as channels (times or echoes?)"]
    doubles = [one for group in places for one in group[1:]]
    return [group[:1] for group in places], _taken(doubles)


def _along(one: Frame, normal: Vectors) -> float:
    return float(np.dot(np.asarray(one.plane.position, np.float64), normal))


def _apart(
    places: list[tuple[Frame, ...]], normal: Vectors
) -> tuple[list[tuple[Frame, ...]], list[str]]:
    """The places without those that nearly repeat the one before them."""
    along = np.array([_along(place[0], normal) for place in places])
    nearest = NEAR * float(np.median(np.diff(along))) if len(places) > 1 else 0.0
    kept, doubles, last = [], list[Frame](), -np.inf
    for place, height in zip(places, along, strict=True):
        if height - last < nearest:
            doubles.extend(place)
            continue
        kept.append(place)
        last = height
    return kept, _taken(doubles)


def _taken(doubles: Sequence[Frame]) -> list[str]:
    """A note on the slices that were left out, if there are any."""
    if not doubles:
        return []
    named = ", ".join(one.header.path.name for one in doubles[:3])
    more = " …" if len(doubles) > 3 else ""
    n = counted(len(doubles), "slice")
    return [f"{n} at a position already taken, left out: {named}{more}"]


def _step(
    places: list[tuple[Frame, ...]], positions: Vectors, normal: Vectors, pixel_mm: float
) -> tuple[Vectors, Vectors | None, list[str]]:
    """The step vector from slice to slice, where to interpolate if need be, and notes."""
    first = places[0][0]
    if len(positions) == 1:
        return normal * (first.plane.step_mm or 1.0), None, []
    whole = positions[-1] - positions[0]
    along = (positions - positions[0]) @ normal
    bent = positions - positions[0] - np.outer(along / along[-1], whole)
    if np.linalg.norm(bent, axis=1).max() > pixel_mm / 2:
        raise ReadError(
            "slices must lie in one straight stack, got some shifted sideways",
            first.header.path.parent.name,
        )
    if _regular(positions, first):
        return whole / (len(positions) - 1), None, _tilt(whole, normal)
    at, notes = _even(along, first)
    n_steps = (len(positions) if at is None else len(at)) - 1
    return whole / n_steps, at, [*_tilt(whole, normal), *notes]


def _regular(positions: Vectors, first: Frame) -> bool:
    from highdicom.spatial import get_volume_positions  # 0.6 s to import: only when it is needed

    spacing, _ = get_volume_positions(positions, first.plane.orientation, rtol=UNEVEN)
    return spacing is not None


def _tilt(whole: Vectors, normal: Vectors) -> list[str]:
    cosine = float(np.clip(abs(whole @ normal) / np.linalg.norm(whole), 0, 1))
    degrees = float(np.degrees(np.arccos(cosine)))
    if degrees < TILT_DEGREES:
        return []
    return [f"the gantry was tilted by {degrees:.1f}°: the grid is sheared, positions are exact"]


def _even(along: Vectors, first: Frame) -> tuple[Vectors | None, list[str]]:
    """Places on an even stack: between the stored slices where some are missing or uneven."""
    gaps, stated = np.diff(along), first.plane.step_mm
    if gaps.max() - gaps.min() <= UNEVEN * gaps.mean():
        return None, []
    for step in [stated, float(gaps.min())] if stated else [float(gaps.min())]:
        multiples = np.rint(gaps / step)
        usual = np.sort(multiples)[(len(multiples) - 1) // 2]  # the lower median
        whole = np.abs(gaps / step - multiples).max() <= MULTIPLE
        if whole and usual == 1 and multiples.min() >= 1 and multiples.max() <= MOST_STEPS:
            n_slices = int(multiples.sum()) + 1
            return _between(along, n_slices), [_missing(gaps, multiples, along)]
    n_slices = round(float(along[-1] / np.median(gaps))) + 1
    if n_slices > MOST_SLICES:
        raise ReadError(
            f"slices must lie near each other, got gaps of {gaps.min():.3g} to {gaps.max():.3g} mm",
            first.header.path.parent.name,
        )
    text = (
        f"slices are unevenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm): interpolated "
        f"to {along[-1] / (n_slices - 1):.2f} mm"
    )
    return _between(along, n_slices), [text]


def _between(along: Vectors, n_slices: int) -> Vectors:
    """Fractional indices of an even stack's slices among the stored ones."""
    even = np.linspace(along[0], along[-1], n_slices)
    at = np.interp(even, along, np.arange(len(along)))
    near = np.rint(at)
    return np.where(np.abs(at - near) < MULTIPLE, near, at)


def _missing(gaps: Vectors, multiples: Vectors, along: Vectors) -> str:
    holes = [i for i, steps in enumerate(multiples) if steps > 1]
    n = int(sum(multiples[i] - 1 for i in holes))
    where = ", ".join(
        f"after slice {i + 1} ({gaps[i]:.4g} mm at {along[i]:.4g} mm)" for i in holes[:3]
    )
    more = " …" if len(holes) > 3 else ""
    return f"{counted(n, 'slice')} missing {where}{more}: interpolated there"


def counted(n: int, thing: str) -> str:
    """ "1 slice", "2 slices"."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
