"""A training's settings from the command line: a file, then ``--set``, then the options."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer

from napari_medseg.cli.report import Reading, in_words
from napari_medseg.errors import TrainingError
from napari_medseg.jobs import Progress
from napari_medseg.training.config import (
    FineTuneConfig,
    TrainConfig,
    as_json,
    from_json,
    load_config,
)
from napari_medseg.training.events import CleaningLearned, StepDone, Validated

C = TypeVar("C", TrainConfig, FineTuneConfig)


def gather(
    kind: type[C],
    file: Path | None,
    settings: Sequence[str] | None,
    options: Mapping[str, object],
) -> C:
    """The settings of a run; options that are None were not given.

    Raises
    ------
    TrainingError
        The file is wrong.
    typer.BadParameter
        What stands on the command line is.
    """
    config = load_config(file, kind) if file is not None else kind()  # a bad file is no bad usage
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return from_json({**as_json(config), **dict(map(_pair, settings or ())), **given}, kind)
    except TrainingError as error:
        raise typer.BadParameter(str(error)) from error


def only_one(**options: object) -> None:
    """Refuse two options that exclude each other."""
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"only one of {' and '.join(given)} can be given")


def learning() -> Reading:
    """Reads a training's events for `Report.follow`: steps are progress, scores are lines."""
    dice = ""

    def read(event: object) -> object:
        nonlocal dice
        if isinstance(event, Validated):
            dice = f"Dice {in_words(event.dice)}"
            return f"step {event.step}: {dice}"
        if isinstance(event, CleaningLearned):
            return f"masks will be cleaned: {event.text}"
        if isinstance(event, StepDone):
            parts = [f"step {event.step}", f"loss {event.loss:.3f}", dice, _left(event)]
            return Progress(event.step, event.total, ", ".join(part for part in parts if part))
        return event

    return read


def _left(event: StepDone) -> str:
    """Where only the time is limited the bar cannot tell how long it takes."""
    return "" if event.total or event.seconds_left is None else f"{event.seconds_left:.0f} s left"


def _pair(text: str) -> tuple[str, Any]:
    """``KEY=VALUE``; a value that is no JSON is a word."""
    key, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set takes KEY=VALUE, got {text}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
