"""`medseg simulate`: what would correcting bring? A virtual person tries it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from napari_medseg.cli.options import AsJson, ConfigFile, Dataset, OnDevice, Settings
from napari_medseg.cli.paths import check_output, find_model
from napari_medseg.cli.report import Report, about, in_words

if TYPE_CHECKING:
    from napari_medseg.training.dataset import Case
    from napari_medseg.training.simulation import Row, Strategy

HEADING = ("strategy", "seed", "cases", "mean Dice", "by label", "strokes", "work s", "learning s")


Start: TypeAlias = Annotated[
    str, typer.Argument(metavar="MODEL", help="The model to begin with: a file, or a shipped one.")
]
Number: TypeAlias = Annotated[
    int | None, typer.Option("--cases", min=1, help="Cases to correct, 20 if nothing is said.")
]
Held: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="N|FOLDER",
        help="Score on the last N cases, or on a dataset of its own; else on those that DATASET "
        "holds back, or a fifth of the subjects.",
    ),
]
Strategies: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="ours, no_gate (like RootPainter), restart (like Cellpose), scratch (like nnU-Net) "
        "or none; may be repeated.",
    ),
]
Budget: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Strokes per case at most, 10 if nothing is said.")
]
BrushMm: TypeAlias = Annotated[
    float | None, typer.Option(min=0.1, help="Diameter of the brush, else 6.")
]
NoiseMm: TypeAlias = Annotated[
    float | None, typer.Option(min=0, help="How unsteady the hand is, else 0.3.")
]
Goal: TypeAlias = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Dice that a case is good enough at, else 0.9."),
]
Steps: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Optimiser steps of each fine-tune, else 200.")
]
ScratchSteps: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Of a training from scratch, else as many as all so far.")
]
Seeds: TypeAlias = Annotated[
    int, typer.Option(metavar="N", min=1, help="Run each strategy N times, cases in other orders.")
]
Table: TypeAlias = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Also save a table.")
]
Chart: TypeAlias = Annotated[
    Path | None, typer.Option("--png", metavar="FILE", help="Also save a chart.")
]


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(
        epilog="Example: medseg simulate start.safetensors cases/ --cases 20 --held 39 "
        "--strategy ours --strategy no_gate --csv curve.csv --png curve.png"
    )(simulate)


def simulate(
    model: Start,
    dataset: Dataset,
    cases: Number = None,
    held: Held = None,
    strategy: Strategies = None,
    budget: Budget = None,
    brush_mm: BrushMm = None,
    noise_mm: NoiseMm = None,
    goal: Goal = None,
    steps: Steps = None,
    scratch_steps: ScratchSteps = None,
    seeds: Seeds = 1,
    table: Table = None,
    chart: Chart = None,
    config: ConfigFile = None,
    settings: Settings = None,
    device: OnDevice = "auto",
    as_json: AsJson = False,
) -> None:
    """Let a virtual person correct case after case, and see how the model gets better.

    It knows the truth and paints over the worst errors with a real brush. The model learns as in
    the window; settings are those of a fine-tune. Held-back cases are only scored.
    """
    from napari_medseg.cli.settings import gather
    from napari_medseg.training.config import FineTuneConfig
    from napari_medseg.training.simulation import SimulateConfig

    wanted = _strategies(strategy)
    for path, ending in ((table, ".csv"), (chart, ".png")):
        if path is not None:
            check_output(path, (ending,), (dataset,))
    options = {"steps": steps, "device": None if device == "auto" else device}
    learning = gather(FineTuneConfig, config, settings, options)
    person = _with(SimulateConfig().person, budget=budget, brush_mm=brush_mm, noise_mm=noise_mm)
    knobs = _with(
        SimulateConfig(person=person, learning=learning),
        cases=cases,
        goal=goal,
        scratch_steps=scratch_steps,
    )
    parent, report = find_model(model), Report(as_json)
    teaching, scored = _sides(dataset, held, report)

    from napari_medseg.training.simulate import compare_with

    with about(dataset.name):
        job = compare_with(parent, teaching, scored, knobs, wanted, range(seeds))
        rows = report.follow(job, dataset.name, _read)
    _save(rows, knobs.goal, table, chart)
    _tell(rows, len(scored), knobs.goal, report)


def _strategies(names: Sequence[str] | None) -> list[Strategy]:
    from napari_medseg.training.simulation import Strategy

    try:
        return [Strategy(name) for name in dict.fromkeys(names or ["ours"])]
    except ValueError as error:
        known = ", ".join(Strategy)
        raise typer.BadParameter(f"--strategy must be one of {known}: {error}") from error


def _with(config: Any, **options: object) -> Any:
    """The settings with the options that were given."""
    from napari_medseg.errors import TrainingError

    try:
        return replace(
            config, **{key: value for key, value in options.items() if value is not None}
        )
    except TrainingError as error:
        raise typer.BadParameter(str(error)) from error


def _sides(
    dataset: Path, held: str | None, report: Report
) -> tuple[tuple[Case, ...], tuple[Case, ...]]:
    """Cases to correct, and those that are only scored."""
    from napari_medseg.training.config import TrainConfig
    from napari_medseg.training.dataset import find_cases, split

    found = find_cases(dataset)
    report.warn_all(dataset.name, found.warnings)
    if held is not None and not held.isdigit():
        other = find_cases(Path(held))
        report.warn_all(other.name, other.warnings)
        return found.cases, other.cases
    if held is not None and int(held) < 1:
        raise typer.BadParameter("--held must be 1 or more, got 0")
    sides = split(found, TrainConfig(validation_last=int(held or 0)))
    report.warn_all(dataset.name, sides.warnings)
    return sides.train, sides.validation


def _read(event: object) -> object:
    """A corrected case as a line."""
    from napari_medseg.training.simulation import CaseDone

    if not isinstance(event, CaseDone):
        return event
    row = event.row
    dice = f"; Dice {in_words(row.dice)}" if row.dice else ""
    if not row.cases:
        return f"{row.strategy}, seed {row.seed}: before{dice}"
    taken = "adopted" if row.adopted else f"not adopted, {row.why}"
    work = f"{row.strokes} strokes ({row.needed} needed)"
    return f"{row.strategy}, seed {row.seed}, case {row.cases} {row.case}: {work}{dice}; {taken}"


def _save(rows: Sequence[Row], goal: float, table: Path | None, chart: Path | None) -> None:
    from napari_medseg.training.simulation import write_csv, write_png

    if table is not None:
        write_csv(rows, table)
    if chart is not None:
        write_png(rows, chart, goal)


def _tell(rows: Sequence[Row], held: int, goal: float, report: Report) -> None:
    document = {
        "held": held,
        "goal": goal,
        "rows": [{**asdict(row), "dice_mean": row.dice_mean} for row in rows],
    }
    lines = [
        (
            row.strategy,
            row.seed,
            row.cases,
            row.dice_mean,
            in_words(row.dice),
            row.strokes_total,
            row.seconds_total,
            row.learning_s_total,
        )
        for row in rows
        if row.dice
    ]
    report.give(document, [HEADING, *lines])
