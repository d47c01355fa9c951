"""A job that can be told to rest."""

from __future__ import annotations

import time
from typing import TypeVar

from napari_medseg.jobs import Job, Listening, Progress
from napari_medseg.training.events import Pause, Rested

R = TypeVar("R")


def pausable(job: Job[R]) -> Job[R]:
    """The same job, which rests between two events while it is told to `Pause`.

    While it rests it uses no processor. The job itself is told after each event how long it
    `Rested` in all, if it did.
    """
    rested = 0.0
    try:
        told = yield next(job)
        while True:
            if isinstance(told, Pause) and told.on:
                rested += yield from _rest()
            wish = Rested(rested) if rested else None
            told = yield job.send(wish)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        job.close()


def _rest() -> Job[float]:
    """Until it is told to go on, or nothing where it listens; how many seconds that took."""
    started = time.monotonic()
    told = (yield Progress(0, 0, "Paused")) or (yield Listening())
    while isinstance(told, Pause) and told.on:
        told = yield Listening()
    return time.monotonic() - started
