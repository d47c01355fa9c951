"""One key map for all that can be done by key: shown, searched, changed and kept."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app_model.types import KeyBinding
from napari.settings import get_settings
from qtpy.QtCore import QObject, Signal

from napari_medseg.correction.whole import whole
from napari_medseg.errors import InputError
from napari_medseg.widgets.notices import warn

DAMAGED = ".damaged"


@dataclass(frozen=True)
class Command:
    """Something that a key does.

    Attributes
    ----------
    name
        For the file of changed keys: "undo".
    words
        For the user: "Undo".
    group
        Where it stands in the sheet: "Brush".
    keys
        As napari writes them: "Control-Z"; none where there is no default.
    run
        What it does when the key goes down.
    release
        What it does when the key comes up again, for commands that last while it is held.
    """

    name: str
    words: str
    group: str
    keys: tuple[str, ...]
    run: Callable[[], object]
    release: Callable[[], object] | None = None


class KeyMap(QObject):
    """Commands and their keys in one window; bound to every layer and viewer that is given.

    Signals
    -------
    changed
        A command came, or has another key.

    Parameters
    ----------
    file
        Where changed keys are kept.
    """

    changed = Signal()

    def __init__(self, file: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._file = file
        self._commands: dict[str, Command] = {}
        self._own = _read(file)
        self._targets: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    @property
    def commands(self) -> tuple[Command, ...]:
        """All of them, in the order they came."""
        return tuple(self._commands.values())

    def keys_of(self, name: str) -> tuple[str, ...]:
        """The keys that a command has now."""
        return self._own.get(name, self._commands[name].keys)

    def register(self, *commands: Command) -> None:
        """Add commands; one of the same name takes the other's place."""
        for command in commands:
            self._commands[command.name] = command
            for target in list(self._targets):
                self._bind(target, command)
        self.changed.emit()

    def attach(self, target: Any, group: str = "") -> None:
        """Let the keys work on a layer or in a viewer, above napari's own; "" is all groups."""
        self._targets[target] = group
        for command in self.commands:
            self._bind(target, command)

    def rebind(self, name: str, keys: tuple[str, ...]) -> None:
        """Give a command other keys, kept for the next start.

        Raises
        ------
        InputError
            One of them does something else already, or is no key.
        """
        for key in keys:
            if other := self.taken(key, name):
                raise InputError(f"a key must do one thing, {key} is {other}; choose another")
        self._take_away(name)
        self._own[name] = keys
        for target in list(self._targets):
            self._bind(target, self._commands[name])
        self._save()
        self.changed.emit()

    def reset(self) -> None:
        """All commands have the keys that they came with."""
        for name in list(self._own.keys() & self._commands.keys()):
            self._take_away(name)
        self._own.clear()
        for target in list(self._targets):
            for command in self.commands:
                self._bind(target, command)
        self._save()
        self.changed.emit()

    def taken(self, key: str, but: str = "") -> str:
        """What a key does already, ours or napari's; "" for nothing."""
        wanted = plain(key)
        for command in self.commands:
            if command.name != but and wanted in map(plain, self.keys_of(command.name)):
                return command.words
        meant = () if but not in self._commands else self._commands[but].keys
        if wanted in map(plain, meant):
            return ""  # in napari's place on purpose
        return next((words for words, keys in napari_keys() if wanted in keys), "")

    def _bind(self, target: Any, command: Command) -> None:
        if self._targets[target] not in ("", command.group):
            return
        for key in self.keys_of(command.name):
            target.bind_key(key, _called(command), overwrite=True)

    def _take_away(self, name: str) -> None:
        for target in list(self._targets):
            for key in self.keys_of(name):
                target.bind_key(key, None)

    def _save(self) -> None:
        """Keep them; where the disk takes nothing they hold for as long as the window lives."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with whole(self._file) as file:
                file.write(json.dumps(self._own, indent=1).encode())
        except OSError as error:
            warn(
                f"changed keys cannot be kept in {self._file}: {error.strerror}; they hold until "
                "this window is closed"
            )


def plain(key: str) -> str:
    """One way to write a key: "Ctrl+Z" for "Control-Z".

    Raises
    ------
    InputError
        It is none.
    """
    text = key.replace("Control", "Ctrl")
    text = text.replace("-", "+") if len(text) > 1 else text
    try:
        return str(KeyBinding.from_str(text))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"a key must be like B or Ctrl+Shift+B, got {key!r}") from error


def napari_keys() -> Iterator[tuple[str, tuple[str, ...]]]:
    """napari's own commands that are alive where a mask is painted, with their keys."""
    for name, keys in get_settings().shortcuts.shortcuts.items():
        words = str(name).removeprefix("napari:").replace("_", " ")
        kind = next((one for one in OTHER_LAYERS if one in words), "")
        if not kind:
            yield f"napari's {words}", tuple(str(key) for key in keys)


# of layers that no mask is: their keys are silent while a mask is painted
OTHER_LAYERS = (
    *("points", "shape", "tracks", "surface", "vectors", "image", "plane normal"),
    *("select all data", "select append", "select all in slice", "vertex", "direct mode"),
    *("select mode", "add rectangle", "add ellipse", "add line", "add path", "add poly"),
    *("finish drawing", "auto contrast"),
)


def _called(command: Command) -> Callable[[Any], Any]:
    if command.release is None:
        return lambda _: command.run()
    release = command.release

    def held(_: Any) -> Iterator[None]:
        command.run()
        yield
        release()

    return held


def _read(file: Path) -> dict[str, tuple[str, ...]]:
    """Changed keys; none where the file is missing or no key map: that is told."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return {str(name): tuple(plain(str(key)) for key in keys) for name, keys in found.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        warn(f"changed keys cannot be read from {file}: {error.strerror}; the default keys hold")
    except (ValueError, AttributeError, TypeError, InputError):
        aside = file.with_name(file.name + DAMAGED)
        with suppress(OSError):
            file.replace(aside)
        warn(f"the file of changed keys was damaged, it is now {aside}; the default keys hold")
    return {}
