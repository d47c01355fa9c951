"""Options that several commands share, each stated once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise typer.BadParameter(f"must be auto, cpu, cuda, cuda:1 or mps, got {text}")
    return text


AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")
]
Series: TypeAlias = Annotated[
    str | None, typer.Option("--series", help="Which series of a folder; 'medseg info' lists them.")
]
OnDevice: TypeAlias = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|mps",
        help="Where the network runs; cuda:1 is the second GPU.",
        callback=_device,
    ),
]
ModelName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="M", help="A .safetensors file, or the name of a shipped model."
    ),
]
Scan: TypeAlias = Annotated[
    Path, typer.Argument(metavar="IN", help="A scan: a file, or a DICOM folder.")
]
Dataset: TypeAlias = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET",
        help="A folder with images/ and labels/ of equal names, or nnU-Net's imagesTr/ labelsTr/.",
    ),
]
ModelOut: TypeAlias = Annotated[
    Path, typer.Argument(metavar="OUT", help="The new model, a .safetensors file.")
]
Minutes: TypeAlias = Annotated[
    float | None, typer.Option("--minutes", min=0.01, help="Train for so long.")
]
ConfigFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="A JSON file of settings.")
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="One setting more, as in the JSON file; may be repeated."
    ),
]
