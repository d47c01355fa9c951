"""How the views were left, so that they come back like that."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

FILE = "view.json"


@dataclass(frozen=True)
class ViewState:
    """The choices of one user on one machine.

    Attributes
    ----------
    four
        Whether all views are there.
    enlarged
        Which of them fills the window: 0 axial, 1 coronal, 2 sagittal, 3 solid; -1 for none.
    crosshair, linked, scrolls
        Whether lines are shown, zoom is common, and the wheel turns slices.
    """

    four: bool = False
    enlarged: int = -1
    crosshair: bool = True
    linked: bool = False
    scrolls: bool = True


def load(folder: Path) -> ViewState:
    """What was kept; the defaults where there is nothing, or nothing readable."""
    try:
        kept = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return ViewState()
    if not isinstance(kept, dict):
        return ViewState()
    known = {
        one.name: kept[one.name]
        for one in fields(ViewState)
        if isinstance(kept.get(one.name), type(one.default))
    }
    return ViewState(**known)


def keep(state: ViewState, folder: Path) -> bool:
    """Write it down; False if the disk does not take it, which is no reason to bother anybody."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(asdict(state)))
    except OSError:
        return False
    return True
