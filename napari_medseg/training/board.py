"""What TensorBoard shows of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.training.sampling import Lesson

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

PALETTE = np.array([[230, 25, 75], [67, 99, 216], [255, 225, 25], [60, 180, 75], [245, 130, 49]])


class Board:
    """Scalars and example pictures of a run in its folder; without a folder it does nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._writer = None if folder is None else _writer(folder / "tensorboard")

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def picture(self, lesson: Lesson, labels: torch.Tensor, step: int) -> None:
        """The slice with most of the truth in it: the scan, the truth, the prediction."""
        if self._writer is not None:
            self._writer.add_image(lesson.name, panel(lesson, labels), step, dataformats="HWC")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _writer(folder: Path) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter  # a second, which most runs can save

    return SummaryWriter(str(folder))


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
