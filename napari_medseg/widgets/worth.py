"""Whether it pays to go on: the sentence below the versions of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_medseg.active.stop import FEWEST, worth_of_lessons
from napari_medseg.models.card import ModelCard


def worth_in_words(cards: Sequence[ModelCard], used: ModelCard | None) -> str:
    """What further corrections are worth to the model in use; "" while too few versions tell."""
    scores = [_mean(card) for card in _ancestors(cards, used)]
    known = [one for one in scores if np.isfinite(one)]
    return f"{worth_of_lessons(known).said}." if len(known) >= FEWEST else ""


def _ancestors(cards: Sequence[ModelCard], used: ModelCard | None) -> list[ModelCard]:
    """The versions that led to this one, the oldest first; those kept aside are no part of it."""
    known = {card.version: card for card in cards}
    line: list[ModelCard] = []
    while used is not None and used not in line:
        line.append(used)
        used = known.get(used.lineage.parent)
    return line[::-1]


def _mean(card: ModelCard) -> float:
    scores = [one for one in card.lineage.scores.values() if np.isfinite(one)]
    return float(np.mean(scores)) if scores else float("nan")
