"""What a running training tells, and what it gives; readable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Box, Labels
from napari_medseg.models.card import ModelCard

if TYPE_CHECKING:
    from napari_medseg.models.segmenter import Segmenter

Dice = Mapping[str, float]  # by label name; nan where neither mask has the label


@dataclass(frozen=True)
class StepDone:
    """One optimiser step."""

    step: int
    total: int  # 0: until the time is up
    loss: float
    seconds_left: float | None = None


@dataclass(frozen=True)
class Validated:
    """Scores of the student on the held-back cases after `step` steps.

    `anchors` is its Dice on the pieces of earlier cases that its parent kept; empty without any.
    """

    step: int
    dice: Dice
    jaccard: Dice
    anchors: Dice = field(default_factory=dict)


@dataclass(frozen=True)
class CleaningLearned:
    """A rule that the masks of the new model will be cleaned by, and what it gains."""

    text: str


@dataclass(frozen=True, eq=False)
class Outcome:
    """The end of a fine-tune: `segmenter` is the model to use next.

    `before` and `after` are Dice on the same held-back voxels, of the parent and the candidate;
    `split` is who teaches and who examines from now on, as plain JSON values.
    """

    segmenter: Segmenter
    candidate: Segmenter
    before: Dice
    after: Dice
    adopted: bool
    why: str
    seconds: float
    split: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OutcomeCard:
    """An `Outcome` whose candidate is a file; what a window can hold.

    `adopted` says whether the candidate passed the gate; where it did not, the parent is the model
    to use next.
    """

    candidate: ModelCard
    before: Dice
    after: Dice
    adopted: bool
    why: str
    seconds: float
    cases: int
    split: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Stroke:
    """What a person changed, told to whoever learns along.

    Attributes
    ----------
    number
        Counted from 1; a later one has a larger number.
    box
        Where, on the grid of the scan that is learned from.
    labels, confirmed
        Of the box as they are now: mask values, and bool whether a person vouches for a voxel.
    axis, index
        The slice that is looked at (0 Z, 1 Y, 2 X).
    """

    number: int
    box: Box
    labels: Labels
    confirmed: npt.NDArray[np.bool_]
    axis: int
    index: int


@dataclass(frozen=True, eq=False)
class Strokes:
    """All strokes since the last answer: what is told later holds what was told before."""

    strokes: tuple[Stroke, ...]


@dataclass(frozen=True, eq=False)
class SliceSeen:
    """The slice as the student sees it after the strokes up to number `heard`.

    Attributes
    ----------
    start, labels
        A box of the scan, one voxel deep along `axis`: its first voxel and its mask values.
    learned
        bool, shape of `labels`: where the student says another thing than its parent.
    steps, loss, seconds
        What it took, and the loss of the last step.
    """

    axis: int
    index: int
    start: tuple[int, int, int]
    labels: Labels
    learned: npt.NDArray[np.bool_]
    heard: int
    steps: int
    loss: float
    seconds: float

    @property
    def box(self) -> Box:
        z, y, x = (slice(a, a + n) for a, n in zip(self.start, self.labels.shape, strict=True))
        return z, y, x


@dataclass(frozen=True)
class Pause:
    """May be sent to a running fine-tune: rest, or go on."""

    on: bool = True


@dataclass(frozen=True)
class Rested:
    """Told to what was paused: how many seconds of its time do not count."""

    seconds: float
