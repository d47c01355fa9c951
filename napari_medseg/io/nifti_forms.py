"""Where a NIfTI says its voxels are: sform, qform, or neither.

The rules: the sform wins over the qform (as in nibabel; ITK may choose the other one), both are
kept so that a mask is written with the very same ones, and what is broken or contradictory is
said, never silently replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import ReadError
from napari_medseg.volume.geometry import Affine, Geometry

UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units & 7: unknown, metre, mm, micron
DISAGREEMENT = 0.2  # of a voxel: quaternions near 180 degrees are only good to 0.1 mm
SPACING_TOLERANCE = 0.01


@dataclass(frozen=True)
class Forms:
    """The header fields that place the voxels, in the file's own unit.

    `srow` are the 12 numbers of the sform, `quatern` b, c, d, `pixdim` qfac and three steps;
    `ndim` is 2 for a flat picture; `version` is NIfTI's, 1 or 2; `step` is the one along a fourth
    axis, of time in most files.
    """

    sform_code: int
    qform_code: int
    srow: tuple[float, ...]
    quatern: tuple[float, ...]
    qoffset: tuple[float, ...]
    pixdim: tuple[float, ...]
    units: int
    ndim: int
    version: int
    step: float = 0.0

    @classmethod
    def of(cls, header: Any, ndim: int, version: int) -> Forms:
        """From a nibabel header."""
        rows = [header[f"srow_{axis}"] for axis in "xyz"]
        return cls(
            sform_code=int(header["sform_code"]),
            qform_code=int(header["qform_code"]),
            srow=tuple(float(value) for row in rows for value in row),
            quatern=tuple(float(header[f"quatern_{axis}"]) for axis in "bcd"),
            qoffset=tuple(float(header[f"qoffset_{axis}"]) for axis in "xyz"),
            pixdim=tuple(float(value) for value in header["pixdim"][:4]),
            units=int(header["xyzt_units"]),
            ndim=ndim,
            version=version,
            step=float(header["pixdim"][4]),
        )

    @classmethod
    def kept(cls, header: Mapping[str, Any]) -> Forms | None:
        """What `keep` put into a volume's header; None for other formats."""
        return cls(**header["forms"]) if header.get("format") == "nifti" else None

    def keep(self) -> dict[str, Any]:
        """As plain values, for `Volume.header`."""
        return {"format": "nifti", "forms": asdict(self)}

    @property
    def unit_mm(self) -> float:
        return UNIT_MM.get(self.units & 7, 1.0)

    def geometry(self, shape: tuple[int, int, int]) -> tuple[Geometry, list[str]]:
        """The grid of `shape` (Z, Y, X) in mm, and what the user should know about it.

        Raises
        ------
        ReadError
            The forms that the header declares are unusable.
        """
        sform, qform, notes = self._sform(), self._qform(), []
        if self.sform_code > 0 and sform is None:
            notes.append("the sform is not a usable matrix and was ignored")
        if self.qform_code > 0 and qform is None and sform is None:
            raise ReadError("must have a usable sform or qform, got broken ones; repair its header")
        if sform is None and qform is None:
            affine, unknown = self._neither(shape)
            notes += unknown
        else:
            affine = sform if sform is not None else cast(Affine, qform)
            notes += self._contradictions(sform, qform, shape)
        return Geometry.from_ras(shape, _in_mm(affine, self.unit_mm)), notes

    def _sform(self) -> Affine | None:
        if self.sform_code <= 0:
            return None
        affine = np.vstack([np.reshape(self.srow, (3, 4)), [0, 0, 0, 1]]).astype(np.float64)
        if self.ndim == 2 and not affine[:3, 2].any():  # a picture need not say how thick it is
            affine[:3, 2] = np.cross(affine[:3, 0], affine[:3, 1])
            affine[:3, 2] /= np.linalg.norm(affine[:3, 2]) or 1.0
        return affine if usable(affine) else None

    def _qform(self) -> Affine | None:
        steps = np.array(self.pixdim[1:4])
        if self.ndim == 2 and steps[2] == 0:
            steps[2] = 1.0
        if self.qform_code <= 0 or not (np.isfinite(steps) & (steps > 0)).all():
            return None
        rotation = _rotation(*self.quatern)
        if rotation is None:
            return None
        steps[2] *= -1.0 if self.pixdim[0] < 0 else 1.0  # qfac: a left-handed grid
        affine = np.eye(4)
        affine[:3, :3] = rotation * steps
        affine[:3, 3] = self.qoffset
        return affine if usable(affine) else None

    def _neither(self, shape: tuple[int, int, int]) -> tuple[Affine, list[str]]:
        """Centred, x to the Left, as nibabel and SPM assume; unknown steps become 1 mm."""
        steps = np.array(self.pixdim[1:4])
        known = np.isfinite(steps) & (steps > 0)
        notes = ["the orientation is unknown (no sform, no qform): left and right may be swapped"]
        if not known[: self.ndim].all():
            notes.append("the voxel size is unknown: 1 mm was assumed, do not trust mm and ml")
        steps = np.where(known, steps, 1.0 / self.unit_mm) * [-1.0, 1.0, 1.0]
        affine = np.diag([*steps, 1.0])
        affine[:3, 3] = -steps * (np.array(shape[::-1]) - 1) / 2
        return affine, notes

    def _contradictions(
        self, sform: Affine | None, qform: Affine | None, shape: tuple[int, int, int]
    ) -> list[str]:
        """One sentence where the header says two different things."""
        if sform is None:
            return []
        steps = np.linalg.norm(sform[:3, :3], axis=0)
        if qform is not None:
            ours, theirs = Geometry.from_ras(shape, sform), Geometry.from_ras(shape, qform)
            if not ours.same_grid(theirs, DISAGREEMENT * float(steps.min())):
                off = np.abs(ours.corners_mm() - theirs.corners_mm()).max() * self.unit_mm
                return [f"sform and qform disagree by up to {off:.3g} mm; the sform was used"]
            return []
        declared = np.array(self.pixdim[1 : self.ndim + 1])
        wrong = ~(np.abs(declared - steps[: self.ndim]) <= SPACING_TOLERANCE * steps[: self.ndim])
        if wrong.any():
            return ["voxel sizes and sform disagree; the sform was used"]
        return []


def usable(affine: Affine) -> bool:
    """Whether the matrix places voxels at all."""
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 1e-12)


def _in_mm(affine: Affine, unit_mm: float) -> Affine:
    return np.asarray(np.diag([unit_mm, unit_mm, unit_mm, 1.0]) @ affine)


def _rotation(b: float, c: float, d: float) -> npt.NDArray[np.float64] | None:
    """(3, 3) of a NIfTI quaternion; None where it is longer than one or not a number."""
    rest = 1.0 - (b * b + c * c + d * d)
    if not np.isfinite(rest) or rest < -1e-5:
        return None
    a = float(np.sqrt(max(rest, 0.0)))
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
