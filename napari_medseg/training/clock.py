"""How far a run is, by the wall clock or by its steps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """The time of a run over all its parts.

    Attributes
    ----------
    seconds
        Length of the run; 0 if `steps` ends it.
    steps
        Likewise in steps.
    before_s
        Seconds that earlier parts of a resumed run took.
    rested_s
        Seconds since `started` that do not count: the run was paused.
    """

    seconds: float
    steps: int
    before_s: float = 0.0
    rested_s: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def spent_s(self) -> float:
        return self.before_s + time.monotonic() - self.started - self.rested_s

    def done(self, step: int) -> float:
        """Share of the run, in [0, 1]."""
        by_time = self.spent_s / self.seconds if self.seconds else 0.0
        by_step = step / self.steps if self.steps else 0.0
        return min(1.0, max(by_time, by_step))

    def left_s(self, step: int) -> float | None:
        """Seconds to the end; None while nobody can tell."""
        share = self.done(step)
        if self.seconds and share * self.seconds >= self.spent_s:
            return max(0.0, self.seconds - self.spent_s)
        return self.spent_s * (1 - share) / share if share > 0 else None
