"""Models of other programs, or several as one, made in a process of their own for the shelf."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_medseg.errors import WriteError
from napari_medseg.jobs import Job, apart

if TYPE_CHECKING:
    from napari_medseg.models.card import ModelCard
    from napari_medseg.models.import_options import ImportOptions

IMPORT = "napari_medseg.models.foreign:import_job"
JOIN = "napari_medseg.models.joint:join_job"


def import_apart(
    source: Path | Sequence[Path],
    options: ImportOptions,
    folder: Path,
    home: Callable[[ModelCard], Path],
) -> Job[Path]:
    """The new model's file; what is stopped or refused leaves nothing behind.

    Parameters
    ----------
    source
        A model of another program, or several of ours that become an ensemble.
    folder
        Of this machine's models.
    home
        Where a model of this card goes.

    Raises
    ------
    ModelError
        The file or folder is no model that can be imported.
    WriteError
        The folder does not take it.
    """
    paths = [source] if isinstance(source, Path) else list(source)
    part = folder / f".import-{secrets.token_hex(4)}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        several = len(paths) > 1
        job = apart(JOIN, paths, part) if several else apart(IMPORT, paths[0], part, options)
        card: ModelCard = yield from job
        target = home(card)
        part.replace(target)
        return target
    except OSError as error:
        raise WriteError(
            f"a model must be kept, {error.strerror}; free the disk", paths[0].name
        ) from error
    finally:
        part.unlink(missing_ok=True)
