"""`medseg train`: a model from labelled cases."""

from __future__ import annotations

from dataclasses import asdict
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
from napari_medseg.cli.paths import MODEL_ENDING, check_output
from napari_medseg.cli.report import Report, about, in_words
from napari_medseg.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_medseg.jobs import Job
    from napari_medseg.models.card import ModelCard
    from napari_medseg.models.segmenter import Segmenter
    from napari_medseg.training.config import TrainConfig
    from napari_medseg.training.dataset import Cases
    from napari_medseg.training.search import Found, Trial


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(epilog="Example: medseg train cases/ model.safetensors --minutes 30 --run run/")(
        train
    )


def train(
    dataset: Dataset,
    out: ModelOut,
    minutes: Minutes = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the cases; 100 if no time is given.")
    ] = None,
    config: ConfigFile = None,
    validation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Names of the held-back cases, one a line."),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep TensorBoard's curves there, and what it takes to go on after a stop.",
        ),
    ] = None,
    search: Annotated[
        int | None,
        typer.Option(
            min=2, metavar="N", help="Train N times with other settings each; OUT is the best one."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the stopped run of --run.")] = True,
    name: Annotated[str | None, typer.Option(help="What users see; else OUT's stem.")] = None,
    device: OnDevice = "auto",
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Train a model from labelled cases.

    Some subjects are held back and score it. Ctrl-C stops at once; with --run the same command goes
    on later.
    """
    from napari_medseg.cli.settings import gather, only_one
    from napari_medseg.training.config import TrainConfig
    from napari_medseg.training.dataset import find_cases

    only_one(minutes=minutes, epochs=epochs)
    report = Report(as_json)
    check_output(out, (MODEL_ENDING,))
    options = {
        "minutes": minutes if epochs is None else 0.0,
        "epochs": epochs,
        "steps": None if minutes is None and epochs is None else 0,
        "validation": _names(validation),
        "run_folder": str(run) if run is not None else None,
        "resume": None if resume else False,
        "name": name or (None if config else out.name.removesuffix(MODEL_ENDING)),
        "device": None if device == "auto" else device,
    }
    knobs = gather(TrainConfig, config, settings, options)
    cases = find_cases(dataset)
    report.warn_all(dataset.name, cases.warnings)

    _run(cases, knobs, search, out, report)


def _run(cases: Cases, knobs: TrainConfig, trials: int | None, out: Path, report: Report) -> None:
    """Train once, or as often as a search wants."""
    from napari_medseg.cli.settings import learning
    from napari_medseg.models import checkpoint  # torch comes with these: seconds
    from napari_medseg.training.search import Found, search
    from napari_medseg.training.session import train as session

    job: Job[Segmenter | Found] = (
        session(cases, knobs) if trials is None else search(cases, knobs, trials)
    )
    with about(cases.name):
        ended = report.follow(job, cases.name, learning())
    found = ended if isinstance(ended, Found) else Found(ended, ())
    _tell(checkpoint.save(found.segmenter, out), found.trials, report)


def _tell(card: ModelCard, trials: Sequence[Trial], report: Report) -> None:
    scores = dict(card.lineage.scores)
    document = {
        "path": str(card.path),
        "version": card.version,
        "dice": scores,
        "cases": card.lineage.cases,
        "clean": list(map(asdict, card.recipe.clean)),
        **({"trials": list(map(asdict, trials))} if trials else {}),
    }
    report.give(document, [(card.path, card.version, f"Dice {in_words(scores)}")])


def _names(path: Path | None) -> list[str] | None:
    """The lines of a file; empty ones and comments (#) left out."""
    if path is None:
        return None
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"a list of names must be a text file: {error}", path.name) from error
    return [line for line in lines if line and not line.startswith("#")]
