"""What the trackers of a run are told, and the picture that they show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.training.config import Track
from napari_medseg.training.sampling import Lesson
from napari_medseg.training.trackers import tracker

PALETTE = np.array([[230, 25, 75], [67, 99, 216], [255, 225, 25], [60, 180, 75], [245, 130, 49]])


class Board:
    """Scalars and example pictures of a run in its folder; without a folder it does nothing."""

    def __init__(
        self,
        folder: Path | None,
        kinds: Sequence[Track] = (Track.TENSORBOARD,),
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        unique = () if folder is None else dict.fromkeys(kinds)
        self._trackers = [tracker(kind, Path(folder or ""), settings or {}) for kind in unique]

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Numbers of a group; those that are not finite are left out."""
        known = {f"{group}/{name}": v for name, v in values.items() if math.isfinite(v)}
        for one in self._trackers:
            one.scalars(known, step)

    def picture(self, lesson: Lesson, labels: torch.Tensor, step: int) -> None:
        """The slice with most of the truth in it: the scan, the truth, the prediction."""
        for one in self._trackers:
            one.picture("example", panel(lesson, labels), step)

    def close(self) -> None:
        """The run has ended."""
        for one in self._trackers:
            one.close()


def panel(lesson: Lesson, labels: torch.Tensor) -> npt.NDArray[np.uint8]:
    """(Y, 3 X, 3) RGB: the scan, with the truth on it, with the prediction on it."""
    truth = torch.where(lesson.target == 255, 0, lesson.target)
    z = int((truth > 0).sum((1, 2)).argmax())
    grey = lesson.image[0, z].float().numpy()
    low, high = np.percentile(grey, (1, 99))
    grey = np.clip((grey - low) / max(float(high - low), 1e-6), 0, 1) * 255
    scan = np.repeat(grey[..., None], 3, 2)
    pictures = [scan, _tinted(scan, truth[z].numpy()), _tinted(scan, labels[z].numpy())]
    return np.concatenate(pictures, 1).astype(np.uint8)


def _tinted(
    scan: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.uint8]
) -> npt.NDArray[np.floating[Any]]:
    colour = PALETTE[(labels.astype(int) - 1) % len(PALETTE)]
    return np.asarray(np.where(labels[..., None] > 0, 0.5 * scan + 0.5 * colour, scan))
