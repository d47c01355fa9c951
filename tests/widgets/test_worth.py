"""The sentence below the versions of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_medseg.models.card import Lineage, ModelCard
from napari_medseg.models.config import NetworkConfig
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.volume import Label
from napari_medseg.widgets.worth import worth_in_words

NETWORK = NetworkConfig(features=(2, 2), strides=((1, 1, 1), (2, 2, 2)))
RECIPE = Recipe((Label(1, "liver"),), patch=(8, 8, 8))


def versions(scores: Sequence[float]) -> list[ModelCard]:
    """Each the child of the one before."""
    return [
        ModelCard(
            path=Path(f"v{n}"),
            name="liver",
            version=f"v{n}",
            network=NETWORK,
            recipe=RECIPE,
            lineage=Lineage(parent=f"v{n - 1}" if n else "", scores={"liver": score}),
        )
        for n, score in enumerate(scores)
    ]


def test_it_is_silent_while_too_few_versions_tell() -> None:
    cards = versions([0.8, 0.82, 0.83])
    assert worth_in_words(cards, cards[-1]) == ""
    assert worth_in_words([], None) == ""


def test_a_model_that_no_longer_gains_says_so() -> None:
    cards = versions([0.85, 0.9, 0.9, 0.9, 0.9, 0.9])
    assert worth_in_words(cards, cards[-1]).startswith("Further corrections are worth < 0.2 Dice")


def test_versions_that_were_kept_aside_do_not_count() -> None:
    cards = versions([0.80, 0.84, 0.87, 0.89, 0.905])
    bad = replace(versions([0.3])[0], version="aside", lineage=Lineage("v3", scores={"liver": 0.3}))
    assert worth_in_words([*cards, bad], cards[-1]) == worth_in_words(cards, cards[-1])
    assert "worth about" in worth_in_words(cards, cards[-1])
