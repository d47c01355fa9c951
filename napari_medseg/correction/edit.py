"""What a tool sees, what it is told, what it proposes, and what of that a person lets it change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Box, Labels
from napari_medseg.errors import GridError

Bools: TypeAlias = npt.NDArray[np.bool_]
Extent: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Scene:
    """The open case as a tool sees it, on canonical axes; no tool writes into it.

    Attributes
    ----------
    image
        Shape (Z, Y, X), in HU or raw units.
    labels
        Shape (Z, Y, X): the mask as it is now.
    spacing_mm
        Along Z, Y and X.
    chances
        Probability of a label, float16 (Z, Y, X), in [0, 1], by its number; empty where no model
        gave any.
    taken
        Numbers that no new structure may have: those that are named, whether drawn or not.
    """

    image: npt.NDArray[Any]
    labels: Labels
    spacing_mm: tuple[float, float, float]
    chances: Mapping[int, npt.NDArray[np.floating[Any]]] = field(default_factory=dict)
    taken: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.image.shape != self.labels.shape:
            raise GridError(f"a mask must be {self.image.shape}, got {self.labels.shape}")

    @property
    def shape(self) -> Extent:
        z, y, x = self.labels.shape
        return z, y, x


@dataclass(frozen=True, eq=False)
class Aim:
    """What a person points at.

    Attributes
    ----------
    label
        The chosen structure.
    axis, index
        The slice that is looked at: along 0 Z, 1 Y or 2 X.
    points
        int64 (N, 3), voxels (z, y, x) that were clicked or drawn through, in order; may be empty.
    seeds
        Further strokes by the structure they stand for, each (N, 3); 0 is background.
    """

    label: int
    axis: int = 0
    index: int = 0
    points: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    seeds: Mapping[int, npt.NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Edit:
    """What the labels inside a box are to be; nothing is written before somebody applies it.

    Attributes
    ----------
    box
        Slices (Z, Y, X) with both ends stated.
    labels
        Shape of the box, type of the mask.
    said
        What it does, for the user: "3 islands, 214 voxels".
    where
        bool, shape of the box: the voxels that it is about; None: those that change.
    drawn
        int64 (N, 4), voxels (z, y, x) and a kind of `Proposal.kinds`: what is shown of it before
        it is applied, in place of all that changes; None: that.
    """

    box: Box
    labels: Labels
    said: str = ""
    where: Bools | None = None
    drawn: npt.NDArray[np.int64] | None = None


class Reach(StrEnum):
    """How far a tool goes."""

    SLICE = "this slice"
    VOLUME = "whole volume"


class Over(StrEnum):
    """Which voxels may be changed."""

    EVERYTHING = "everything"
    BACKGROUND = "background only"
    CHOSEN = "the chosen structure only"


@dataclass(frozen=True)
class Rules:
    """What brushes and tools may change; all conditions must hold.

    Attributes
    ----------
    over
        Which voxels, by the label they have now.
    locked
        Structures that nobody changes: neither painted over nor painted.
    low, high
        Only voxels whose grey value lies within; None: no limit on that side.
    """

    over: Over = Over.EVERYTHING
    locked: frozenset[int] = frozenset()
    low: float | None = None
    high: float | None = None

    @property
    def open(self) -> bool:
        """Whether everything may be changed."""
        return self == Rules()

    def may_change(self, labels: Labels, image: npt.NDArray[Any], chosen: int) -> Bools:
        """Which voxels may be changed, bool, of labels and grey values of one shape."""
        may = np.ones(labels.shape, bool)
        if self.over is Over.BACKGROUND:
            may &= labels == 0
        elif self.over is Over.CHOSEN:
            may &= labels == chosen
        for value in self.locked:
            may &= labels != value
        if self.low is not None:
            may &= image >= self.low
        if self.high is not None:
            may &= image <= self.high
        return may


def ruled(edit: Edit, scene: Scene, rules: Rules, chosen: int) -> Edit:
    """The edit without what the rules forbid."""
    if rules.open:
        return edit
    now = scene.labels[edit.box]
    may = rules.may_change(now, scene.image[edit.box], chosen)
    may &= ~np.isin(edit.labels, list(rules.locked))
    labels = np.where(may, edit.labels, now).astype(now.dtype, copy=False)
    return Edit(edit.box, labels, edit.said, edit.where, edit.drawn)


def edit_of(scene: Scene, box: Box, where: Bools, value: int, said: str = "") -> Edit:
    """An edit that sets some voxels of a box, bool of its shape, to one value."""
    labels = scene.labels[box].copy()
    labels[where] = value
    return Edit(box, labels, said, where)
