"""All that is kept of a case, and the small records that change it.

A `State` is the whole; a `Correction`, `Marked`, `Vouched` or `Named` is a step. `encode` and
`apply` take a step to bytes and play it back. A step holds values, not differences: it says "these
voxels are now 2, and the model had given 1", so that playing it twice does no harm. What they were
before follows behind, in a stream of its own: only who takes the step back reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from isal import igzip, isal_zlib

from napari_medseg.correction.bits import Bits
from napari_medseg.correction.disk import DISK, Disk
from napari_medseg.correction.record import NO_DEED, Box, Correction, Deed, Labels
from napari_medseg.correction.tracker import NO_MARKS, Marks, Tracker
from napari_medseg.correction.whole import whole
from napari_medseg.volume import Label

SCHEMA = 2  # 1 had no voxels that are vouched for one by one
LONGEST_HEADER = 1 << 20  # bytes
DAMAGE: tuple[type[BaseException], ...] = (  # what reading changed bytes can end in
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    MemoryError,
    cast(type[Exception], isal_zlib.error),
)


@dataclass(frozen=True, eq=False)
class State:
    """A case as of one moment.

    Attributes
    ----------
    labels, baseline
        Shape (Z, Y, X), uint8 or uint16, as in `Tracker`.
    marks
        Confirmed slices along Z, Y and X.
    names
        The structures.
    subject
        Hash that cases of one person share.
    family
        Which model the labels belong to: the version of its oldest ancestor.
    vouched
        Voxels that a person vouches for, as in `Tracker`; None for none.
    """

    labels: Labels
    baseline: Labels
    marks: Marks = NO_MARKS
    names: tuple[Label, ...] = ()
    subject: str = ""
    family: str = ""
    vouched: Bits | None = None

    def tracker(self) -> Tracker:
        """A tracker that goes on from here, with arrays of its own."""
        vouched = None if self.vouched is None else self.vouched.copy()
        return Tracker(self.labels.copy(), self.baseline.copy(), self.marks, vouched)


@dataclass(frozen=True, eq=False)
class Marked:
    """A slice was confirmed, with the labels that a person saw there; or it is not any more."""

    axis: int
    index: int
    on: bool
    labels: Labels
    baseline: Labels


@dataclass(frozen=True, eq=False)
class Vouched:
    """Some voxels were vouched for, with the labels that a person saw there; or are not any more.

    `where` is bool, shape of the box; `labels` and `baseline` hold its N voxels.
    """

    box: Box
    where: npt.NDArray[np.bool_]
    on: bool
    labels: Labels
    baseline: Labels

    @property
    def n_bytes(self) -> int:
        """Bytes that it takes in memory."""
        return self.where.nbytes + self.labels.nbytes + self.baseline.nbytes


@dataclass(frozen=True)
class Named:
    """The list of structures changed; by a person from one structure `before` to one `after`."""

    names: tuple[Label, ...]
    before: Label | None = None
    after: Label | None = None


@dataclass(frozen=True)
class Sign:
    """Something happened that changes nothing of the case: MOVED or CLOSED."""

    kind: str


MOVED = "moved"  # the history stepped, and no voxel changed
CLOSED = "closed"  # the window let go of the case as it should
Step: TypeAlias = Correction | Marked | Vouched | Named | Sign
Header: TypeAlias = Mapping[str, Any]


class DamagedError(Exception):
    """Bytes of the store are not what was written."""


def encode(step: Step, deed: Deed = NO_DEED) -> tuple[str, Header, bytes]:
    """Kind, header for JSON and payload of a step."""
    kind, header, payload = _encoded(step)
    return kind, {**header, **asdict(deed)}, payload


def deed_of(header: Header) -> Deed:
    """What a person did; of a record without it, no deed."""
    return Deed(
        str(header.get("name", "")), float(header.get("when", 0.0)), str(header.get("move", ""))
    )


def _encoded(step: Step) -> tuple[str, Header, bytes]:
    if isinstance(step, Sign):
        return step.kind, {}, b""
    if isinstance(step, Named):
        one = {"before": step.before, "after": step.after}
        plain = {key: None if label is None else asdict(label) for key, label in one.items()}
        return "named", {"names": _plain(step.names), **plain}, b""
    if isinstance(step, Marked):
        header = {"axis": step.axis, "index": step.index, "on": step.on, "type": _type(step.labels)}
        return "marked", header, _pack(step.labels, step.baseline)
    if isinstance(step, Vouched):
        header = {"box": _ends(step.box), "on": step.on, "type": _type(step.labels)}
        return "vouched", header, _pack(np.packbits(step.where), step.labels, step.baseline)
    changed = step.changed
    payload = _pack(np.packbits(changed), step.new[changed], step.baseline[changed])
    voxels = int(np.count_nonzero(changed))
    header = {"box": _ends(step.box), "type": _type(step.new), "voxels": voxels}
    return "painted", header, payload + _pack(step.old[changed])


def apply(state: State, kind: str, header: Header, payload: bytes) -> State:
    """The state after a step; its arrays are written in place.

    Raises
    ------
    DamagedError
        The step does not fit the state.
    """
    try:
        if kind == "named":
            return replace(state, names=_names(header["names"]))
        if kind == "marked":
            return _apply_mark(state, header, payload)
        if kind == "vouched":
            return _apply_vouch(state, header, payload)
        if kind == "painted":
            _apply_paint(state, header, payload)
        return state
    except DAMAGE as error:
        raise DamagedError(f"a {kind} record does not fit: {error}") from error


def _apply_mark(state: State, header: Header, payload: bytes) -> State:
    axis, index = int(header["axis"]), int(header["index"])
    marks = list(state.marks)
    if header["on"]:
        marks[axis] |= {index}
        labels, baseline = np.split(_unpack(payload, header["type"]), 2)
        for array, values in ((state.labels, labels), (state.baseline, baseline)):
            plane = np.moveaxis(array, axis, 0)[index]
            plane[...] = values.reshape(plane.shape)
    else:
        marks[axis] -= {index}
    return replace(state, marks=(marks[0], marks[1], marks[2]))


def _apply_paint(state: State, header: Header, payload: bytes) -> None:
    paint = painted(header, payload)
    changed = paint.changed
    state.labels[paint.box][changed] = paint.new
    state.baseline[paint.box][changed] = paint.baseline


def _apply_vouch(state: State, header: Header, payload: bytes) -> State:
    step = vouched(header, payload)
    bits = Bits(state.labels.shape) if state.vouched is None else state.vouched
    bits.put(step.box, step.where, step.on)
    if step.on:
        state.labels[step.box][step.where] = step.labels
        state.baseline[step.box][step.where] = step.baseline
    return replace(state, vouched=bits)


def vouched(header: Header, payload: bytes) -> Vouched:
    """What the record of voxels that are vouched for says."""
    box = box_of(header["box"])
    raw = isal_zlib.decompress(payload)
    shape = tuple(part.stop - part.start for part in box)
    size = (int(np.prod(shape)) + 7) // 8
    labels, baseline = np.split(_values(raw[size:], header["type"]), 2)
    bits = np.unpackbits(np.frombuffer(raw[:size], np.uint8), count=int(np.prod(shape)))
    return Vouched(box, bits.astype(bool).reshape(shape), bool(header["on"]), labels, baseline)


@dataclass(frozen=True, eq=False)
class Painted:
    """A recorded correction: `bits` says which voxels of the box, the others hold their values.

    `old` is empty in a record of an earlier version.
    """

    box: Box
    bits: npt.NDArray[np.uint8]
    new: Labels
    baseline: Labels
    old: Labels

    @property
    def changed(self) -> npt.NDArray[np.bool_]:
        """bool, shape of the box."""
        shape = tuple(part.stop - part.start for part in self.box)
        return np.unpackbits(self.bits, count=int(np.prod(shape))).astype(bool).reshape(shape)


def painted(header: Header, payload: bytes) -> Painted:
    """What the record of a correction says."""
    box = box_of(header["box"])
    first = isal_zlib.decompressobj()
    raw = first.decompress(payload)
    size = (int(np.prod([part.stop - part.start for part in box])) + 7) // 8
    new, baseline = np.split(_values(raw[size:], header["type"]), 2)
    rest = isal_zlib.decompress(first.unused_data) if first.unused_data else b""
    bits = np.frombuffer(raw[:size], np.uint8)
    return Painted(box, bits, new, baseline, _values(rest, header["type"]))


def _values(raw: bytes, kind: str) -> npt.NDArray[Any]:
    return np.frombuffer(raw, kind)


def save(state: State, path: Path, disk: Disk = DISK) -> None:
    """Write a state to a file of its own, completely or not at all."""
    bits = None if state.vouched is None else state.vouched.packed
    arrays = [state.labels, state.baseline, *([] if bits is None else [bits])]
    header = {
        "schema": SCHEMA,
        "vouched": bits is not None,
        "marks": [sorted(marks) for marks in state.marks],
        "names": _plain(state.names),
        "subject": state.subject,
        "family": state.family,
    }
    with (
        whole(path, disk) as file,
        igzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed,
    ):
        packed.write(json.dumps(header).encode() + b"\n")
        for array in arrays:
            np.lib.format.write_array(packed, np.ascontiguousarray(array), allow_pickle=False)


def load(path: Path) -> State:
    """Read what `save` wrote; the file's own CRC guards every byte.

    Raises
    ------
    DamagedError
        The file is truncated or changed.
    """
    try:
        with igzip.open(path, "rb") as file:
            header = json.loads(file.readline(LONGEST_HEADER))
            labels, baseline = read_array(file), read_array(file)
            bits = Bits(labels.shape, read_array(file)) if header.get("vouched") else None
            if file.read(1):
                raise DamagedError(f"{path.name} goes on after its end")
        z, y, x = (frozenset(int(i) for i in marks) for marks in header["marks"])
        names = _names(header["names"])
        return State(labels, baseline, (z, y, x), names, header["subject"], header["family"], bits)
    except DAMAGE as error:
        raise DamagedError(f"{path.name} is damaged: {error}") from error


def read_array(file: IO[bytes]) -> npt.NDArray[Any]:
    """The next array of a stream; never code."""
    array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _pack(*arrays: npt.NDArray[Any]) -> bytes:
    packed: bytes = isal_zlib.compress(b"".join(array.tobytes() for array in arrays), 1)
    return packed


def _unpack(payload: bytes, kind: str) -> npt.NDArray[Any]:
    return np.frombuffer(isal_zlib.decompress(payload), kind)


def _type(array: npt.NDArray[Any]) -> str:
    return array.dtype.newbyteorder("<").str


def _ends(box: Box) -> list[list[int]]:
    return [[part.start, part.stop] for part in box]


def box_of(ends: list[list[int]]) -> Box:
    """Slices of their starts and stops."""
    z, y, x = (slice(int(start), int(stop)) for start, stop in ends)
    return z, y, x


def label_of(plain: Mapping[str, Any] | None) -> Label | None:
    """A structure of a record."""
    return None if plain is None else _names([dict(plain)])[0]


def _plain(names: tuple[Label, ...]) -> list[dict[str, Any]]:
    return [asdict(label) for label in names]


def _names(plain: list[dict[str, Any]]) -> tuple[Label, ...]:
    return tuple(Label(int(n["value"]), str(n["name"]), str(n["color"])) for n in plain)
