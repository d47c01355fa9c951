"""The forgetting meter: how hard a fine-tune is held back follows what it forgets."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_medseg.training.validate import Exam

FIRMER, LOOSER = 2.0, 0.7
WEAKEST, STRONGEST = 0.25, 8.0


@dataclass
class Meter:
    """Dice on the anchors, against what the parent had there.

    Attributes
    ----------
    before
        The parent's scores.
    allowed
        Dice that a label may lose.
    strength
        What replay, and staying near the parent, are multiplied by.
    """

    before: Exam
    allowed: float
    strength: float = 1.0

    def lost(self, now: Exam) -> float:
        """The largest loss of a label; 0 where nothing could be scored."""
        losses = [
            score - now.dice.get(name, math.nan)
            for name, score in self.before.dice.items()
            if not math.isnan(score)
        ]
        known = [loss for loss in losses if not math.isnan(loss)]
        return max(known, default=0.0)

    def read(self, now: Exam) -> float:
        """Set the strength from new scores, and give it."""
        lost = self.lost(now)
        if lost > self.allowed / 2:
            self.strength = min(STRONGEST, self.strength * FIRMER)
        elif lost < self.allowed / 4:
            self.strength = max(WEAKEST, self.strength * LOOSER)
        return self.strength
