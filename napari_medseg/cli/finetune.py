"""`medseg finetune`: a better model from corrected cases."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_medseg.cli.options import (
    AsJson,
    ConfigFile,
    Dataset,
    Minutes,
    ModelOut,
    OnDevice,
    Settings,
)
from napari_medseg.cli.paths import MODEL_ENDING, check_outputs, find_model
from napari_medseg.cli.report import Report, about
from napari_medseg.errors import DatasetError, WriteError

if TYPE_CHECKING:
    from napari_medseg.correction.record import Example
    from napari_medseg.training.dataset import Cases
    from napari_medseg.training.events import Outcome
    from napari_medseg.volume import Label


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(
        epilog="Example: medseg finetune old.safetensors corrected/ new.safetensors --minutes 5"
    )(finetune)


def finetune(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="The model to improve: a file, or a shipped one.")
    ],
    dataset: Dataset,
    out: ModelOut,
    minutes: Minutes = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps; 200 if no time is given.")
    ] = None,
    ignore: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Voxels with this value teach nothing.")
    ] = None,
    candidate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the new model, adopted or not.")
    ] = None,
    config: ConfigFile = None,
    device: OnDevice = "auto",
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Teach a model with corrected cases.

    OUT is the model to use next: the new one only if it is better on held-back corrections (mean
    Dice by more than 0.001, no label losing more than 0.01), else a copy of MODEL. All cases teach
    alike, for a folder does not tell which were corrected last.
    """
    from napari_medseg.cli.settings import gather, learning, only_one
    from napari_medseg.training.config import FineTuneConfig

    only_one(minutes=minutes, steps=steps)
    report = Report(as_json)
    parent = find_model(model)
    check_outputs((out, candidate), (MODEL_ENDING,), (parent,))
    options = {
        "minutes": minutes if steps is None else 0.0,
        "steps": steps,
        "ignore": ignore,
        "device": None if device == "auto" else device,
    }
    alike = ["recent=0"] if config is None else []
    knobs = gather(FineTuneConfig, config, [*alike, *(settings or [])], options)

    from napari_medseg.models import checkpoint
    from napari_medseg.training.session import fine_tune

    segmenter = checkpoint.load(parent)
    examples = _examples(dataset, segmenter.recipe.labels, knobs.ignore, report)
    with about(dataset.name):
        job = fine_tune(segmenter, examples, knobs)
        outcome = report.follow(job, dataset.name, learning())
    if candidate is not None:
        checkpoint.save(outcome.candidate, candidate)
    if outcome.adopted:
        checkpoint.save(outcome.segmenter, out)
    else:
        _copy(parent, out)
    _tell(outcome, out, report)


def _examples(dataset: Path, known: Sequence[Label], ignore: int, report: Report) -> list[Example]:
    """Each case as its corrected mask; a person vouches for all but the ignored voxels.

    Masks that name no structures get the names of the dataset.
    """
    from napari_medseg.correction.record import Example
    from napari_medseg.training.dataset import find_cases, read_case

    cases = find_cases(dataset)
    report.warn_all(dataset.name, (*cases.warnings, *_renamed(cases, known)))
    examples = []
    for case in cases.cases:
        volume, mask = read_case(case)
        report.warn_all(case.name, (*volume.warnings, *mask.warnings))
        mask = replace(mask, names=mask.names or cases.labels)
        examples.append(Example(volume, mask, mask.labels != ignore, case.subject))
    return examples


def _renamed(cases: Cases, known: Sequence[Label]) -> list[str]:
    """What to say of values that the dataset calls otherwise than the model.

    Raises
    ------
    DatasetError
        A structure of the model has another value there: two would be mixed up.
    """
    names = {label.value: label.name for label in known}
    values = {label.name.casefold(): label.value for label in known}
    said = []
    for label in cases.labels:
        if (value := values.get(label.name.casefold(), label.value)) != label.value:
            raise DatasetError(
                f"{label.name} must be label {value} as in the model, dataset.json says "
                f"{label.value}; renumber the masks",
                cases.name,
            )
        if (own := names.get(label.value, label.name)).casefold() != label.name.casefold():
            said.append(f"label {label.value} is {label.name} here, {own} in the model")
    return said


def _copy(parent: Path, out: Path) -> None:
    """The parent under a new name, whole or not at all."""
    beside = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(parent, beside)
        beside.replace(out)
    except OSError as error:
        raise WriteError(
            f"a model must be saved, {error.strerror}; choose another folder", out.name
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def _tell(outcome: Outcome, out: Path, report: Report) -> None:
    document = {
        "before": outcome.before,
        "after": outcome.after,
        "adopted": outcome.adopted,
        "why": outcome.why,
        "seconds": outcome.seconds,
        "path": str(out),
    }
    rows = [(name, dice, outcome.after.get(name, "–")) for name, dice in outcome.before.items()]
    verdict = "adopted" if outcome.adopted else "not adopted"
    report.give(document, [("label", "Dice before", "after"), *rows, (verdict, outcome.why)])
