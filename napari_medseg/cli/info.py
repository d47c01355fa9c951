"""`medseg info`: what a file or folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_medseg.cli.options import AsJson
from napari_medseg.cli.report import Report, about

if TYPE_CHECKING:
    from napari_medseg.io import SeriesInfo

HEADING = (
    "series",
    "modality",
    "shape (Z, Y, X)",
    "spacing (Z, Y, X) mm",
    "axes",
    "type",
    "channels",
)


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(epilog="Example: medseg info scan.nii.gz --json")(info)


def info(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A file, or a folder of DICOM files.")
    ],
    as_json: AsJson = False,
    label_of: Annotated[
        Path | None,
        typer.Option("--label-of", help="Also check PATH as a mask of this scan."),
    ] = None,
) -> None:
    """Show what a file or folder holds.

    Each series with its grid, orientation and channels, and a warning for whatever is odd.
    """
    from napari_medseg import io

    report = Report(as_json)
    with about(path):
        series = io.list_series(path)
    if label_of is not None:
        with about(path):
            report.warn_all(path.name, io.check_label(path, label_of))
    for one in series:
        report.warn_all(one.name or path.name, one.warnings)
    report.give({"series": [_document(one) for one in series]}, [HEADING, *map(_row, series)])


def _document(one: SeriesInfo) -> dict[str, Any]:
    return {
        "name": one.name,
        "modality": one.modality,
        "shape": one.shape,
        "spacing_mm": one.spacing_mm,
        "affine_ras": one.affine_ras,
        "axcodes": one.axcodes,
        "dtype": str(one.dtype),
        "channels": one.channels,
        "unit": one.unit,
        "range": one.value_range,
        "warnings": one.warnings,
    }


def _row(one: SeriesInfo) -> tuple[object, ...]:
    shape = " × ".join(str(n) for n in one.shape)
    spacing = " × ".join(f"{mm:.4g}" for mm in one.spacing_mm)
    return one.name, one.modality or "–", shape, spacing, one.axcodes, one.dtype, one.channels
