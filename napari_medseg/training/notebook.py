"""What an interrupted fine-tune needs to go on."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from napari_medseg.errors import WriteError
from napari_medseg.training.config import FineTuneConfig, as_json
from napari_medseg.training.gate import Marks
from napari_medseg.training.runstate import RunFolder
from napari_medseg.training.validate import Exam

SAVE_EVERY_S = 60.0


class Notebook:
    """Keeps a fine-tune's state in a folder; without one it keeps nothing.

    Parameters
    ----------
    parent, cases
        Hashes of what is taught and of what teaches: a run goes on only with the same.
    """

    def __init__(self, config: FineTuneConfig, parent: str, cases: Sequence[str]) -> None:
        self._folder = RunFolder(config.run_folder)
        settings = as_json(replace(config, run_folder="", device="auto", threads=0))
        self._settings = {**settings, "parent": parent, "cases": list(cases)}
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the state was last kept a while ago."""
        return time.monotonic() - self._saved > SAVE_EVERY_S

    def load(self) -> dict[str, Any] | None:
        """The state of the same fine-tune, if it was interrupted."""
        return self._folder.load(self._settings)

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep the state in place of the last one; a full disk does not end the lesson."""
        text = json.dumps(self._settings, sort_keys=True)
        with suppress(WriteError):
            self._folder.save({**state, "settings": text, "when": time.time()})
        self._saved = time.monotonic()

    def finish(self) -> None:
        """It came to its end: nothing is left to go on with."""
        self._folder.finish()


def going_on(state: Mapping[str, Any]) -> str:
    """A sentence for the user."""
    then = datetime.fromtimestamp(state["when"])
    return f"Going on with the fine-tune of {then:%H:%M}, after {state['step']} steps"


def plain_marks(marks: Marks) -> dict[str, Any]:
    """As plain values."""
    return {name: asdict(exam) for name, exam in (("exam", marks.exam), ("anchors", marks.anchors))}


def marks_of(plain: Mapping[str, Any]) -> Marks:
    """Out of plain values."""
    exam, anchors = (
        Exam(one["dice"], one["jaccard"], tuple(one["cases"]))
        for one in (plain["exam"], plain["anchors"])
    )
    return Marks(exam, anchors)
