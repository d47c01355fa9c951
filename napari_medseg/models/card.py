"""What a checkpoint says of itself; read without torch, so that a window stays light.

A checkpoint is one safetensors file. Its header's metadata holds our JSON under "medseg":
schema, name, network, recipe, lineage, the SHA-256 of the weights and the SHA-256 of all of that.
Nothing in it names code: the network is one of a closed list.
"""

from __future__ import annotations

import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_medseg.errors import MedsegError, ModelError
from napari_medseg.models.config import Family, NetworkConfig
from napari_medseg.preprocess.recipe import Recipe

if TYPE_CHECKING:
    from napari_medseg.models.segmenter import Segmenter

SCHEMA = 1
KEY = "medseg"  # of our JSON in the safetensors metadata
LONGEST_HEADER = 4_000_000  # bytes; ours have some ten thousand
LONGEST_DESCRIPTION = 500_000  # of these, what we say of the model; the rest names its weights
VERSION_DIGITS = 12
MOST_MEMBERS = 50
MOST_LABELS = 200  # numbers of outputs are kept as bytes, of which 255 is "nobody knows"
MODALITIES = {  # DICOM's word to how a channel's name begins
    "CT": r"CTA?(?![A-Z])",
    "MR": r"(MRI?|FLAIR|ADC|DWI)(?![A-Z])|T[12](?!\d)",
    "PT": r"(PT|PET)(?![A-Z])",
    **{word: rf"{word}(?![A-Z])" for word in ("US", "CR", "DX", "MG", "NM", "XA")},
}


@dataclass(frozen=True)
class Lineage:
    """Where a segmenter comes from.

    Attributes
    ----------
    parent
        `ModelCard.version` of the model it was fine-tuned from; "" for one trained from scratch.
    created
        ISO 8601, UTC.
    how
        "train", "finetune" …
    cases
        How many labelled cases taught it.
    scores
        Dice per label name on the held-back cases.
    config
        The settings of the run, as plain JSON values.
    note
        A sentence for the user.
    split
        Who teaches and who examines, of all that ever corrected it: `training.split`.
    run
        Hashes of the cases and versions of what computed: `training.runrecord`.
    """

    parent: str = ""
    created: str = ""
    how: str = ""
    cases: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    split: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelCard:
    """A checkpoint on disk, without its weights.

    Attributes
    ----------
    path
        The .safetensors file.
    name
        What the user sees.
    version
        First 12 hex digits of the weights' SHA-256.
    weights_sha256
        The whole of it.
    members
        Networks of this shape that a prediction is the mean of.
    previous
        The first stage of a cascade.
    memory
        What is said of each labelled patch that it carries, and the SHA-256 of their tensors.
    """

    path: Path
    name: str
    version: str
    network: NetworkConfig
    recipe: Recipe
    lineage: Lineage
    weights_sha256: str = field(repr=False, default="")
    members: int = 1
    previous: ModelCard | None = None
    memory: tuple[Mapping[str, Any], ...] = field(repr=False, default=())
    memory_sha256: str = field(repr=False, default="")

    @property
    def modality(self) -> str:
        """DICOM's word for what the first channel is, "MR" for MRI; "" where it tells none."""
        channel = self.recipe.channels[0].upper()
        named = (word for word, names in MODALITIES.items() if re.match(names, channel))
        return next(named, "")


def why_no_label_more(model: ModelCard | Segmenter) -> str:
    """Why a fine-tune can add no label to a model; "" where it can."""
    if model.network.family is Family.ONNX:
        return "an ONNX graph can only be run; import its original weights"
    if model.recipe.regions:
        return "its outputs are regions that overlap, there is no background to part from"
    if model.previous is not None:
        return "it is the second stage of a cascade and reads the labels of the first"
    if len(model.recipe.labels) >= MOST_LABELS:
        return f"it has {MOST_LABELS} labels already"
    return ""


def read_card(path: Path | str) -> ModelCard:
    """The card of a checkpoint; checks the header and the file's length, not the weights.

    Raises
    ------
    ModelError
        The file is no checkpoint of ours, is truncated or changed, or is from a newer version.
    """
    path = Path(path)
    try:
        return _card(path, _described(_header(path)))
    except ModelError as error:
        raise ModelError(error.message, path.name) from error
    except MedsegError as error:
        raise ModelError(str(error), path.name) from error
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"a model must describe its network and recipe, this one does not ({error})", path.name
        ) from error
    except OSError as error:
        raise ModelError(f"a model must be a readable file, {error.strerror}", path.name) from error


