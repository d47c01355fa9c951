"""The command `medseg`: its commands, and how each of them ends.

Exit codes: 0 done, 2 wrong usage, 3 an input was refused, 4 a model was refused,
5 some of several cases failed, 130 stopped. 1 is a fault of the program itself.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Annotated

import typer
from typer.exceptions import TyperException

from napari_medseg import __version__
from napari_medseg.cli import (
    STOPPED,
    begin,
    convert,
    evaluate,
    finetune,
    info,
    models,
    rank,
    segment,
    simulate,
    train,
)
from napari_medseg.cli import open as open_
from napari_medseg.errors import MedsegError, one_line

app = typer.Typer(
    name="medseg",
    help="Segment medical scans, correct the masks, and teach the model with the corrections.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medseg {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: medseg segment scan.nii.gz mask.nii.gz --model hippocampus")
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error came from; works anywhere.")
    ] = False,
) -> None:
    """Its docstring is the app's `help`."""


open_.add_to(app)
info.add_to(app)
convert.add_to(app)
segment.add_to(app)
train.add_to(app)
finetune.add_to(app)
begin.add_to(app)
simulate.add_to(app)
evaluate.add_to(app)
rank.add_to(app)
models.add_to(app)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    if argv is None and not debug:
        sys.excepthook = _one_line_hook
    try:
        with nullcontext() if debug else _only_our_own_lines(), _stoppable():
            code = typer.main.get_command(app).main(
                [word for word in words if word != "--debug"],
                prog_name="medseg",
                standalone_mode=False,
            )
    except KeyboardInterrupt:
        return STOPPED
    except typer.Abort as aborted:  # typer's word for the end of a file, which no one here types
        raise aborted.__cause__ or aborted from None
    except TyperException as error:
        return _refused_usage(error)
    except (MedsegError, OSError, MemoryError) as error:
        if debug:
            raise
        refusal = _as_refusal(error)
        sys.stderr.write(one_line(refusal) + "\n")
        return refusal.exit_code
    return code if isinstance(code, int) else 0


@contextmanager
def _only_our_own_lines() -> Generator[None]:
    """Keeps libraries' warnings and logs off stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


@contextmanager
def _stoppable() -> Generator[None]:
    """Makes a cluster's polite "stop" (SIGTERM) the same as Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _as_refusal(error: MedsegError | OSError | MemoryError) -> MedsegError:
    if isinstance(error, MedsegError):
        return error
    if isinstance(error, MemoryError):
        return MedsegError("there must be enough memory; close programs or take a smaller scan")
    name = str(error.filename) if error.filename else "medseg"
    return MedsegError(f"{error.strerror or error}; free it or choose another", name)


def _one_line_hook(
    kind: type[BaseException], error: BaseException, _: TracebackType | None
) -> None:
    """A fault of the program: one line too, for scripts read it; the rest with --debug."""
    text = f"a fault in the program, {kind.__name__}: {error}"
    bug = MedsegError(f"{text[:120]}; run it again with --debug and report it", "medseg")
    sys.stderr.write(one_line(bug) + "\n")


def _refused_usage(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "medseg"
    message = f"{error.format_message().rstrip('.')}; see '{path} --help'"
    sys.stderr.write(one_line(MedsegError(message, path)) + "\n")
    return error.exit_code
