"""The slice that is worth most, where errors are planted."""

from __future__ import annotations

from collections import Counter

import numpy as np

from napari_medseg.active.predicted import Judge
from napari_medseg.active.ranking import Work
from napari_medseg.correction.edit import Scene
from napari_medseg.correction.effort import Effort
from napari_medseg.correction.record import Source
from napari_medseg.jobs import finish
from napari_medseg.workbench.critic import Basis, Verdict
from napari_medseg.workbench.worst import Look, Offer, pace, worst_slice

SHAPE = (12, 16, 16)
BOX = slice(2, 10), slice(4, 12), slice(4, 12)


def scene(**more) -> Scene:
    """A cube of label 1."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[BOX] = 1
    return Scene(np.zeros(SHAPE, np.float32), labels, (2.0, 1.0, 1.0), **more)


def verdict(wrong: np.ndarray) -> Verdict:
    labels = scene().labels[BOX]
    return Verdict(None, "", BOX, labels, wrong[BOX], {}, Judge(), Basis.NOTHING, True)


def doubt(*at: int) -> np.ndarray:
    """Ever less on each of these slices."""
    wrong = np.zeros(SHAPE, np.float16)
    for number, z in enumerate(at):
        wrong[z, 5:11, 5:11] = 0.8 - 0.1 * number
    return wrong


def asked(
    here: Scene, said: Verdict | None, done: frozenset[int] = frozenset(), source=None
) -> Offer | None:
    source = np.zeros(SHAPE, np.uint8) if source is None else source
    return finish(worst_slice(here, source, said, Look(0, done, {1: "organ"}, Work())))


def test_the_slice_where_the_model_is_least_sure_comes_first_with_its_reason() -> None:
    offer = asked(scene(), verdict(doubt(4, 8)))
    assert offer is not None
    assert (offer.slice.axis, offer.slice.index, offer.label) == (0, 4, 1)
    assert offer.why.startswith("Axial slice 5 of 12: 29 mm² probably wrong, mostly organ")


def test_a_slice_that_is_done_or_was_painted_is_not_offered() -> None:
    offer = asked(scene(), verdict(doubt(4, 8)), done=frozenset({4}))
    assert offer is not None
    assert offer.slice.index == 8
    source = np.zeros(SHAPE, np.uint8)
    source[8] = Source.PAINTED
    assert asked(scene(), verdict(doubt(4, 8)), frozenset({4}), source) is None


def test_what_somebody_changed_since_is_no_doubt_any_more() -> None:
    here = scene()
    here.labels[4, 5:11, 5:11] = 2
    offer = asked(here, verdict(doubt(4, 8)))
    assert offer is not None
    assert offer.slice.index == 8


def test_a_hole_is_an_error_whatever_the_model_thinks() -> None:
    here = scene()
    here.labels[6, 7:9, 7:9] = 0
    offer = asked(here, verdict(np.zeros(SHAPE, np.float16)))
    assert offer is not None
    assert offer.slice.index == 6
    assert "a hole of 4 voxels" in offer.why


def test_without_a_verdict_the_probabilities_are_asked_and_else_the_mask() -> None:
    given = np.where(doubt(8) > 0, 0.3, 1.0).astype(np.float32)
    offer = asked(scene(chances={1: given}), None)
    assert offer is not None
    assert offer.slice.index == 8
    offer = asked(scene(), None)
    assert offer is not None
    assert "nobody looked at" in offer.why


def test_it_is_said_when_all_that_is_left_is_hardly_worth_it() -> None:
    some, hardly = np.zeros(SHAPE, np.float16), np.zeros(SHAPE, np.float16)
    some[4, 5:11, 5:11] = 0.9
    hardly[4, 5, 5] = 0.9
    found = [asked(scene(), verdict(one)) for one in (some, hardly)]
    assert [one is not None and one.stop for one in found] == [False, True]


def test_confirming_is_no_stroke_of_a_persons_pace() -> None:
    strokes = Counter({"brush": 100, "confirm slice": 500})
    visited = {(0, n) for n in range(50)}
    work = pace([Effort(400.0, strokes, Counter(brush=3000), visited, pixel_mm2=1.0)])
    assert work is not None
    assert 3.0 < work.look_s < 5.0
    assert work.stroke_mm2 == 30.0
