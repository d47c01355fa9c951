"""A bundle's configuration as data: nothing in it is looked up by name, nothing is computed.

MONAI's own parser imports what ``_target_`` names and evaluates what begins with ``$``. Here a
target is a word that is compared with a closed list, and an expression is refused; only ``@key``
is followed, to other plain values of the same file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_medseg.errors import ModelError

MOST_BYTES = 4_000_000  # of a configuration; honest ones have some thousand
MOST_YAML_BYTES, DEEPEST_YAML = 100_000, 40  # its parser takes a second for so many
MOST_STEPS = 8  # from one reference to the next
Plain = Any  # what JSON makes


def read_config(folder: Path, name: str) -> dict[str, Plain]:
    """The mapping in ``configs/NAME.json`` or ``.yaml``; empty where there is none.

    Raises
    ------
    ModelError
        It is too large, damaged or no mapping.
    """
    paths = (folder / "configs" / f"{name}{ending}" for ending in (".json", ".yaml", ".yml"))
    path = next((one for one in paths if one.is_file()), None)
    if path is None:
        return {}
    parse = _json if path.suffix == ".json" else _yaml
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError("a configuration must have at most 4 MB; this is something else")
        found = parse(path.read_text(encoding="utf-8"))
    except ModelError as error:
        raise ModelError(error.message, path.name) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("a configuration must be readable JSON or YAML", path.name) from error
    if not isinstance(found, dict):
        raise ModelError("a configuration must be a mapping of names", path.name)
    return found


def resolved(config: Mapping[str, Plain], value: Plain) -> Plain:
    """The value, or what its reference ``@key::key`` stands for.

    Raises
    ------
    ModelError
        It is an expression, or refers to nothing.
    """
    for _ in range(MOST_STEPS):
        if not isinstance(value, str):
            return value
        if value.startswith("$"):
            raise ModelError(f"a value must be plain, got the expression {value[:40]!r}; write it")
        if not value.startswith("@"):
            return value
        value = _followed(config, value[1:])
    raise ModelError("references must come to an end, these run in a circle")


def arguments(config: Mapping[str, Plain], entry: Plain) -> tuple[str, dict[str, Plain]]:
    """Class name and arguments of ``{"_target_": name, ...}``; references are followed."""
    entry = resolved(config, entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("_target_"), str):
        raise ModelError("a part of a bundle must say its _target_, this one does not")
    target = entry["_target_"]
    package, _, name = target.rpartition(".")
    if package and package.split(".")[0] != "monai":
        raise ModelError(f"a bundle's parts must be MONAI's own, got {target[:50]}; it brings code")
    own = {key: value for key, value in entry.items() if not key.startswith("_")}
    return name, {key: _plain_value(config, value) for key, value in own.items()}


def is_off(config: Mapping[str, Plain], entry: Plain) -> bool:
    """Whether ``_disabled_`` is set."""
    return isinstance(entry, dict) and resolved(config, entry.get("_disabled_")) in (True, "true")


def _plain_value(config: Mapping[str, Plain], value: Plain) -> Plain:
    value = resolved(config, value)
    if isinstance(value, list):
        return [resolved(config, one) for one in value]
    return value


def _followed(config: Mapping[str, Plain], words: str) -> Plain:
    found: Plain = config
    for word in words.replace("#", "::").split("::"):
        try:
            found = found[int(word)] if isinstance(found, list) else found[word]
        except (LookupError, ValueError, TypeError) as error:
            raise ModelError(f"a reference must lead somewhere, got @{words[:40]}") from error
    return found


def _json(text: str) -> Plain:
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Plain]]) -> dict[str, Plain]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ModelError("a configuration must name each thing once, this one repeats a name")
    return found


def _yaml(text: str) -> Plain:
    import yaml

    if len(text) > MOST_YAML_BYTES:
        raise ModelError("a configuration in YAML must have at most 100 kB; write it as JSON")
    try:
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > DEEPEST_YAML:
                raise ModelError("YAML must have no aliases and nest little; write it as JSON")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ModelError("a configuration must be valid YAML") from error
