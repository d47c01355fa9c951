"""What a tool is: its name, its knobs, what it wants to be shown, and what it computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.edit import Aim, Edit, Reach, Rules, Scene, ruled
from napari_medseg.correction.forbidden import NOTHING, forbidden_of
from napari_medseg.correction.record import Box, Labels
from napari_medseg.correction.tracker import changed_box, whole
from napari_medseg.jobs import Job, Progress

OPEN = Rules()


class Wants(StrEnum):
    """What a person shows a tool before it can begin."""

    NOTHING = "nothing"  # it runs when asked
    CLICK = "a click"
    ANCHORS = "clicks, one after the other"  # in one slice; all of them are shown to it
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
    goes_on
        So many slices the view goes on once it was applied, to do the same again there.
    """

    name: str
    group: str
    tip: str
    wants: Wants
    knobs: Any
    run: Callable[[Scene, Aim, Any], Edit | None]
    needs_chances: bool = False
    goes_on: int = 0


@dataclass(frozen=True, eq=False)
class Proposal:
    """An edit that waits for a yes or no, and what of it there is to see.

    Attributes
    ----------
    edit
        What would be written.
    box
        The smallest box that holds every change.
    was
        Shape of `box`: the labels that it was made for.
    kinds
        uint8, shape of `box`: 0 stays, and else `ADDED`, `REMOVED` or `OTHER`.
    voxels
        How many would change.
    final
        False for a first answer in the viewed slice only, while the whole is computed.
    """

    edit: Edit
    box: Box
    was: Labels
    kinds: npt.NDArray[np.uint8]
    voxels: int
    final: bool = True


ADDED, REMOVED, OTHER = 1, 2, 3
SIZES = ("radius_mm", "sigma_mm", "by_mm", "thickness_mm", "margin_mm")


def fitted(knobs: Any, spacing_mm: tuple[float, float, float]) -> Any:
    """The knobs for a grid: a size below its voxels', that would change nothing, is one voxel.

    The voxels are measured in the plane where they are finest, and rounded up to half a mm.
    """
    voxel_mm = sorted(spacing_mm)[1]
    sizes = {one.name: getattr(knobs, one.name) for one in fields(knobs) if one.name in SIZES}
    small = {name: ceil(2 * voxel_mm) / 2 for name, mm in sizes.items() if mm < voxel_mm}
    return replace(knobs, **small)


def propose(
    tool: Tool, scene: Scene, aim: Aim, knobs: Any, rules: Rules = OPEN
) -> Job[Proposal | None]:
    """The proposal of a tool under the rules, as a job; None where nothing would change.

    Where the tool goes through the whole volume, its answer in the viewed slice is yielded first.
    Where the rules leave nothing of its answer, those that did are yielded as `Forbidden`.
    """
    yield Progress(0, 0, tool.name)
    if getattr(knobs, "reach", None) is Reach.VOLUME:
        first = tool.run(scene, aim, replace(knobs, reach=Reach.SLICE))
        if (seen := proposal_of(first, scene, aim.label, rules, final=False)) is not None:
            yield seen
    edit = tool.run(scene, aim, knobs)
    found = proposal_of(edit, scene, aim.label, rules)
    if edit is not None and (found is None or not found.voxels):
        forbade = forbidden_of(edit, scene, rules, aim.label)
        if forbade != NOTHING:
            yield forbade
    return found


def proposal_of(
    edit: Edit | None, scene: Scene, chosen: int, rules: Rules = OPEN, final: bool = True
) -> Proposal | None:
    """What there is to see of an edit; None where nothing would change."""
    if edit is None:
        return None
    edit = ruled(edit, scene, rules, chosen)
    changed = changed_box(_placed(edit, scene), scene.labels[edit.box], whole(edit.labels.shape))
    if changed is None and edit.drawn is None:
        return None
    changed = changed or whole(edit.labels.shape)
    new, now = edit.labels[changed], scene.labels[edit.box][changed]
    differ = new != now
    kinds = np.where(new == chosen, ADDED, np.where(new == 0, REMOVED, OTHER)).astype(np.uint8)
    kinds[~differ] = 0
    z, y, x = (
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(edit.box, changed, strict=True)
    )
    allowed = Edit((z, y, x), new, edit.said, differ, edit.drawn)
    return Proposal(allowed, (z, y, x), now.copy(), kinds, int(np.count_nonzero(differ)), final)


def still_fits(proposal: Proposal, scene: Scene) -> Edit | None:
    """What of a proposal is for the mask as it is now; None where nothing is.

    Voxels that somebody changed since it was made are theirs.
    """
    now = scene.labels[proposal.box]
    where = (proposal.kinds > 0) & (now == proposal.was)
    if not where.any():
        return None
    labels = np.where(where, proposal.edit.labels, now).astype(now.dtype, copy=False)
    return Edit(proposal.box, labels, proposal.edit.said, where)


def _placed(edit: Edit, scene: Scene) -> Labels:
    """The labels of an edit, in the mask's own type."""
    return edit.labels.astype(scene.labels.dtype, copy=False)
