"""What a command says: its result on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeVar

from napari_medseg.errors import LONGEST_LINE, MedsegError, one_line
from napari_medseg.jobs import Job, Notice, Progress, finish

R = TypeVar("R")
Reading = Callable[[object], object]  # an event as Progress or a line; others pass unseen


def _unread(event: object) -> object:
    return event


class Report:
    """The voice of one command.

    With `as_json` stdout gets one JSON document and nothing else; without, a small table. Warnings
    go to stderr at once and into the document's ``warnings``.
    """

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._warnings: list[str] = []

    def warn(self, name: str, text: str) -> None:
        """A line ``warning: NAME: text``, once however often it comes."""
        line = " ".join(f"{name}: {text}".split())
        if line not in self._warnings:
            self._warnings.append(line)
            self.say(f"warning: {line}")

    def warn_all(self, name: str, texts: Iterable[str]) -> None:
        """Each of `texts` as a warning about `name`."""
        for text in texts:
            self.warn(name, text)

    def refuse(self, error: MedsegError) -> None:
        """One of several cases failed: its line, and the work goes on."""
        self.say(one_line(error))

    def say(self, line: str) -> None:
        """A line for the person or the log file, on stderr."""
        shown = line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"
        sys.stderr.write(shown + "\n")

    def give(self, document: Mapping[str, Any], rows: Sequence[Sequence[object]]) -> None:
        """The result: `document` for machines, or `rows` (the first is the heading) for people."""
        if self._as_json:
            whole = {**document, "warnings": self._warnings}
            sys.stdout.write(json.dumps(plain(whole), indent=2, allow_nan=False) + "\n")
        else:
            sys.stdout.write("".join(f"{line}\n" for line in aligned(rows)))
        sys.stdout.flush()

    def follow(self, job: Job[R], name: str, read: Reading = _unread) -> R:
        """Run a job to its end with a bar where a person watches; Ctrl-C closes it first."""
        with closing(job), _bar(name) as show:

            def on_event(event: object) -> None:
                seen = read(event)
                if isinstance(seen, Notice):
                    self.warn(name, seen.text)
                elif isinstance(seen, str):
                    self.say(seen)
                elif isinstance(seen, Progress):
                    show(seen)

            return finish(job, on_event)


@contextmanager
def about(name: object) -> Generator[None]:
    """Errors that do not say what they are about are about `name`."""
    try:
        yield
    except MedsegError as error:
        error.name = error.name or str(name)
        raise


@contextmanager
def _bar(name: str) -> Generator[Callable[[Progress], None]]:
    """Shows progress on a terminal; in a pipe it shows nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)

        def show(progress: Progress) -> None:
            bar.update(
                task,
                completed=progress.done,
                total=progress.total or None,
                description=" · ".join(part for part in (name, progress.text) if part),
            )

        yield show


def plain(value: Any) -> Any:
    """As JSON knows it: numbers that are not finite become null, tuples lists, keys text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (int, str, type(None))) else str(value)


def aligned(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows as lines, columns two blanks apart, numbers with four digits."""
    words = [[_word(cell) for cell in row] for row in rows]
    n_columns = max((len(row) for row in words), default=0)
    widths = [
        max((len(row[i]) for row in words if i < len(row)), default=0) for i in range(n_columns)
    ]
    lines = (
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=False))
        for row in words
    )
    return [line.rstrip() for line in lines]


def in_words(dice: Mapping[str, float]) -> str:
    """ "left 0.912, right 0.903"."""
    return ", ".join(
        f"{name} {value:.3f}" if math.isfinite(value) else f"{name} –"
        for name, value in dice.items()
    )


def _word(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}" if math.isfinite(cell) else "–"
    return str(cell)
