"""Which slice of the open case to correct next: the most expected gain for a second of work."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
import numpy.typing as npt

from napari_medseg.active.ranking import Slice, Work, masses, slices
from napari_medseg.active.stop import worth_of_slices
from napari_medseg.active.work import Spent, measured
from napari_medseg.correction.edit import Bools, Scene
from napari_medseg.correction.effort import Effort
from napari_medseg.correction.record import Box, Source
from napari_medseg.correction.tools.doubts import Doubt, doubts
from napari_medseg.jobs import Job, Progress
from napari_medseg.workbench.critic import Verdict

APART_MM = 0.0  # 3 mm found a seventh less of the errors in ten slices of the hippocampus
UNKNOWN = 0.1  # how likely a voxel of a mask is wrong where nobody has an idea
PLANES = ("axial", "coronal", "sagittal")
NO_STROKES = ("confirm", "unconfirm", "learned", "rename", "add")

Chances = npt.NDArray[np.float32]


class Ground(Enum):
    """What is known of a mask's errors."""

    AGREEMENT = auto()  # how far the model agrees with itself
    CHANCES = auto()  # the model's probabilities
    NOTHING = auto()  # only where the mask is


@dataclass(frozen=True)
class Look:
    """What is ranked: an axis, the slices of it that are done, and how fast the person is."""

    axis: int
    done: Collection[int]
    names: Mapping[int, str]
    work: Work


@dataclass(frozen=True)
class Offer:
    """A slice that is worth a look, and why.

    `stop` says that all that is left in the scan is hardly worth the work.
    """

    slice: Slice
    label: int
    why: str
    stop: bool = False


def worst_slice(
    scene: Scene, source: npt.NDArray[np.uint8], verdict: Verdict | None, look: Look
) -> Job[Offer | None]:
    """The slice of an axis that is worth most; None where there is nothing left to look at.

    Voxels that a person painted or vouched for are right, whatever the model thinks of them.

    Parameters
    ----------
    source
        (Z, Y, X) of `Source`, as of the last commit.
    verdict
        On the mask that the model proposed, where there is one.
    """
    yield Progress(0, 0, "Looking for the slice that is worth most")
    wrong, ground = doubt_of(scene, verdict)
    plain = [one for one in doubts(scene, look.names) if one.edit is not None]
    for one in plain:
        _add(wrong, one, scene)
    wrong[source != Source.MODEL] = 0
    found = slices(wrong, scene.spacing_mm, look.axis, look.work, 1, APART_MM, look.done)
    if not found:
        return None
    best = found[0]
    label = _worst_label(scene, wrong, best)
    fix = next((one.why for one in plain if _explains(one, best, scene)), "")
    stop = False
    if ground is Ground.AGREEMENT:
        left = np.delete(masses(wrong, look.axis), [*look.done])
        stop = worth_of_slices(left, int(np.count_nonzero(scene.labels))).stop
    name = look.names.get(label, f"label {label}") if label else "beside the mask"
    why = _why(best, scene, name, ground, fix)
    return Offer(best, label, why, stop)


def doubt_of(scene: Scene, verdict: Verdict | None) -> tuple[Chances, Ground]:
    """(Z, Y, X) in [0, 1]: how likely each voxel's label is wrong, by the best that is known."""
    wrong = np.zeros(scene.shape, np.float32)
    if verdict is not None:
        as_proposed = scene.labels[verdict.box] == verdict.labels  # else somebody changed it
        wrong[verdict.box] = np.where(as_proposed, verdict.wrong, 0)
        return wrong, Ground.AGREEMENT
    if not scene.chances:
        wrong[scene.labels > 0] = UNKNOWN
        return wrong, Ground.NOTHING
    for label, given in scene.chances.items():
        ours = scene.labels == label
        wrong[ours] = 1.0 - given[ours].astype(np.float32)
    return wrong, Ground.CHANCES


def pace(efforts: Iterable[Effort]) -> Work | None:
    """How fast a person is, by what their cases took; None while that tells too little."""
    return measured([_spent(one) for one in efforts])


def _spent(effort: Effort) -> Spent:
    tools = [name for name in effort.strokes if not name.startswith(NO_STROKES)]
    voxels = sum(effort.voxels[name] for name in tools)
    strokes = sum(effort.strokes[name] for name in tools)
    return Spent(effort.seconds, len(effort.slices), strokes, voxels * effort.pixel_mm2)


def _add(wrong: Chances, doubt: Doubt, scene: Scene) -> None:
    """What a plain fix would change is probably wrong."""
    box, changes = _changes(doubt, scene)
    np.maximum(wrong[box], np.where(changes, doubt.score, 0), out=wrong[box])


def _changes(doubt: Doubt, scene: Scene) -> tuple[Box, Bools]:
    """Where the fix of a place lies, and which voxels it changes."""
    assert doubt.edit is not None
    changes = doubt.edit.labels != scene.labels[doubt.edit.box]
    if doubt.edit.where is not None:
        changes &= doubt.edit.where
    return doubt.edit.box, changes


def _explains(doubt: Doubt, best: Slice, scene: Scene) -> bool:
    """Whether a plain fix is half of what is probably wrong in a slice, or more."""
    box, changes = _changes(doubt, scene)
    part = box[best.axis]
    if not part.start <= best.index < part.stop:
        return False
    pixels = int(np.count_nonzero(np.take(changes, best.index - part.start, best.axis)))
    pixel_mm2 = float(np.prod(np.delete(scene.spacing_mm, best.axis)))
    return pixels * pixel_mm2 * doubt.score >= 0.5 * best.wrong_mm2


def _worst_label(scene: Scene, wrong: Chances, best: Slice) -> int:
    """The structure of which most is wrong in a slice; 0 where it is all in the background."""
    plane = np.take(wrong, best.index, best.axis)
    labels = np.take(scene.labels, best.index, best.axis)
    sums = np.bincount(labels.ravel(), plane.ravel())
    sums[0] = 0
    return int(np.argmax(sums)) if sums.any() else 0


def _why(best: Slice, scene: Scene, name: str, ground: Ground, fix: str) -> str:
    count = scene.shape[best.axis]
    place = f"{PLANES[best.axis].capitalize()} slice {best.index + 1} of {count}"
    work = f"about {best.seconds:.0f} s"
    if fix:
        return f"{place}: {fix}, {work}"
    if ground is Ground.NOTHING:
        return f"{place}: much mask that nobody looked at"
    area = best.wrong_mm2
    size = f"{area:.0f} mm²" if area >= 1 else f"{area:.1f} mm²"
    return f"{place}: {size} probably wrong, mostly {name}, {work}"
