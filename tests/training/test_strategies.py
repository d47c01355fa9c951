"""Ways of learning: which model each goes on from, and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.correction.record import Example
from napari_medseg.jobs import finish
from napari_medseg.models import checkpoint
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.training.config import FineTuneConfig
from napari_medseg.training.dataset import find_cases, read_case
from napari_medseg.training.simulation import Strategy
from napari_medseg.training.split import Split
from napari_medseg.training.strategies import STRATEGIES, Lesson, Round


@pytest.fixture
def now(segmenter: Segmenter, write_dataset: Callable[..., Path]) -> Round:
    """Three cases, of each some slices corrected; the model in use is not the first one."""
    later = replace(segmenter, weights={k: v * 0.99 for k, v in segmenter.weights.items()})
    lessons = []
    for case in find_cases(write_dataset(3)).cases:
        volume, mask = read_case(case)
        confirmed = np.zeros(mask.labels.shape, bool)
        confirmed[5:9] = True
        lessons.append(Lesson(case, Example(volume, mask, confirmed, case.subject)))
    config = FineTuneConfig(steps=1, validations=1, threads=1)
    return Round(segmenter, later, tuple(lessons), Split(), config, scratch_steps=1)


def version(segmenter: Segmenter) -> str:
    return checkpoint.weights_hash(segmenter.weights)[:12]


@pytest.mark.parametrize(
    ("strategy", "parent"), [(Strategy.NO_GATE, "now"), (Strategy.RESTART, "first")]
)
def test_who_goes_on_from_which_model(now: Round, strategy: Strategy, parent: str) -> None:
    learned = finish(STRATEGIES[strategy](now))
    assert learned.adopted
    assert learned.segmenter.lineage.parent == version(getattr(now, parent))


@pytest.mark.parametrize("strategy", [Strategy.NO_GATE, Strategy.RESTART])
def test_others_keep_nothing_of_before(now: Round, strategy: Strategy) -> None:
    learned = finish(STRATEGIES[strategy](now))
    assert now.now.memory
    assert learned.segmenter.memory == ()
    said = learned.segmenter.lineage.config
    assert [said[key] for key in ("gate", "replay", "remember", "anchor")] == [False, 0, 0, 0]


def test_ours_keeps_what_it_was_told(now: Round) -> None:
    learned = finish(STRATEGIES[Strategy.OURS](now))
    assert learned.adopted == (learned.segmenter is not now.now)
    assert len(learned.known.subjects) >= 3


def test_from_scratch_is_a_training_of_its_own(now: Round) -> None:
    learned = finish(STRATEGIES[Strategy.SCRATCH](now))
    lineage = learned.segmenter.lineage
    assert (lineage.how, lineage.parent) == ("train", "")
    assert learned.segmenter.network.features == now.first.network.features
    assert [label.name for label in learned.segmenter.recipe.labels] == ["label 1", "label 2"]
    assert learned.segmenter.memory == ()


def test_nothing_is_learned_where_nothing_is(now: Round) -> None:
    learned = finish(STRATEGIES[Strategy.NONE](now))
    assert learned.segmenter is now.now
    assert not learned.adopted
