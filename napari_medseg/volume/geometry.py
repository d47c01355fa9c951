"""Where voxels lie in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import GridError

Affine = npt.NDArray[np.float64]

RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
TOLERANCE_MM = 1e-3  # two grids are one when no corner moves more: float32 headers round at 1e-5
SHEAR_TOLERANCE = 1e-3  # cosine between two axes that are still called perpendicular


@dataclass(frozen=True, eq=False)
class Geometry:
    """A grid of voxels in the patient's space.

    Attributes
    ----------
    shape
        Voxels along (Z, Y, X), the order of the array's axes; Z is the slowest in memory.
    affine
        (4, 4) float64, voxel index (x, y, z, 1) to LPS millimetres (x to the patient's Left,
        y to Posterior, z to Superior). Note the order: columns go x, y, z as in ITK and NIfTI,
        the array's axes go z, y, x.
    """

    shape: tuple[int, int, int]
    affine: Affine = field(repr=False)

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GridError(f"an affine must be 4 x 4 finite numbers, got {affine.tolist()}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise GridError("an affine must span three directions, got a flat one")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def from_spacing(
        cls,
        shape: tuple[int, int, int],
        spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> Geometry:
        """An axis-aligned grid at the origin; `shape` and `spacing_mm` go (Z, Y, X)."""
        return cls(shape, np.diag([*reversed(spacing_mm), 1.0]))

    @classmethod
    def from_ras(cls, shape: tuple[int, int, int], affine_ras: npt.ArrayLike) -> Geometry:
        """From NIfTI's convention: voxel (x, y, z) to RAS millimetres."""
        return cls(shape, RAS_FROM_LPS @ np.asarray(affine_ras, dtype=np.float64))

    @property
    def affine_ras(self) -> Affine:
        """(4, 4) voxel (x, y, z) to RAS millimetres, NIfTI's convention."""
        return np.asarray(RAS_FROM_LPS @ self.affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Length of one voxel step along (Z, Y, X)."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel; right for sheared grids too."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def axcodes(self) -> str:
        """Where the axes x, y, z point to, e.g. "RAS" (nibabel's letters)."""
        import nibabel.orientations as orientations

        return "".join(str(letter) for letter in orientations.aff2axcodes(self.affine_ras))

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not perpendicular (registration, gantry tilt)."""
        unit = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return bool(np.abs(unit.T @ unit - np.eye(3)).max() > SHEAR_TOLERANCE)

    def world(self, points_zyx: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """LPS millimetres (N, 3) as x, y, z of voxel indices (N, 3) as z, y, x."""
        points = np.atleast_2d(np.asarray(points_zyx, dtype=np.float64))[:, ::-1]
        return np.asarray(points @ self.affine[:3, :3].T + self.affine[:3, 3])

    def index(self, points_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Voxel indices (N, 3) as z, y, x, fractional, of LPS millimetres (N, 3) as x, y, z."""
        points = np.atleast_2d(np.asarray(points_mm, dtype=np.float64)) - self.affine[:3, 3]
        return np.asarray(np.linalg.solve(self.affine[:3, :3], points.T).T[:, ::-1])

    def corners_mm(self) -> npt.NDArray[np.float64]:
        """LPS millimetres (8, 3) of the centres of the corner voxels."""
        ends = [(0, max(n - 1, 1)) for n in self.shape]
        return self.world([(z, y, x) for z in ends[0] for y in ends[1] for x in ends[2]])

    def same_grid(self, other: Geometry, tolerance_mm: float = TOLERANCE_MM) -> bool:
        """Whether shape is equal and no corner lies further than the tolerance."""
        if self.shape != other.shape:
            return False
        return bool(np.abs(self.corners_mm() - other.corners_mm()).max() <= tolerance_mm)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Geometry) and self.same_grid(other)

    __hash__ = None  # type: ignore[assignment]  # equal within a tolerance: no hash can agree

    def __str__(self) -> str:
        spacing = ", ".join(f"{mm:.4g}" for mm in self.spacing_mm)
        return f"{self.shape} voxels of ({spacing}) mm {self.axcodes}"
