"""A runner of the real command in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from napari_medseg.cli import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Medseg = Callable[..., Ended]


@pytest.fixture
def medseg(capsys: pytest.CaptureFixture[str]) -> Medseg:
    """``medseg("info", path)`` runs the command and gives its exit code and what it said."""

    def run(*words: Any) -> Ended:
        code = main([str(word) for word in words])
        return Ended(code, *capsys.readouterr())

    return run
