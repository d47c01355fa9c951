"""`medseg begin`: the rest of a scan, and a model, from a few painted slices."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_medseg.cli.options import AsJson, ModelOut, OnDevice, Scan
from napari_medseg.cli.paths import MODEL_ENDING, check_output
from napari_medseg.cli.report import Report, about


def add_to(app: typer.Typer) -> None:
    """Offer the command."""
    app.command(
        epilog="Example: medseg begin scan.nii.gz painted.nii.gz new.safetensors --mask all.nii.gz"
    )(begin)


def begin(
    scan: Scan,
    painted: Annotated[
        Path,
        typer.Argument(metavar="PAINTED", help="A mask with the structures in a few slices only."),
    ],
    out: ModelOut,
    mask: Annotated[
        Path | None, typer.Option("--mask", metavar="FILE", help="Write the whole mask there.")
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="For all; the mask takes some ten of them.")
    ] = 60.0,
    device: OnDevice = "auto",
    as_json: AsJson = False,
) -> None:
    """Follow structures from a few painted slices through a scan, and begin a model with them.

    Paint each structure whole, in three slices or more: what is not painted there is background.
    """
    from napari_medseg.io import MASK_WRITABLE, read, read_mask, write_mask

    report = Report(as_json)
    check_output(out, (MODEL_ENDING,))
    if mask is not None:
        check_output(mask, MASK_WRITABLE, (scan, painted))
    volume, strokes = read(scan), read_mask(painted)
    report.warn_all(scan.name, (*volume.warnings, *strokes.warnings))

    from napari_medseg.cli.settings import learning
    from napari_medseg.correction.record import Example
    from napari_medseg.training.begun import ScratchConfig
    from napari_medseg.training.scratch import from_nothing_file

    example = Example(volume, strokes, strokes.labels > 0)
    config = ScratchConfig(name=out.name.removesuffix(MODEL_ENDING), seconds=seconds, device=device)
    with about(scan.name):
        done = report.follow(from_nothing_file(example, config, out), scan.name, learning())
    if mask is not None:
        write_mask(done.mask, mask)
    document = {"path": str(out), "version": done.model.version, "seconds": done.seconds}
    report.give(document, [(out, done.model.version, f"{done.seconds:.0f} s")])
