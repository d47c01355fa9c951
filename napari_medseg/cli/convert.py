"""`medseg convert`: the same scan or mask in another format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.options import AsJson, Scan, Series
from napari_medseg.cli.paths import check_output
from napari_medseg.cli.report import Report, about


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(epilog="Example: medseg convert dicom_folder/ scan.nii.gz --series T1")(convert)


def convert(
    scan: Scan,
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The new file; its ending picks the format.")
    ],
    series: Series = None,
    as_json: AsJson = False,
) -> None:
    """Write a scan or mask in another format.

    Any format that is read becomes any that is written; values and geometry are kept.
    """
    from napari_medseg import io

    report = Report(as_json)
    check_output(out, io.WRITABLE, (scan,))
    with about(scan):
        volume = io.read(scan, series)
    report.warn_all(scan.name, volume.warnings)
    with about(out):
        io.write_volume(volume, out)
    grid = volume.geometry
    document = {"out": str(out), "shape": volume.array.shape, "spacing_mm": grid.spacing_mm}
    report.give(document, [(out, str(grid))])
