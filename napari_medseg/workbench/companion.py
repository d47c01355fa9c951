"""Learning along with the open case, in a process of its own; what it gives is a quick look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_medseg.correction.record import Example
from napari_medseg.jobs import Child, Job
from napari_medseg.models.card import ModelCard
from napari_medseg.workbench.case import Case
from napari_medseg.workbench.recorder import Recorder

if TYPE_CHECKING:
    from napari_medseg.training.events import SliceSeen
    from napari_medseg.training.live import LiveConfig

LIVE = "napari_medseg.training.live:live"


class Companion:
    """Runs one learner at a time and shows what it sees.

    What it learned teaches nobody: the next model comes from a fine-tune on the strokes themselves.

    Attributes
    ----------
    config
        How the next one learns; None: as a `LiveConfig` is by default.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._child = Child()
        self.config: LiveConfig | None = None

    def follow(self, card: ModelCard, example: Example) -> Job[Any]:
        """The job that learns from each `Strokes` that it is told, on canonical axes."""
        given = () if self.config is None else (self.config,)
        return self._child.run(LIVE, card.path, example, *given)

    def show(self, case: Case, seen: SliceSeen) -> npt.NDArray[np.bool_] | None:
        """Write what it learned as a quick look; which voxels of `seen.box` look new, None: none.

        Only where it says another thing than the model in use, and nobody painted or confirmed.
        """
        box, tracker = seen.box, case.tracker
        if not seen.labels.size or int(seen.labels.max()) > case.top_label():
            return None
        before = case.labels[box].copy()
        beneath = case.previews.beneath(tracker, box)
        values = np.where(seen.learned, seen.labels, beneath).astype(case.labels.dtype)
        if case.previews.write(tracker, box, values, awaited=False):
            self._recorder.model_wrote()
        changed = np.asarray(case.labels[box] != before)
        return changed if changed.any() else None

    def close(self) -> None:
        """End the process, within two seconds."""
        self._child.close()
