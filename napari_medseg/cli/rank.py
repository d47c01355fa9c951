"""`medseg rank`: which cases to correct first, and how good their masks probably are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medseg.cli.options import AsJson, OnDevice
from napari_medseg.cli.paths import find_model
from napari_medseg.cli.report import Report, about
from napari_medseg.errors import MedsegError, ReadError
from napari_medseg.inference.config import PredictConfig

if TYPE_CHECKING:
    from napari_medseg.active.predicted import Judge
    from napari_medseg.active.ranking import CaseSigns, Ranked, Slice
    from napari_medseg.inference.judging import Corrected
    from napari_medseg.models.segmenter import Segmenter

SOME_FAILED = 5
SHOWN = 3  # slices of each case
APART_MM = 3.0  # they are to show different errors
IMAGES = ("images", "imagesTs", "imagesTr")


@dataclass(frozen=True)
class _Seen:
    """A case as its passes saw it."""

    case: CaseSigns
    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class _Models:
    """The model that is asked, its other versions, and how."""

    segmenter: Segmenter
    versions: tuple[Segmenter, ...]
    config: PredictConfig


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(epilog="Example: medseg rank hippocampus scans/ --calibrate corrected/ --json")(
        rank
    )


def rank(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A .safetensors file, or a shipped model's name.")
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Scans, or a dataset with images/.")
    ],
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="DATASET",
            help="Corrected cases, images/ and labels/, that did not teach the model; else what it "
            "keeps of the cases that examined it.",
        ),
    ] = None,
    version: Annotated[
        list[str] | None,
        typer.Option(metavar="M", help="An earlier version of the model; may be repeated."),
    ] = None,
    device: OnDevice = "auto",
    as_json: AsJson = False,
) -> None:
    """Rank cases by what correcting them is worth, without their truth.

    The Dice of each label is predicted from how far the model agrees with itself on the scan as it
    is and changed a little, calibrated on corrected cases, with an interval for nine of ten.
    """
    from napari_medseg.active import ranking
    from napari_medseg.inference.agreement import check_labels
    from napari_medseg.models import checkpoint

    report = Report(as_json)
    scans = _scans(folder)
    paths = [find_model(one) for one in (model, *(version or ()))]
    asked, *others = [checkpoint.load(path) for path in paths]
    check_labels(asked, others)
    models = _Models(asked, tuple(others), PredictConfig(device=device))
    judge = _judge(calibrate, models, report)
    seen, failed = {}, False
    for number, path in enumerate(scans):
        try:
            one = _look(path, models, judge, report, f"{path.name} ({number + 1}/{len(scans)})")
            seen[one.case.name] = one
        except MedsegError as error:
            report.refuse(error)
            failed = True
    names = {label.value: label.name for label in asked.recipe.labels}
    order = ranking.cases([one.case for one in seen.values()], names)
    cases = [_as_json(one, seen[one.name], names) for one in order]
    document = {"cases": cases, "calibration": {"cases": judge.cases, "error": judge.error}}
    report.give(document, [_heading(names), *_rows(order, seen, names)])
    if failed:
        raise typer.Exit(SOME_FAILED)


def _scans(folder: Path) -> list[Path]:
    """The scans of a folder, or of its images/."""
    from napari_medseg import io

    if not folder.is_dir():
        raise ReadError("a folder of scans must exist, it does not; check the path", str(folder))
    inner = next((folder / one for one in IMAGES if (folder / one).is_dir()), folder)
    endings = tuple(io.READABLE)
    found = sorted(
        path
        for path in inner.iterdir()
        if path.name.lower().endswith(endings) and not path.name.startswith(".")
    )
    if not found:
        raise ReadError("a folder of scans must hold scans, there are none; check it", str(folder))
    return found


def _judge(dataset: Path | None, models: _Models, report: Report) -> Judge:
    """Calibrated on a dataset, or on what the model itself keeps."""
    from napari_medseg.active.predicted import FEWEST, Judge, calibrated
    from napari_medseg.inference.judging import as_prepared, in_memory, known_from

    segmenter, versions = models.segmenter, models.versions
    if dataset is None:
        name, cases = segmenter.name, in_memory(segmenter)
        segmenter, versions = as_prepared(segmenter), tuple(map(as_prepared, versions))
    else:
        name, cases = dataset.name, _corrected(dataset)
    there = len({one.subject for one in cases})
    judge = Judge(there)
    if there >= FEWEST:
        job = known_from(cases, segmenter, versions, models.config)
        judge = calibrated(report.follow(job, f"calibrating with {name}"))
    if judge.line is None:
        why = f"calibrating takes {FEWEST} corrected cases, there are {judge.cases}"
        report.warn(name, f"{why}: Dice is the model's own opinion; give --calibrate DATASET")
    return judge


def _corrected(dataset: Path) -> tuple[Corrected, ...]:
    from napari_medseg.inference.judging import Corrected
    from napari_medseg.training.dataset import find_cases, read_case

    found = find_cases(dataset).cases
    return tuple(Corrected(one.subject, partial(read_case, one)) for one in found)


def _look(path: Path, models: _Models, judge: Judge, report: Report, name: str) -> _Seen:
    """One case: its guesses, and the slices where most is probably wrong."""
    from napari_medseg import io
    from napari_medseg.active import ranking
    from napari_medseg.inference.agreement import agreement

    with about(path.name):
        volume = io.read(path)
        report.warn_all(path.name, volume.warnings)
        job = agreement(volume, models.segmenter, models.versions, models.config)
        found = report.follow(job, name)
        guesses = {label: judge.guess(signs, label) for label, signs in found.signs.items()}
    case = ranking.CaseSigns(io.stem(path), guesses, found.signs)
    spacing_mm = volume.geometry.spacing_mm
    return _Seen(case, ranking.slices(found.wrong, spacing_mm, most=SHOWN, apart_mm=APART_MM))


def _as_json(one: Ranked, seen: _Seen, names: dict[int, str]) -> dict[str, Any]:
    return {
        "name": one.name,
        "worth": one.worth,
        "new": one.new,
        "why": one.why,
        "labels": {
            names[value]: {"dice": guess.dice, "low": guess.low, "high": guess.high}
            for value, guess in seen.case.guesses.items()
        },
        "slices": [
            {"axis": each.axis, "index": each.index, "wrong_mm2": each.wrong_mm2}
            for each in seen.slices
        ],
    }


def _heading(names: dict[int, str]) -> tuple[str, ...]:
    return ("case", "worth", *(f"Dice {name}" for name in names.values()), "slices first")


def _rows(
    order: Sequence[Ranked], seen: dict[str, _Seen], names: dict[int, str]
) -> Iterator[tuple[object, ...]]:
    for one in order:
        guesses = seen[one.name].case.guesses
        shown = (str(guesses[value]) if value in guesses else "–" for value in names)
        places = ", ".join(str(each.index) for each in seen[one.name].slices)
        yield one.name, one.worth, *shown, places
