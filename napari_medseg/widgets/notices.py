"""What the user must know, as napari notifications."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from napari.utils.notifications import (
    ErrorNotification,
    notification_manager,
    show_error,
    show_info,
    show_warning,
)

from napari_medseg.errors import MedsegError

R = TypeVar("R")


def tell_error(error: BaseException) -> None:
    """What went wrong: a refusal as its sentence, a bug with its traceback one click away.

    A bug of the child process comes as a `MedsegError` that carries its traceback as a note.
    """
    if isinstance(error, MedsegError) and not getattr(error, "__notes__", None):
        show_error(str(error))
    else:
        notification_manager.dispatch(ErrorNotification(error))


def try_to(call: Callable[..., R], *arguments: Any) -> R | None:
    """Call it; a refusal becomes a notification and gives None."""
    try:
        return call(*arguments)
    except MedsegError as error:
        tell_error(error)
        return None


def tell(text: str) -> None:
    show_info(text)


def warn(text: str) -> None:
    show_warning(text)


def hushed() -> AbstractContextManager[object]:
    """While a viewer of ours is born: napari's word on PyQt5's end would cover the canvas.

    We pin napari below the version that drops PyQt5, and say so in the README.
    """
    quiet: AbstractContextManager[object] = notification_manager.notification_ready.blocker()
    return quiet
