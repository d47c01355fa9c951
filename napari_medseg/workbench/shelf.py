"""The models at hand: bundled ones, files that a user added, and versions made by fine-tuning."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_medseg.correction.whole import whole
from napari_medseg.errors import ModelError
from napari_medseg.models.card import ModelCard, read_card

ENDING = ".safetensors"
PACKAGE = Path(__file__).parents[1]


def bundled_models() -> Path:
    """The folder of models that come with the plugin: in a wheel, or beside a checkout."""
    inside = PACKAGE / "sample_data" / "models"
    return inside if inside.is_dir() else PACKAGE.parent / "sample_data" / "models"


def version_name(card: ModelCard) -> str:
    """What a list of versions calls it: "v2" for one made here, "original" for any other."""
    return card.path.stem if re.fullmatch(r"v\d+", card.path.stem) else "original"


class Shelf:
    """Lists models and remembers the choice.

    Attributes
    ----------
    cards
        Every model that can be read: bundled, added, then fine-tuned versions, oldest first.

    Parameters
    ----------
    folder
        Where versions and the choice are kept; made when first needed.
    report
        Takes one sentence for each model that cannot be read.
    """

    def __init__(
        self, folder: Path, report: Callable[[str], None], bundled: Path | None = None
    ) -> None:
        self.folder = folder
        self._report = report
        self._bundled = bundled_models() if bundled is None else bundled
        self._reported: set[str] = set()
        self._notes = self._read_notes()
        self.cards: list[ModelCard] = []
        self.refresh()

    def refresh(self) -> None:
        """Look at the folders again."""
        paths = sorted(self._bundled.rglob(f"*{ENDING}"))
        paths += [Path(added) for added in self._notes["added"]]
        paths += sorted(self.folder.glob(f"*/v*{ENDING}"), key=_number)
        found = (self._read(path) for path in dict.fromkeys(paths))
        self.cards = [card for card in found if card is not None]

    def chosen(self) -> ModelCard | None:
        """The model that was used last, else the first; None where there is none."""
        active = self._notes["active"].get(self._notes["last"])
        for card in self.cards:
            if card.version == active:
                return card
        return self.cards[0] if self.cards else None

    def suggested(self, modality: str) -> ModelCard | None:
        """The first model for scans of this modality; None once the user has chosen any model."""
        if self._notes["last"] or not modality:
            return None
        reads = (card for card in self.cards if card.modality == modality)
        return next(reads, None)

    def choose(self, card: ModelCard) -> None:
        """Remember that this version is the one in use of its family."""
        root = self.root(card)
        if self._notes["aside"].get(root) == card.version:
            del self._notes["aside"][root]
        self._notes["active"][root] = card.version
        self._notes["last"] = root
        self._write_notes()

    def keep_aside(self, card: ModelCard) -> None:
        """Remember a candidate that was not good enough: the next fine-tune may go on from it."""
        self._notes["aside"][self.root(card)] = card.version
        self._write_notes()

    def aside_of(self, card: ModelCard) -> ModelCard | None:
        """The last candidate of this version that was kept aside and never in use since."""
        aside = self._notes["aside"].get(self.root(card))
        children = (one for one in self.cards if one.lineage.parent == card.version)
        return next((one for one in children if one.version == aside), None)

    def add(self, path: Path) -> ModelCard:
        """Put a checkpoint on the shelf, where it lies; remembered.

        Raises
        ------
        ModelError
            The file is no model that can be used.
        """
        path = Path(path).absolute()
        card = read_card(path)
        if str(path) not in self._notes["added"] and not path.is_relative_to(self.folder):
            self._notes["added"].append(str(path))
            self._write_notes()
        self.refresh()
        return card

    def family(self, card: ModelCard) -> list[ModelCard]:
        """The versions of a model: all that descend from the same original, oldest first."""
        root = self.root(card)
        return [one for one in self.cards if self.root(one) == root]

    def next_path(self, card: ModelCard) -> Path:
        """Where the next version of a model goes; "v1" is the original."""
        folder = self.folder / _safe(card.name)
        taken = [_number(path)[1] for path in folder.glob(f"v*{ENDING}")]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"v{max([1, *taken]) + 1}{ENDING}"

    def first_path(self, card: ModelCard) -> Path:
        """Where a model that was imported goes: "v1" of a folder of its own."""
        name = _safe(card.name)
        for number in range(1, 1000):
            folder = self.folder / (name if number == 1 else f"{name}-{number}")
            if not any(folder.glob(f"v*{ENDING}")):
                break
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"v1{ENDING}"

    def root(self, card: ModelCard) -> str:
        """Version of the oldest known ancestor."""
        parents = {one.version: one.lineage.parent for one in self.cards}
        version, seen = card.version, {""}
        parent = card.lineage.parent
        while parent and version not in seen:
            seen.add(version)
            version, parent = parent, parents.get(parent, "")
        return version

    def _read(self, path: Path) -> ModelCard | None:
        try:
            return read_card(path)
        except ModelError as error:
            if str(path) not in self._reported:
                self._reported.add(str(path))
                self._report(str(error))
            return None

    def _read_notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = {"active": {}, "aside": {}, "added": [], "last": ""}
        try:
            saved = json.loads((self.folder / "choice.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return notes
        except (OSError, ValueError):
            self._report("the list of chosen models was damaged; the original models are in use")
            return notes
        known = saved if isinstance(saved, dict) else {}
        return {k: known[k] if isinstance(known.get(k), type(v)) else v for k, v in notes.items()}

    def _write_notes(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with whole(self.folder / "choice.json") as file:
                file.write(json.dumps(self._notes, indent=1).encode())
        except OSError as error:
            self._report(f"the chosen model could not be remembered: {error.strerror}")


def _number(path: Path) -> tuple[str, int]:
    digits = re.sub(r"\D", "", path.stem)
    return path.parent.name, int(digits or 0)


def _safe(name: str) -> str:
    """A model's name as a folder's."""
    return "-".join(re.findall(r"[A-Za-z0-9_.]+", name)).strip(".")[:80] or "model"
