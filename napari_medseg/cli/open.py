"""`medseg open`: the window, with the docks and the scans in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.paths import find_model
from napari_medseg.errors import ReadError


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command("open", epilog="Example: medseg open scan.nii.gz --model hippocampus")(open_)


def open_(
    scans: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH", help="Scans, masks, DICOM folders.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model to start with.")
    ] = None,
) -> None:
    """Open the window with the scans in it.

    napari, with the docks Segment, Correct and Fine-tune on the right.
    """
    for scan in scans or ():
        if not scan.exists():
            raise ReadError("a scan must exist; check the path", str(scan))
    path = find_model(model) if model is not None else None
    import napari

    from napari_medseg.widgets.attach import PLUGIN, new_viewer, open_all_docks, workbench_of

    viewer = new_viewer(title="napari-medseg")
    open_all_docks(viewer)
    if path is not None:
        bench = workbench_of(viewer)
        bench.adopt(bench.add_model(path))
    for scan in scans or ():
        viewer.open(scan, plugin=PLUGIN)
    napari.run()
