"""How a view looks at the patient: which way it faces, and where a place lies on its canvas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari.components import ViewerModel

Place = npt.NDArray[np.float64]  # (3,) mm along z, y, x of napari's world

AXES = ("Axial", "Coronal", "Sagittal")  # by the axis that is sliced: z, y, x
ENDS = (("I", "S"), ("A", "P"), ("R", "L"))  # where z, y and x begin and end


@dataclass(frozen=True)
class Look:
    """A 2-D view on canonical axes (z to Superior, y to Posterior, x to Left).

    Attributes
    ----------
    order
        The axis that is sliced, the one along rows (down the screen), the one along columns.
    up, left
        Whether rows grow upwards, and columns to the left.
    center
        Millimetres along the row and the column axis in the middle of the canvas.
    zoom
        Pixels per millimetre.
    size
        Width and height of the canvas in pixels.
    depth
        Millimetres along the sliced axis.
    """

    order: tuple[int, int, int]
    up: bool
    left: bool
    center: tuple[float, float]
    zoom: float
    size: tuple[int, int]
    depth: float

    def place(self, x: float, y: float) -> Place:
        """Where in the patient a pixel of the canvas lies."""
        right, down = (x - self.size[0] / 2) / self.zoom, (y - self.size[1] / 2) / self.zoom
        at = np.empty(3)
        at[self.order[0]] = self.depth
        at[self.order[1]] = self.center[0] + (-down if self.up else down)
        at[self.order[2]] = self.center[1] + (-right if self.left else right)
        return at

    def pixel(self, at: Place) -> tuple[float, float]:
        """Where on the canvas a place of the patient lies, x and y in pixels."""
        down = (at[self.order[1]] - self.center[0]) * self.zoom
        right = (at[self.order[2]] - self.center[1]) * self.zoom
        return (
            self.size[0] / 2 + float(-right if self.left else right),
            self.size[1] / 2 + float(-down if self.up else down),
        )

    def letters(self) -> tuple[str, str, str, str]:
        """Sides of the patient at the top, right, bottom and left edge."""
        low, high = ENDS[self.order[1]]
        begin, end = ENDS[self.order[2]]
        top, bottom = (high, low) if self.up else (low, high)
        left, right = (end, begin) if self.left else (begin, end)
        return top, right, bottom, left


def look_of(viewer: ViewerModel, size: tuple[int, int]) -> Look | None:
    """How a viewer looks now; None in 3-D, or where it does not show two axes of a volume."""
    dims, camera = viewer.dims, viewer.scene.camera
    lead = dims.ndim - 3
    order = tuple(int(axis) - lead for axis in dims.order[-3:])
    if dims.ndisplay != 2 or lead < 0 or min(order) < 0:
        return None
    vertical, horizontal = camera.orientation2d
    return Look(
        order,
        str(vertical) == "up",
        str(horizontal) == "left",
        (float(camera.center[-2]), float(camera.center[-1])),
        float(camera.zoom),
        size,
        float(dims.point[order[0] + lead]),
    )


def upright(viewer: ViewerModel) -> None:
    """Let a view that shows z along its rows have Superior at the top, and 3-D be no mirror.

    Since 0.6 napari's third axis grows towards the eye: a patient, whose axes are right-handed as
    x, y, z, would have the liver on the left side.
    """
    order = [axis - (viewer.dims.ndim - 3) for axis in viewer.dims.order[-3:]]
    flat = viewer.dims.ndisplay == 2
    even = (order[1] - order[0]) % 3 == 1
    wanted = (
        "away" if even else "towards",
        "up" if flat and order[1] == 0 else "down",
        "right",
    )
    if tuple(str(one) for one in viewer.scene.camera.orientation) != wanted:
        viewer.scene.camera.orientation = wanted


def words(place_mm: Place) -> str:
    """The sides and millimetres of a place given as LPS x, y, z: "L 34.2  A 12.0  S 105.5 mm"."""
    x, y, z = place_mm
    sides = (("R", "L", x), ("A", "P", y), ("I", "S", z))
    return "  ".join(f"{low if mm < 0 else high} {abs(mm):.1f}" for low, high, mm in sides) + " mm"
