"""The mask that several models agree on: the largest of their mean probabilities."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_medseg.errors import InputError, ModelError
from napari_medseg.inference import device as devices
from napari_medseg.inference.clean import cleaned
from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import BoxDone, Prediction
from napari_medseg.inference.passes import GB, SHARE_OF_FREE
from napari_medseg.inference.predict import DEFAULT, predict_with
from napari_medseg.inference.relay import Part, Watch, relayed
from napari_medseg.jobs import Job, Progress
from napari_medseg.models.card import ModelCard, read_card
from napari_medseg.preprocess.recipe import CleanRule
from napari_medseg.volume import Mask, Volume

BYTES = 6  # per voxel and output: the float32 sum and one model's float16 share of it

Floats = npt.NDArray[np.float32]


def ensemble(
    volume: Volume, model_paths: Sequence[Path], config: PredictConfig = DEFAULT
) -> Job[Prediction]:
    """The scan's mask from several models of the same labels.

    One model runs after another; their probabilities are added on the scan's own grid. Yields what
    `predict` yields, a `BoxDone` from the first model only. Each model begins where the user looked
    last. One model alone is a plain prediction.

    Raises
    ------
    InputError
        The scan has not the channels that a model reads, or memory does not hold the sum.
    ModelError
        A model cannot be loaded, or has other labels than the first.
    """
    if len(model_paths) == 1:
        return (yield from predict_with(volume, model_paths[0], config))
    started = time.monotonic()
    cards = [read_card(path) for path in model_paths]
    orders = [_order(card, cards[0]) for card in cards]
    _check_room(volume, cards[0].recipe.n_outputs)
    watch = Watch(replace(config, keep_softmax=True, clean=False))
    total: Floats | None = None
    for number, (card, order) in enumerate(zip(cards, orders, strict=True)):
        job = predict_with(volume, card.path, watch.config)
        one = yield from _member(job, Part("Model", number, len(cards)), watch)
        assert one.softmax is not None, "a prediction must give the probabilities it is asked for"
        total = _added(total, one.softmax, order)
        device = one.device
        del one
    assert total is not None, "an ensemble must have a model"
    rules = common([card.recipe.clean for card in cards]) if config.clean else ()
    mask = yield from cleaned(_mask(total, len(cards), volume, cards[0]), rules)
    softmax = _mean(total, len(cards)) if config.keep_softmax else None
    return Prediction(mask, device, time.monotonic() - started, softmax)


def common(rules: Sequence[Sequence[CleanRule]]) -> tuple[CleanRule, ...]:
    """What all of several models clean: a label's rule is as careful as the most careful one."""
    by_value = [{rule.value: rule for rule in own} for own in rules]
    shared = (
        [own.get(value, CleanRule(value)) for own in by_value]
        for value in sorted(by_value[0] if by_value else ())
    )
    careful = (
        CleanRule(
            same[0].value,
            all(rule.keep_largest for rule in same),
            min(rule.smallest_ml for rule in same),
            all(rule.fill_holes for rule in same),
        )
        for same in shared
    )
    return tuple(rule for rule in careful if rule != CleanRule(rule.value))


def _member(job: Job[Prediction], part: Part, watch: Watch) -> Job[Prediction]:
    """The job of one model with progress over all; it hears what the whole is told."""

    def shown(event: object) -> object | None:
        if isinstance(event, Progress):
            return part.of_all(event)
        return event if part.number == 0 or not isinstance(event, BoxDone) else None

    return relayed(job, shown, watch.hear)


def _order(card: ModelCard, first: ModelCard) -> list[int]:
    """Where the first model's outputs are among this one's.

    Raises
    ------
    ModelError
        Its labels are others.
    """
    own, wanted = (
        [(label.value, label.name) for label in one.recipe.labels] for one in (card, first)
    )
    if first.recipe.regions and (own != wanted or card.recipe.regions != first.recipe.regions):
        raise ModelError(
            "models of overlapping regions must have the same in the same order; leave it out",
            card.path.name,
        )
    if sorted(own) != sorted(wanted) or bool(card.recipe.regions) != bool(first.recipe.regions):
        raise ModelError(
            f"models of an ensemble must have the same labels, got {_words(own)} "
            f"and {_words(wanted)}; leave it out",
            card.path.name,
        )
    if first.recipe.regions:
        return list(range(len(own)))
    return [0, *(1 + own.index(label) for label in wanted)]


def _words(labels: Sequence[tuple[int, str]]) -> str:
    text = ", ".join(f"{value} {name}" for value, name in labels[:3])
    return f"({text}{', …' if len(labels) > 3 else ''})"


def _check_room(volume: Volume, n_outputs: int) -> None:
    wanted = BYTES * n_outputs * math.prod(volume.geometry.shape)
    free = devices.free_bytes(devices.choose("cpu"))
    if wanted > SHARE_OF_FREE * free:
        raise InputError(
            f"an ensemble's probabilities must fit in half of the free memory, they take "
            f"{wanted / GB:.1f} GB of {free / GB:.1f} GB; segment with one model",
            volume.name,
        )


def _added(total: Floats | None, softmax: npt.NDArray[np.float16], order: Sequence[int]) -> Floats:
    """The sum (L, Z, Y, X) and one model's probabilities, output by output."""
    if total is None:
        total = np.zeros(softmax.shape, dtype=np.float32)
    for output, own in enumerate(order):
        total[output] += softmax[own]
    return total


def _mask(total: Floats, n_models: int, volume: Volume, card: ModelCard) -> Mask:
    """The label of the largest sum, slice by slice; the first of equals, as `predict` does.

    Of regions that overlap the last one that is more likely than not.
    """
    values = np.array(card.recipe.values, dtype=np.min_scalar_type(max(card.recipe.values)))
    labels = np.empty(volume.geometry.shape, dtype=values.dtype)
    for z in range(len(labels)):
        if not card.recipe.regions:
            labels[z] = values[total[:, z].argmax(axis=0)]
            continue
        labels[z] = 0
        for region, value in zip(total[:, z], values[1:], strict=True):
            labels[z][region > n_models / 2] = value
    return Mask(labels, volume.geometry, card.recipe.labels, header=volume.header)


def _mean(total: Floats, n_models: int) -> npt.NDArray[np.float16]:
    mean = np.empty(total.shape, dtype=np.float16)
    for output, one in enumerate(total):
        np.divide(one, n_models, out=mean[output], casting="same_kind")
    return mean
