"""`medseg evaluate`: masks against references, two files or two folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from napari_medseg.cli.options import AsJson
from napari_medseg.cli.paths import check_output
from napari_medseg.cli.report import Report, about
from napari_medseg.errors import InputError, ReadError
from napari_medseg.jobs import Notice
from napari_medseg.volume import Label, Mask

if TYPE_CHECKING:
    from napari_medseg.evaluation.folders import FolderScores

SOME_FAILED = 5
HEADING = ("case", "label", "Dice", "Jaccard", "HD95 mm", "ASSD mm", "NSD", "ml", "ml ref")

Names: TypeAlias = "dict[int, str] | None"  # of the labels to score; None: all that occur


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(epilog="Example: medseg evaluate masks/ truth/ --labels 1=liver,2=spleen --json")(
        evaluate
    )


def evaluate(
    pred: Annotated[Path, typer.Argument(metavar="PRED", help="A mask, or a folder of masks.")],
    ref: Annotated[Path, typer.Argument(metavar="REF", help="The truth: as PRED, same names.")],
    labels: Annotated[
        str | None,
        typer.Option(metavar="1,2 or 1=NAME", help="The labels to score; else all that occur."),
    ] = None,
    tolerance_mm: Annotated[
        float, typer.Option(min=0, help="How far a surface may be off and still count for nsd.")
    ] = 1.0,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also save a table.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score masks against references.

    Dice, Jaccard, surface distances in mm and volumes in ml; of two folders, files of one name are
    a case.
    """
    from napari_medseg.evaluation.report import folder_as_json, write_csv

    wanted = _labels(labels)
    report = Report(as_json)
    if table is not None:
        check_output(table, (".csv",), (pred, ref))
    scores = _score(pred, ref, wanted, tolerance_mm, report)
    for value in _nowhere(scores, wanted or ()):
        report.warn(pred.name, f"label {value} occurs in no mask and no reference")
    if table is not None:
        write_csv(scores.cases, table)
    for name in scores.only_pred:
        report.warn(name, "a mask without a reference was left out")
    report.give({**folder_as_json(scores), "tolerance_mm": tolerance_mm}, [HEADING, *_rows(scores)])
    for name, why in scores.failed.items():
        report.refuse(InputError(why, name))
    for name in scores.only_ref:  # a mean that says nothing of them would flatter
        report.refuse(InputError("a reference must have a mask of its name, PRED has none", name))
    if scores.failed or scores.only_ref:
        raise typer.Exit(SOME_FAILED)


def _labels(text: str | None) -> Names:
    """``1=liver,2`` as {1: "liver", 2: "2"}."""
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(value.strip().isdigit() and int(value) > 0 for value, _, _ in pairs):
        raise typer.BadParameter(f"--labels takes numbers such as 1,2 or 1=liver, got {text}")
    return {int(value): name.strip() or value.strip() for value, _, name in pairs}


def _score(
    pred: Path, ref: Path, wanted: Names, tolerance_mm: float, report: Report
) -> FolderScores:
    """Two folders, or two files as a folder of one case."""
    from napari_medseg import io
    from napari_medseg.evaluation.compare import compare
    from napari_medseg.evaluation.folders import Files, FolderScores, compare_folders

    for path in (pred, ref):
        if not path.exists():
            raise ReadError("a mask or a folder of masks must exist; check the path", str(path))
    if pred.is_dir() != ref.is_dir():
        raise InputError("PRED and REF must be two files or two folders, got one of each", str(ref))
    read = _reader(wanted, report)
    if pred.is_dir():
        files = Files(read, io.stem, io.READABLE)
        job = compare_folders(pred, ref, files, tolerance_mm, wanted)
        return report.follow(
            job, pred.name, lambda event: None if isinstance(event, Notice) else event
        )
    masks = read(pred), read(ref)
    with about(pred.name):
        scores = compare(*masks, tolerance_mm, wanted)
    return FolderScores({io.stem(ref): scores}, (), (), {})


def _nowhere(scores: FolderScores, wanted: Iterable[int]) -> list[int]:
    """The labels asked for that no mask has: a typing slip, more often than not."""
    found = {
        value
        for case in scores.cases.values()
        for value, one in case.labels.items()
        if one.volume_ml_pred or one.volume_ml_ref
    }
    return [value for value in wanted if value not in found] if scores.cases else []


def _reader(wanted: Mapping[int, str] | None, report: Report) -> Callable[[Path], Mask]:
    """Reads a mask, says its warnings, and calls its labels what the user calls them."""
    from napari_medseg import io

    given = tuple(
        Label(value, name) for value, name in (wanted or {}).items() if name != str(value)
    )

    def read(path: Path) -> Mask:
        mask = io.read_mask(path)
        report.warn_all(path.name, mask.warnings)
        return replace(mask, names=(*mask.names, *given))

    return read


def _rows(scores: FolderScores) -> Iterator[tuple[object, ...]]:
    for case, one in scores.cases.items():
        for value, label in one.labels.items():
            yield case, one.names.get(value, value), *label.as_dict().values()
    if len(scores.cases) > 1:
        for value, label in scores.mean_by_label.items():
            yield "mean", value, *label.as_dict().values()
