"""Options that several commands share, each stated once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


class Device(StrEnum):
    """Where a network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")
]
Series: TypeAlias = Annotated[
    str | None, typer.Option("--series", help="Which series of a folder; 'medseg info' lists them.")
]
OnDevice: TypeAlias = Annotated[Device, typer.Option("--device", help="Where the network runs.")]
ModelName: TypeAlias = Annotated[
    str, typer.Option("--model", "-m", help="A .safetensors file, or the name of a shipped model.")
]
Scan: TypeAlias = Annotated[
    Path, typer.Argument(metavar="IN", help="A scan: a file, or a DICOM folder.")
]