def description(
    name: str,
    network: NetworkConfig,
    recipe: Recipe,
    lineage: Lineage,
    weights_sha256: str,
    members: int = 1,
    previous: str = "",
    memory: Sequence[Mapping[str, Any]] = (),
    memory_sha256: str = "",
) -> str:
    """The JSON that a checkpoint carries."""
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "name": name,
        "network": asdict(network),
        "recipe": asdict(recipe),
        "lineage": asdict(lineage),
        "weights_sha256": weights_sha256,
        **({"members": members} if members > 1 else {}),
        **({"previous": previous} if previous else {}),
        **({"memory": list(memory), "memory_sha256": memory_sha256} if memory else {}),
    }
    return json.dumps({**body, "sha256": _hash(body)}, sort_keys=True)


def recipe_text(recipe: Recipe) -> str:
    """A recipe as JSON, for files of other formats."""
    return json.dumps(asdict(recipe), sort_keys=True)


def recipe_of_text(text: str) -> Recipe:
    """The recipe that `recipe_text` wrote.

    Raises
    ------
    ModelError
        It is none.
    """
    try:
        if len(text) > LONGEST_HEADER:
            raise ModelError(f"a recipe must be short, got {len(text)} letters")
        recipe: Recipe = _from_json(Recipe, json.loads(text, object_pairs_hook=_no_duplicates))
        return recipe
    except ModelError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, LookupError, RecursionError) as error:
        raise ModelError(f"a recipe must be whole, this one is not ({str(error)[:60]})") from error


def _header(path: Path) -> dict[str, Any]:
    """The safetensors header; the file must be just as long as it says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise ModelError("a model must be a .safetensors file of ours, this is something else")
        header: dict[str, Any] = json.loads(file.read(length), object_pairs_hook=_no_duplicates)
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if not ends or 8 + length + max(ends) != size:
        raise ModelError(
            f"a model of this header must have {8 + length + max(ends, default=0)} bytes, "
            f"the file has {size}: it is truncated or changed; copy it again"
        )
    return header


def _described(header: Mapping[str, Any]) -> dict[str, Any]:
    """Our JSON, unchanged since it was written."""
    text = header.get("__metadata__", {}).get(KEY)
    if text is None:
        raise ModelError("a model must carry its recipe; these are bare weights of another program")
    if len(text) > LONGEST_DESCRIPTION:
        raise ModelError(f"a model must describe itself in {LONGEST_DESCRIPTION:,} letters or less")
    body: dict[str, Any] = json.loads(text, object_pairs_hook=_no_duplicates)
    if body.get("schema", 0) > SCHEMA:
        raise ModelError(
            f"this version reads models of schema {SCHEMA}, got {body['schema']}; update the plugin"
        )
    if body.pop("sha256", "") != _hash(body):
        raise ModelError("the model's description was changed or damaged; copy the file again")
    return body


def _card(path: Path, body: Mapping[str, Any]) -> ModelCard:
    weights = str(body["weights_sha256"])
    members = _plain(int, body.get("members", 1))
    if not 1 <= members <= MOST_MEMBERS:
        raise ModelError(f"a model must have 1 to {MOST_MEMBERS} members, got {members}")
    return ModelCard(
        path,
        str(body["name"]),
        weights[:VERSION_DIGITS],
        _from_json(NetworkConfig, body["network"]),
        _from_json(Recipe, body["recipe"]),
        _from_json(Lineage, body["lineage"]),
        weights,
        members,
        _previous(path, body.get("previous")),
        tuple(dict(one) for one in body.get("memory", ())),
        str(body.get("memory_sha256", "")),
    )


def _previous(path: Path, text: object) -> ModelCard | None:
    """The card of a cascade's first stage."""
    if text is None:
        return None
    body: dict[str, Any] = json.loads(str(text), object_pairs_hook=_no_duplicates)
    if "previous" in body:
        raise ModelError("a cascade must have two stages, this one has more")
    return _card(path, body)


def _from_json(kind: Any, value: Any) -> Any:
    """A value of an annotated type from what JSON made of it."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _from_json(args[0], value)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _from_json(args[0], value)
    if origin is tuple:
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        return tuple(_from_json(one, item) for one, item in zip(kinds, value, strict=True))
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        known = {one.name for one in fields(kind)}
        return kind(**{k: _from_json(hints[k], v) for k, v in value.items() if k in known})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind in (int, float, str, bool):
        return _plain(kind, value)
    return value


def _plain(kind: Any, value: Any) -> Any:
    """The value, if JSON's type is the one that is meant: a string is never taken for a number."""
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{value!r} must be {kind.__name__}")
    return kind(value)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ModelError("a model's header must name each thing once, this one repeats a name")
    return found


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
