"""What a tool is: its name, its knobs, what it wants to be shown, and what it computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from napari_medseg.correction.edit import Aim, Edit, Scene


class Wants(StrEnum):
    """What a person shows a tool before it can begin."""

    NOTHING = "nothing"  # it runs when asked
    CLICK = "a click"
    STROKE = "a stroke"
    OUTLINE = "an outline"  # closed, in the viewed slice
    SEEDS = "strokes of several structures"


@dataclass(frozen=True)
class Tool:
    """One tool of the bench.

    Attributes
    ----------
    name
        In the window: "Keep largest".
    group
        Tools of one group stand together: "Islands".
    tip
        One sentence: what it does and what it needs.
    wants
        What is shown to it first.
    knobs
        A frozen dataclass, one default for each field, bounds as `Annotated`; a field `reach` of
        type `Reach`, if it can work in the slice alone.
    run
        Scene, aim and knobs in, an edit out; None where nothing would change. May take long and
        runs on a thread; raises `InputError` where it cannot work, with a sentence for the user.
    needs_chances
        Whether it works only where a model's probabilities are at hand.
    """

    name: str
    group: str
    tip: str
    wants: Wants
    knobs: Any
    run: Callable[[Scene, Aim, Any], Edit | None]
    needs_chances: bool = False
