"""Jobs made of jobs: what they tell goes up as part of the whole, what they are told is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from napari_medseg.inference.config import PredictConfig
from napari_medseg.inference.events import LookAt
from napari_medseg.jobs import Job, Progress

R = TypeVar("R")
PARTS = 1000  # of the progress of each job


@dataclass
class Part:
    """The `Progress` of one job of several as that of all, which never goes back."""

    name: str
    number: int
    total: int
    share: float = 0.0

    def of_all(self, event: Progress) -> Progress:
        self.share = max(self.share, event.done / event.total if event.total else 0.0)
        text = f"{self.name} {self.number + 1} of {self.total}: {event.text}"
        return Progress(round(PARTS * (self.number + self.share)), PARTS * self.total, text)


@dataclass
class Watch:
    """A config that follows where the user looks, for what begins after."""

    config: PredictConfig

    def hear(self, told: object) -> None:
        """Begin there from now on, if a job was told a `LookAt`."""
        if isinstance(told, LookAt):
            self.config = replace(self.config, slice_zyx=(told.axis, told.index))

    def over(self, job: Job[R]) -> Job[R]:
        """The same job; where it is told to look is heard here too."""
        return (yield from relayed(job, lambda event: event, self.hear))


def relayed(
    job: Job[R], shown: Callable[[object], object | None], hear: Callable[[object], None]
) -> Job[R]:
    """The job with its events as `shown` gives them, None for none; both hear what it is told."""
    wish: object = None
    try:
        while True:
            event = shown(job.send(wish))
            wish = None
            if event is not None:
                wish = yield event
                hear(wish)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    finally:
        job.close()
