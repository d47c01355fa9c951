"""What there is to see of an edit before it is applied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from napari_medseg.correction.edit import Aim, Edit, Reach, Scene, edit_of
from napari_medseg.correction.tools.tool import (
    ADDED,
    OTHER,
    REMOVED,
    Proposal,
    Tool,
    Wants,
    proposal_of,
    propose,
)
from napari_medseg.jobs import finish

SHAPE = (4, 6, 8)


@pytest.fixture
def scene() -> Scene:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 2, 3], labels[1, 2, 4] = 1, 2
    return Scene(np.zeros(SHAPE, np.int16), labels, (2.0, 1.0, 1.0))


def test_a_proposal_shows_what_is_added_removed_and_relabelled(scene: Scene) -> None:
    labels = scene.labels[1:3, 1:5, 2:7].copy()
    labels[0, 1, 1], labels[0, 1, 2], labels[1, 3, 4] = 0, 3, 1
    found = proposal_of(Edit((slice(1, 3), slice(1, 5), slice(2, 7)), labels), scene, 1)
    assert found is not None
    assert found.box == (slice(1, 3), slice(2, 5), slice(3, 7))
    assert (found.kinds[0, 0, 0], found.kinds[0, 0, 1], found.kinds[1, 2, 3]) == (
        REMOVED,
        OTHER,
        ADDED,
    )
    assert found.voxels == np.count_nonzero(found.kinds) == 3


def test_an_edit_that_changes_nothing_is_no_proposal(scene: Scene) -> None:
    box = (slice(0, 4), slice(0, 6), slice(0, 8))
    assert proposal_of(Edit(box, scene.labels.copy()), scene, 1) is None
    assert proposal_of(None, scene, 1) is None


@dataclass(frozen=True)
class Knobs:
    reach: Reach = Reach.VOLUME


def fill(scene: Scene, aim: Aim, knobs: Knobs) -> Edit | None:
    depth = slice(0, 4) if knobs.reach is Reach.VOLUME else slice(aim.index, aim.index + 1)
    box = (depth, slice(0, 6), slice(0, 8))
    return edit_of(scene, box, scene.labels[box] == 0, aim.label)


def test_the_answer_in_the_viewed_slice_comes_before_that_of_the_volume(scene: Scene) -> None:
    tool = Tool("Fill", "Test", "", Wants.NOTHING, Knobs(), fill)
    events: list[object] = []
    result = finish(propose(tool, scene, Aim(1, index=2), tool.knobs), events.append)
    first = next(one for one in events if isinstance(one, Proposal))
    assert (first.box[0], first.final) == (slice(2, 3), False)
    assert result is not None
    assert (result.box[0], result.final) == (slice(0, 4), True)
