"""Several models of the same network as one, whose prediction is their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from napari_medseg.errors import ModelError
from napari_medseg.jobs import Job, Progress
from napari_medseg.models import checkpoint
from napari_medseg.models.card import MOST_MEMBERS, Lineage, ModelCard, read_card
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.preprocess.recipe import Recipe


def join_job(paths: Sequence[Path], target: Path) -> Job[ModelCard]:
    """The models of several files as one, saved as `target`."""
    yield Progress(0, 2, "Reading the models")
    joint = join(paths)
    yield Progress(1, 2, "Saving")
    card = checkpoint.save(joint, target)
    yield Progress(2, 2, "Saved")
    return card


def join(paths: Sequence[Path]) -> Segmenter:
    """The models of several files as one; fine-tuning it goes on from the first.

    A mask is cleaned, and a scan mirrored or looked at coarsely, only as all of them learned it.

    Raises
    ------
    ModelError
        They differ in their network or in how they see a scan, one is a cascade, one comes twice,
        or a file is no checkpoint.
    """
    cards = [read_card(path) for path in paths]
    for card in cards[1:]:
        _check(card, cards[0])
    if len({card.version for card in cards}) < len(cards):
        raise ModelError("the models of an ensemble must differ, one comes twice; leave it out")
    n_members = sum(card.members for card in cards)
    if n_members > MOST_MEMBERS:
        raise ModelError(f"an ensemble must have {MOST_MEMBERS} members or fewer, got {n_members}")
    first, *others = (checkpoint.load(path) for path in paths)
    folds = (*first.folds, *(weights for one in others for weights in one.members))
    names = [card.name for card in cards]
    lineage = Lineage(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        how="ensemble",
        note=f"the mean of {', '.join(names)}",
    )
    name = f"{names[0]} and {len(names) - 1} more"
    recipe = common_recipe([card.recipe for card in cards])
    return replace(first, name=name, recipe=recipe, lineage=lineage, folds=folds)


def common_recipe(recipes: Sequence[Recipe]) -> Recipe:
    """The first recipe, without what not all of them say."""
    first = recipes[0]
    same_look = all((one.scout, one.borders) == (first.scout, first.borders) for one in recipes)
    return replace(
        first,
        clean=tuple(rule for rule in first.clean if all(rule in one.clean for one in recipes)),
        mirror_axes=tuple(
            axis for axis in first.mirror_axes if all(axis in one.mirror_axes for one in recipes)
        ),
        scout=first.scout if same_look else 1.0,
        borders=first.borders and same_look,
    )


def _check(card: ModelCard, first: ModelCard) -> None:
    """ModelError where two models cannot be members of one."""
    if card.previous is not None or first.previous is not None:
        raise ModelError("the models of an ensemble must be single networks, one is a cascade")
    if _labels(card.recipe) != _labels(first.recipe):
        raise ModelError(
            f"models of an ensemble must have the same labels as {first.path.name}, in the same "
            "order; leave it out",
            card.path.name,
        )
    if card.network != first.network or _seen(card.recipe) != _seen(first.recipe):
        raise ModelError(
            f"models loaded as one must have the same network and see a scan as "
            f"{first.path.name} does; use `medseg segment` with several --model",
            card.path.name,
        )


def _labels(recipe: Recipe) -> list[tuple[int, str]]:
    return [(label.value, label.name) for label in recipe.labels]


def _seen(recipe: Recipe) -> Recipe:
    """What must be the same: all but colours, and what `common_recipe` settles."""
    labels = tuple(replace(label, color="") for label in recipe.labels)
    return replace(recipe, labels=labels, clean=(), mirror_axes=(), scout=1.0, borders=False)
