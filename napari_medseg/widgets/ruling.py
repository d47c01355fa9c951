"""What the rules forbade, in words."""

from __future__ import annotations

from collections.abc import Iterable

from napari_medseg.correction.edit import Over
from napari_medseg.correction.forbidden import NOTHING, Forbidden
from napari_medseg.volume import Label

OVERS = {
    Over.EVERYTHING: "Paint over everything",
    Over.BACKGROUND: "Paint over background only",
    Over.CHOSEN: "Change this structure only",
}


def why_nothing(rules: Forbidden, names: Iterable[Label]) -> str:
    """A sentence for a stroke or a tool that changed nothing; "" where no rule forbade it."""
    if rules == NOTHING:
        return ""
    parts = [] if rules.over is None else [f"“{OVERS[rules.over]}” is on"]
    known = {label.value: label.name for label in names}
    locked = [known.get(value, f"label {value}") for value in sorted(rules.locked)]
    if locked:
        parts.append(f"{' and '.join(locked)} {'is' if len(locked) == 1 else 'are'} locked")
    if rules.low is not None or rules.high is not None:
        parts.append(f"the grey values are {_grey(rules)}")
    return f"Nothing changed: {', and '.join(parts)}."


def _grey(rules: Forbidden) -> str:
    if rules.low is None:
        return f"above {rules.high:.4g}, the limit"
    if rules.high is None:
        return f"below {rules.low:.4g}, the limit"
    return f"outside {rules.low:.4g} to {rules.high:.4g}"
