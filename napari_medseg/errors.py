"""Everything that can be refused, as one small tree.

MedsegError
├── InputError            a scan, mask or dataset is not usable          exit code 3
│   ├── ReadError         a file cannot be read faithfully
│   ├── GridError         two things that must share a grid do not
│   └── DatasetError      a folder of cases is not what training needs
├── WriteError            a result cannot be saved                       exit code 3
├── ModelError            a checkpoint or network is not usable          exit code 4
├── TrainingError         training or fine-tuning cannot go on           exit code 3
└── WorkerDied            a child process ended without an answer        exit code 3

None of them is a ``RuntimeError``: torch and Qt workers use that one for everything.
"""

from __future__ import annotations

from typing import ClassVar

LONGEST_LINE = 200  # characters; the command line's contract


class MedsegError(Exception):
    """What must be, what came, what to do; `name` is the file or thing it is about."""

    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message, name)
        self.message = message
        self.name = name

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.name else self.message


class InputError(MedsegError):
    """A scan, mask or dataset is not usable."""


class ReadError(InputError):
    """A file cannot be read faithfully."""


class GridError(InputError):
    """Two things that must share a grid do not."""


class DatasetError(InputError):
    """A folder of cases is not what training needs."""


class WriteError(MedsegError):
    """A result cannot be saved."""


class ModelError(MedsegError):
    """A checkpoint or network is not usable."""

    exit_code: ClassVar[int] = 4


class TrainingError(MedsegError):
    """Training or fine-tuning cannot go on."""


class WorkerDied(MedsegError):
    """A child process ended without an answer."""


def one_line(error: MedsegError) -> str:
    """``error: NAME: message`` on one line of at most 200 characters."""
    line = " ".join(f"error: {error}".split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"
