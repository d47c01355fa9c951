"""Bare weights in a safetensors file of another program."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load as parse

from napari_medseg.errors import ModelError

MOST_BYTES = 8 << 30
LONGEST_HEADER = 16_000_000  # bytes


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors by name.

    Raises
    ------
    ModelError
        The file is damaged, too large, or names a tensor twice (which the format forbids and
        its reader lets pass).
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ModelError(f"weights must take at most {MOST_BYTES >> 30} GB", path.name)
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(LONGEST_HEADER, size - 8):
                raise ModelError("weights must be a whole safetensors file", path.name)
            json.loads(file.read(length), object_pairs_hook=_once)
        return dict(parse(path.read_bytes()))
    except ModelError as error:
        raise ModelError(error.message, path.name) from error
    except (OSError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise ModelError("weights must be a whole safetensors file", path.name) from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ModelError("a header must name each tensor once, this one repeats a name")
    return found
