"""Paths on the command line: what may be written, and which model is meant."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from napari_medseg.errors import ModelError, WriteError

MODEL_ENDING = ".safetensors"


def check_outputs(
    paths: Iterable[Path | None], endings: Sequence[str], inputs: Sequence[Path] = ()
) -> None:
    """Each of the results as `check_output` does, and none in the place of another.

    Raises
    ------
    typer.BadParameter
        Two results are one file, or an ending is unknown.
    WriteError
        As `check_output`.
    """
    seen: set[Path] = set()
    for path in paths:
        if path is None:
            continue
        check_output(path, endings, inputs)
        if path.resolve() in seen:
            raise typer.BadParameter(
                f"each result must have a file of its own, {path} is named twice"
            )
        seen.add(path.resolve())


def check_output(path: Path, endings: Sequence[str], inputs: Iterable[Path] = ()) -> Path:
    """`path`, if a result can be written there; asked before minutes of work.

    Raises
    ------
    typer.BadParameter
        Unknown ending.
    WriteError
        A folder that is missing or takes no files, or one of the inputs.
    """
    if not path.name.lower().endswith(tuple(endings)):
        raise typer.BadParameter(f"{path.name} must end in {' '.join(endings)}")
    if path.is_dir():
        raise WriteError("a result must be a file, this is a folder; name a file in it", path.name)
    if any(path.exists() and one.exists() and path.samefile(one) for one in inputs):
        raise WriteError("a result must not replace its own input; choose another name", path.name)
    _check_takes_files(path.parent, path.name)
    return path


def _check_takes_files(folder: Path, name: str) -> None:
    """Try it: permissions do not tell of read-only or full disks."""
    if not folder.is_dir():
        raise WriteError(f"the folder '{folder}' must exist; make it first", name)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".medseg-"):
            pass
    except OSError as error:
        raise WriteError(
            f"the folder '{folder}' must take files, {error.strerror}; choose another", name
        ) from error


def models_in(folder: Path) -> list[Path]:
    """The checkpoints of a folder and those within, by name."""
    return sorted(folder.rglob(f"*{MODEL_ENDING}"))


def find_model(text: str) -> Path:
    """A path, or the name of a model that comes with the plugin ("hippocampus").

    Raises
    ------
    ModelError
        There is neither, or only a folder of this name.
    """
    from napari_medseg.workbench.shelf import bundled_models

    path = Path(text)
    if path.is_file():
        return path
    wanted = text.removesuffix(MODEL_ENDING)
    shipped = (one for one in models_in(bundled_models()) if one.stem == wanted)
    found = next(shipped, None)
    if found is not None:
        return found
    if path.is_dir():
        raise ModelError(
            f"a model must be a file, this is a folder; name a {MODEL_ENDING} file in it", text
        )
    raise ModelError("a model must be a file or a shipped name; see 'medseg models list'", text)
