"""What an interrupted run needs to go on: one file, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from napari_medseg.errors import WriteError
from napari_medseg.training.config import TrainConfig, as_json

STATE = "state.pt"
SETTINGS = "settings.json"


class RunFolder:
    """The folder of one run; an empty name keeps nothing.

    Raises
    ------
    WriteError
        There can be no such folder.
    """

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) if folder else None
        if self.path is not None:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise WriteError(
                    f"a run must have a folder, {error.strerror}; choose another one",
                    self.path.name,
                ) from error

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the state beside the old one, then put it in its place.

        Raises
        ------
        WriteError
            The folder does not take it; the old state is still there.
        """
        if self.path is None:
            return
        beside = self.path / f".{STATE}.{os.getpid()}.part"
        try:
            with beside.open("wb") as file:
                file.write(_sealed(state))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path / STATE)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise WriteError(
                f"the run's state must be saved, {error.strerror}; choose another folder",
                self.path.name,
            ) from error

    def load(self, settings: Mapping[str, Any]) -> dict[str, Any] | None:
        """The state of an interrupted run with these settings; None if there is none."""
        if self.path is None or not (self.path / STATE).exists():
            return None
        state = _opened((self.path / STATE).read_bytes())
        if state is None:
            return None
        return state if state.get("settings") == json.dumps(settings, sort_keys=True) else None

    def describe(self, about: Mapping[str, Any]) -> None:
        """Write the frozen split and the settings for a person to read."""
        if self.path is not None:
            text = json.dumps(about, indent=1) + "\n"
            (self.path / SETTINGS).write_text(text, encoding="utf-8")

    def finish(self) -> None:
        """The run is complete: a later one starts anew."""
        if self.path is not None:
            (self.path / STATE).unlink(missing_ok=True)


def settings_of(config: TrainConfig, names: list[str]) -> dict[str, Any]:
    """What must agree for a run to be the same run."""
    elsewhere = replace(config, run_folder="", resume=True, threads=0, device="auto")
    return {**as_json(elsewhere), "cases": names}


def _sealed(state: Mapping[str, Any]) -> bytes:
    """The state behind its SHA-256: a file that a power cut tore is known as such."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    data = buffer.getvalue()
    return hashlib.sha256(data).digest() + data


def _opened(sealed: bytes) -> dict[str, Any] | None:
    """The state; None if it is not what was written."""
    digest, data = sealed[:32], sealed[32:]
    if hashlib.sha256(data).digest() != digest:
        return None
    # its device may be gone; who loads the tensors moves them
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state
