"""A virtual person who knows the truth and corrects a mask with the real brush."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.brush import footprint
from napari_medseg.correction.edit import Rules, Scene
from napari_medseg.correction.history import Confirming, History, Stroke
from napari_medseg.correction.paint import Paint
from napari_medseg.correction.record import Deed, Example, Source
from napari_medseg.correction.tracker import Tracker
from napari_medseg.errors import GridError
from napari_medseg.evaluation.overlap import dice_by_label
from napari_medseg.training.aiming import Error, Flat, Way, errors_of, shaken, way_over
from napari_medseg.training.config import check_bounds
from napari_medseg.volume import Mask, Volume

AXIAL = 0
BRUSH, ERASER, CONFIRM = "brush", "eraser", "confirm slice"


@dataclass(frozen=True)
class SimulatedPerson:
    """How the virtual person works.

    Attributes
    ----------
    budget
        Strokes that a case gets at most; one that is taken back counts too.
    brush_mm
        Diameter of the brush.
    ball
        Whether it is a ball that reaches into the slices beside; else a disc in the slice.
    shrinks
        Whether a brush that does not fit is halved, down to a voxel, as with the wheel.
    noise_mm
        Standard deviation of where the hand is, along each axis of the slice.
    longest_mm
        A drag is no longer.
    overlooks
        A slice in which at most this share of the structures' voxels is wrong looks right.
    finishes
        Whether a slice is finished before the next; else each stroke goes to the worst slice.
    confirms
        Whether the slices that were painted in, and look right now, are confirmed at the end.
    stroke_s, pause_s, confirm_s
        Seconds of a stroke, of the look around before each, and of confirming a slice.
    """

    budget: Annotated[int, {"min": 1, "max": 10_000}] = 10
    brush_mm: Annotated[float, {"min": 0.1, "max": 100.0}] = 6.0
    ball: bool = False
    shrinks: bool = True
    noise_mm: Annotated[float, {"min": 0.0, "max": 20.0}] = 0.3
    longest_mm: Annotated[float, {"min": 0.0, "max": 10_000.0}] = 60.0
    overlooks: Annotated[float, {"min": 0.0, "max": 1.0}] = 0.05
    finishes: bool = False
    confirms: bool = True
    stroke_s: Annotated[float, {"min": 0.0, "max": 600.0}] = 2.0
    pause_s: Annotated[float, {"min": 0.0, "max": 600.0}] = 3.0
    confirm_s: Annotated[float, {"min": 0.0, "max": 600.0}] = 1.0
    seed: Annotated[int, {"min": 0, "max": 2**31 - 1}] = 0

    def __post_init__(self) -> None:
        check_bounds(self)


class Annotator:
    """One case in the virtual person's hands.

    Parameters
    ----------
    volume, mask, truth
        The scan, what the model gave and what is right, on one grid, Z axial; none is changed.
    values
        What the person cares for; where the truth is neither of these nor 0 nothing is wrong.

    Attributes
    ----------
    tracker, history
        As behind the window's brush.
    strokes
        How many were made so far.
    seconds
        Of the simulated clock.
    """

    def __init__(
        self,
        volume: Volume,
        mask: Mask,
        truth: Mask,
        values: Sequence[int],
        person: SimulatedPerson,
    ) -> None:
        for one in (mask, truth):
            if not one.geometry.same_grid(volume.geometry):
                raise GridError(
                    f"a mask must lie on its scan's grid, got {one.geometry}; resample one first",
                    volume.name,
                )
        self.volume, self.mask, self.person = volume, mask, person
        self.values = tuple(values)
        self.tracker = Tracker(mask.labels.copy())
        self.history = History()
        self.strokes, self.seconds = 0, 0.0
        self._truth = truth.labels
        self._cared = np.isin(truth.labels, [0, *values])
        self._wrong = self._wrong_in(slice(0, len(truth.labels)))
        self._touched: list[int] = []
        self._random = np.random.default_rng(person.seed)

    @property
    def wrong(self) -> int:
        """Voxels that are wrong now."""
        return int(self._wrong.sum())

    @property
    def dice(self) -> float:
        """Mean over the labels that occur, of the mask as it is now; 1 if none does."""
        scores = dice_by_label(self.tracker.labels, self._known_truth(), self.values).values()
        known = [score for score in scores if score == score]
        return float(np.mean(known)) if known else 1.0

    def correct(self) -> None:
        """Spend the budget on the worst errors, then confirm what is right."""
        while self.strokes < self.person.budget and self.stroke():
            pass
        if self.person.confirms:
            self.confirm()

    def stroke(self) -> bool:
        """One stroke over the worst error; False if the person sees none that the brush can reach.

        A slip that left more wrong than right is taken back.
        """
        for z in self._worst():
            if (planned := self._plan(z)) is not None:
                self._draw(z, *planned)
                return True
        return False

    def confirm(self) -> None:
        """Say of each slice that was painted in and looks right that it is."""
        for z in self._touched:
            if self._looks_right(z) and z not in self.tracker.marks[AXIAL]:
                self.tracker.confirm(AXIAL, z)
                self.history.put(Confirming(CONFIRM, self.seconds, AXIAL, z, True))
                self.seconds += self.person.confirm_s

    def example(self, subject: str = "") -> Example:
        """What the case teaches now: voxels that were painted, and confirmed slices."""
        mask = Mask(self.tracker.labels.copy(), self.mask.geometry, self.mask.names)
        return Example(self.volume, mask, self.tracker.source != Source.MODEL, subject)

    # -- where it goes ------------------------------------------------------------------------

    def _worst(self) -> Iterator[int]:
        """Slices that look wrong, the worst first."""
        order = [int(z) for z in np.argsort(-self._wrong, kind="stable")]
        if self.person.finishes and self._touched:
            order.sort(key=lambda z: z != self._touched[-1])
        return (z for z in order if not self._looks_right(z))

    def _looks_right(self, z: int) -> bool:
        structure = (self._truth[z] > 0) | (self.tracker.labels[z] > 0)
        size = int(np.count_nonzero(structure & self._cared[z]))
        return bool(self._wrong[z] <= self.person.overlooks * size)

    def _plan(self, z: int) -> tuple[int, Way] | None:
        """The value to paint in a slice and the drag; None if the brush fits on no error."""
        for error in errors_of(self.tracker.labels[z], self._truth[z], self._cared[z]):
            ways = [self._way(z, error, radius) for radius in self._radii()]
            if found := [way for way in ways if way is not None]:
                return error.value, max(found, key=lambda way: way.rights)  # of equals the widest
        return None

    def _way(self, z: int, error: Error, radius_mm: float) -> Way | None:
        near = range(z - self._reach(radius_mm), z + self._reach(radius_mm) + 1)
        planes = np.clip(near, 0, len(self._truth) - 1)  # beyond the scan nothing is painted
        truth, cared = self._truth[planes], self._cared[planes]
        wanted = truth == error.value
        wrong = wanted & cared & (self.tracker.labels[planes] != truth)
        wrong[planes != near] = False
        spacing, reach = self.volume.geometry.spacing_mm, self.person.longest_mm
        return way_over(error, wrong, wanted | ~cared, radius_mm, spacing, reach)

    def _reach(self, radius_mm: float) -> int:
        """Slices on either side that the brush meets."""
        spacing = self.volume.geometry.spacing_mm[AXIAL]
        return int(radius_mm // spacing) if self.person.ball else 0

    def _radii(self) -> Iterator[float]:
        radius, finest = self.person.brush_mm / 2, min(self._flat)
        yield radius
        while self.person.shrinks and radius >= finest / 2:
            radius /= 2
            yield radius

    # -- what it does -------------------------------------------------------------------------

    def _draw(self, z: int, value: int, way: Way) -> None:
        """Press, drag and release, as the window's brush does it."""
        tracker, spacing = self.tracker, self.volume.geometry.spacing_mm
        scene = Scene(self.volume.channel(0).array, tracker.labels, spacing)
        paint = Paint(scene, Rules(), value, value or self.values[0])
        places = np.insert(
            shaken(way, self._flat, self.person.noise_mm, self._random), AXIAL, z, axis=1
        )
        flat = None if self.person.ball else AXIAL
        for last, place in zip([places[0], *places], places, strict=False):
            paint.put(footprint(last, place, way.radius_mm, spacing, scene.shape, flat))
        self.strokes += 1
        self.seconds += self.person.pause_s + self.person.stroke_s
        if (box := paint.box) is None or (correction := self.tracker.commit(box)) is None:
            return
        self.history.add(correction, Deed(BRUSH if value else ERASER, self.seconds))
        self._judge(z, box[AXIAL])

    def _judge(self, z: int, planes: slice) -> None:
        """Keep the stroke through `z` if it left less wrong, else take it back."""
        before, now = self._wrong[planes].copy(), self._wrong_in(planes)
        if now.sum() < before.sum():
            self._wrong[planes] = now
            changed = {planes.start + int(n) for n in np.flatnonzero(now != before)} - {z}
            touched = [one for one in self._touched if one not in {*changed, z}]
            self._touched = [*touched, *sorted(changed), z]
        elif isinstance(step := self.history.back(), Stroke):
            step.undo(self.tracker.labels, self.tracker.baseline)
            self.tracker.commit(step.box)

    def _wrong_in(self, planes: slice) -> npt.NDArray[np.int64]:
        """Wrong voxels of each slice."""
        wrong = (self.tracker.labels[planes] != self._truth[planes]) & self._cared[planes]
        return np.asarray(np.count_nonzero(wrong, axis=(1, 2)), np.int64)

    def _known_truth(self) -> npt.NDArray[np.unsignedinteger]:
        """The truth, and the mask where there is none to care for."""
        return np.where(self._cared, self._truth, self.tracker.labels.astype(self._truth.dtype))

    @property
    def _flat(self) -> Flat:
        _, y, x = self.volume.geometry.spacing_mm
        return y, x
