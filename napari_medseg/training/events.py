"""What a running training tells, and what it gives; readable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
