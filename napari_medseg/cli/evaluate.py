"""`medseg evaluate`: masks against references, two files or two folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import typer

from napari_medseg.cli.options import AsJson
from napari_medseg.cli.report import Report, about
from napari_medseg.errors import InputError, MedsegError, ReadError

if TYPE_CHECKING:
    from napari_medseg.evaluation.compare import LabelScores, Scores

SOME_FAILED = 5

Named: TypeAlias = "dict[str, dict[str, LabelScores]]"  # by case, then by label


class Pair(NamedTuple):
    """A case: its mask and its reference."""

    name: str
    pred: Path
    ref: Path


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(epilog="Example: medseg evaluate masks/ truth/ --labels 1=liver,2=spleen --json")(
        evaluate
    )


def _labels(text: str | None) -> dict[int, str] | None:
    """``1=liver,2`` as {1: "liver", 2: "2"}."""
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(value.strip().isdigit() and int(value) > 0 for value, _, _ in pairs):
        raise typer.BadParameter(f"--labels takes numbers such as 1,2 or 1=liver, got {text}")
    return {int(value): name.strip() or value.strip() for value, _, name in pairs}


def evaluate(
    pred: Annotated[Path, typer.Argument(metavar="PRED", help="A mask, or a folder of masks.")],
    ref: Annotated[Path, typer.Argument(metavar="REF", help="The truth: as PRED, same names.")],
    labels: Annotated[
        str | None,
        typer.Option(metavar="1,2 | 1=NAME", help="The labels to score; else all that occur."),
    ] = None,
    tolerance_mm: Annotated[
        float, typer.Option(min=0, help="How far a surface may be off and still count for nsd.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Score masks against references.

    Dice, Jaccard, surface distances in mm and volumes in ml; of two folders, files of one name are
    a case.
    """
    wanted = _labels(labels)
    report = Report(as_json)
    pairs = list(_pairs(pred, ref, report))
    found: Named = {}
    failed: list[str] = []
    for pair in pairs:
        try:
            found[pair.name] = _named(_score(pair, wanted, tolerance_mm, report), wanted)
        except MedsegError as error:
            if len(pairs) == 1 and pred.is_file():
                raise
            report.refuse(error)
            failed.append(pair.name)
    missing = _missing(ref, pairs, report)
    _tell(found, [*failed, *missing], tolerance_mm, report)
    if failed or missing:
        raise typer.Exit(SOME_FAILED)


def _pairs(pred: Path, ref: Path, report: Report) -> Iterator[Pair]:
    """Files of one name, whatever their format; never by order."""
    from napari_medseg import io

    for path in (pred, ref):
        if not path.exists():
            raise ReadError("a mask or a folder of masks must exist; check the path", str(path))
    if pred.is_dir() != ref.is_dir():
        raise InputError("PRED and REF must be two files or two folders; give two of a kind")
    if pred.is_file():
        yield Pair(io.stem(ref), pred, ref)
        return
    preds, refs = _masks(pred), _masks(ref)
    if not preds.keys() & refs.keys():
        raise InputError(
            f"a mask must have the name of its reference in '{ref}'; rename", str(pred)
        )
    for name in sorted(preds.keys() - refs.keys()):
        report.warn(name, "a mask without a reference is left out")
    for name in sorted(preds.keys() & refs.keys()):
        yield Pair(name, preds[name], refs[name])


def _masks(folder: Path) -> dict[str, Path]:
    """The files of a folder that can be masks, by name."""
    from napari_medseg import io

    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return {io.stem(p): p for p in files if p.name.lower().endswith(tuple(io.READABLE))}


def _missing(ref: Path, pairs: list[Pair], report: Report) -> list[str]:
    """References that nothing was predicted for: a mean without them would flatter."""
    if ref.is_file():
        return []
    names = sorted(_masks(ref).keys() - {pair.name for pair in pairs})
    for name in names:
        report.refuse(InputError("a reference must have a mask of its name, PRED has none", name))
    return names


def _score(
    pair: Pair, wanted: Mapping[int, str] | None, tolerance_mm: float, report: Report
) -> Scores:
    from napari_medseg import io
    from napari_medseg.evaluation.compare import compare

    with about(pair.name):
        pred, ref = io.read_mask(pair.pred), io.read_mask(pair.ref)
        report.warn_all(pair.name, (*pred.warnings, *ref.warnings))
        return compare(pred, ref, tolerance_mm, wanted)


def _named(scores: Scores, wanted: Mapping[int, str] | None) -> dict[str, LabelScores]:
    """By the name the user gave, else the one the file knows, else the value."""
    names = {**scores.names, **{v: n for v, n in (wanted or {}).items() if n != str(v)}}
    return {names.get(value, str(value)): one for value, one in scores.labels.items()}


def _tell(found: Named, failed: list[str], tolerance_mm: float, report: Report) -> None:
    from napari_medseg.evaluation.compare import mean_scores

    labels = list(dict.fromkeys(label for case in found.values() for label in case))
    mean = {n: mean_scores(case[n] for case in found.values() if n in case) for n in labels}
    document: dict[str, Any] = {
        "cases": {case: _plain(scores) for case, scores in found.items()},
        "mean": _plain(mean),
        "failed": failed,
        "tolerance_mm": tolerance_mm,
    }
    heading = ("case", "label", "Dice", "Jaccard", "HD95 mm", "ASSD mm", "NSD", "ml", "ml ref")
    sections = {**found, "mean": mean} if len(found) > 1 else found
    rows = [
        (case, label, *one.as_dict().values())
        for case, scores in sections.items()
        for label, one in scores.items()
    ]
    report.give(document, [heading, *rows])


def _plain(scores: Mapping[str, LabelScores]) -> dict[str, dict[str, float]]:
    return {label: one.as_dict() for label, one in scores.items()}
