"""`medseg models import` and `export`: models from other programs, and for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from napari_medseg.cli.options import AsJson
from napari_medseg.cli.paths import MODEL_ENDING, check_output, find_model
from napari_medseg.cli.report import Report, about
from napari_medseg.preprocess.recipe import Normalise

T = TypeVar("T", int, float)
Source = Annotated[
    Path,
    typer.Argument(
        metavar="SRC",
        help="An nnU-Net v2 results folder, a MONAI bundle's folder, or a .onnx file.",
    ),
]
Target = Annotated[Path, typer.Argument(metavar="OUT", help="The new model, a .safetensors file.")]
FOR_ONNX = "For ONNX files that our own export did not make"
EXPORT_HELP = "A .onnx file, a .pt file (TorchScript), or a folder (nnU-Net)."


def add_to(group: typer.Typer) -> None:
    """Offer the commands."""
    folder = "nnUNet_results/Dataset004/nnUNetTrainer__nnUNetPlans__3d_fullres"
    group.command(
        "import", epilog=f"Example: medseg models import {folder} hippocampus.safetensors"
    )(import_)
    group.command("export", epilog="Example: medseg models export hippocampus hippocampus.onnx")(
        export
    )


def import_(
    source: Source,
    out: Target,
    configuration: Annotated[
        str, typer.Option(help="nnU-Net's, such as 3d_fullres, where a folder has several.")
    ] = "",
    folds: Annotated[str, typer.Option(metavar="0,1,…", help="nnU-Net's; else all.")] = "",
    checkpoint: Annotated[
        str, typer.Option(help="nnU-Net's file in each fold.")
    ] = "checkpoint_final.pth",
    labels: Annotated[
        str, typer.Option(metavar="NAME,…", help=f"{FOR_ONNX}: names of the outputs 1, 2, …")
    ] = "",
    channels: Annotated[str, typer.Option(metavar="NAME,…", help="Likewise: the inputs.")] = "",
    spacing: Annotated[
        str, typer.Option(metavar="Z,Y,X", help="Likewise: in mm; else each scan's own.")
    ] = "",
    normalise: Annotated[
        Normalise | None, typer.Option(help="Likewise: how intensities are scaled.")
    ] = None,
    window: Annotated[
        str, typer.Option(metavar="LOW,HIGH", help="Likewise: for ct-window and range.")
    ] = "",
    patch: Annotated[str, typer.Option(metavar="Z,Y,X", help="Likewise: voxels of a tile.")] = "",
    orientation: Annotated[
        str, typer.Option(help="Likewise: the sides that x, y and z grow to; LPS, RAS …")
    ] = "LPS",
    as_json: AsJson = False,
) -> None:
    """Make a model of ours of another program's; no code of it is run."""
    check_output(out, [MODEL_ENDING], [source])
    given = {
        "configuration": configuration,
        "folds": _numbers(folds, "--folds", int),
        "checkpoint": checkpoint,
        "labels": _words(labels),
        "channels": _words(channels),
        "spacing_mm": _numbers(spacing, "--spacing", float, 3),
        "normalise": normalise,
        "window": _numbers(window, "--window", float, 2) or None,
        "patch": _numbers(patch, "--patch", int, 3),
        "orientation": orientation.upper(),
    }
    from napari_medseg.models.foreign import import_job
    from napari_medseg.models.import_options import ImportOptions

    report = Report(as_json)
    with about(source.name):
        job = import_job(source, out, ImportOptions(**given))  # type: ignore[arg-type]
        card = report.follow(job, source.name)
    found = {label.name: label.value for label in card.recipe.labels}
    document = {
        "path": str(out),
        "name": card.name,
        "version": card.version,
        "from": card.lineage.config.get("from", ""),
        "network": str(card.network.family),
        "labels": found,
    }
    report.give(document, [("saved", out), ("name", card.name), ("labels", ", ".join(found))])


def export(
    model: Annotated[
        str, typer.Argument(metavar="M", help="A .safetensors file, or a shipped model's name.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help=EXPORT_HELP)],
    as_json: AsJson = False,
) -> None:
    """Write a model for other programs; the ending says for which."""
    path = find_model(model)
    if out.suffix:
        from napari_medseg.models.export import ENDINGS

        check_output(out, ENDINGS, [path])
    from napari_medseg.models.checkpoint import load
    from napari_medseg.models.export import export_model

    with about(path.name):
        kind = export_model(load(path), out)
    Report(as_json).give({"path": str(out), "format": kind}, [("saved", out), ("as", kind)])


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _numbers(text: str, option: str, kind: Callable[[str], T], how_many: int = 0) -> tuple[T, ...]:
    """ "1.5,1,1" as numbers.

    Raises
    ------
    typer.BadParameter
        They are none, or not as many as there should be.
    """
    try:
        found = tuple(kind(word) for word in _words(text))
    except ValueError as error:
        raise typer.BadParameter(f"{option} must be numbers with commas, got {text}") from error
    if found and how_many and len(found) != how_many:
        raise typer.BadParameter(f"{option} must be {how_many} numbers, got {len(found)}")
    return found
