"""Small labelled pieces of scans that travel with a model, so that it need not forget them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from napari_medseg.errors import ModelError

PREFIX = "memory."  # how the names of their tensors begin in a checkpoint
MOST_EXEMPLARS = 1000
LEVELS = 255
Kept = Mapping[str, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Exemplar:
    """A labelled patch on the network's grid, its intensities in 256 steps.

    Attributes
    ----------
    image
        uint8 (C, Z, Y, X): the network's input is `low + step * image`, for each channel.
    target
        uint8 (Z, Y, X): output numbers, 255 where nobody knows.
    low, step
        One of each channel.
    subject
        Hash of whom it shows.
    exam
        Whether it examines and never teaches.
    """

    image: torch.Tensor
    target: torch.Tensor
    low: tuple[float, ...]
    step: tuple[float, ...]
    subject: str
    exam: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes in a file."""
        return self.image.nbytes + self.target.nbytes

    def values(self) -> torch.Tensor:
        """The network's input, float32 (C, Z, Y, X)."""
        low, step = (torch.tensor(one)[:, None, None, None] for one in (self.low, self.step))
        return low + step * self.image


def exemplar(image: torch.Tensor, target: torch.Tensor, subject: str, exam: bool) -> Exemplar:
    """A patch of an image float (C, Z, Y, X) and its target, as it is kept."""
    flat = image.float().flatten(1)
    low, high = flat.min(1).values, flat.max(1).values
    step = ((high - low) / LEVELS).clamp(min=1e-6)
    shape = (-1, 1, 1, 1)
    levels = ((image.float() - low.reshape(shape)) / step.reshape(shape)).round()
    return Exemplar(
        levels.clamp(0, LEVELS).to(torch.uint8),
        target.to(torch.uint8).clone(),
        tuple(low.tolist()),
        tuple(step.tolist()),
        anonymous(subject),
        exam,
    )


def anonymous(subject: str) -> str:
    """A name as a hash: the same subject is known again, and no file says who it is."""
    return hashlib.sha256(subject.encode()).hexdigest()[:16]


def tensors_of(memory: Sequence[Exemplar]) -> dict[str, torch.Tensor]:
    """Their arrays under names of a checkpoint."""
    found = {}
    for number, one in enumerate(memory):
        found[f"{PREFIX}{number}.image"] = one.image.contiguous()
        found[f"{PREFIX}{number}.target"] = one.target.contiguous()
    return found


def plain(memory: Sequence[Exemplar]) -> list[dict[str, Any]]:
    """What a checkpoint's JSON says of them."""
    return [
        {
            "low": list(one.low),
            "step": list(one.step),
            "subject": one.subject,
            "exam": one.exam,
        }
        for one in memory
    ]


def read(tensors: Kept, said: Sequence[Mapping[str, Any]], channels: int) -> tuple[Exemplar, ...]:
    """The exemplars of a checkpoint.

    Raises
    ------
    ModelError
        The tensors are not what the JSON says.
    """
    if len(said) > MOST_EXEMPLARS or len(tensors) != 2 * len(said):
        raise ModelError(
            f"a model's memory must be {len(said)} patches (at most {MOST_EXEMPLARS}), "
            f"got {len(tensors) / 2:g}; copy the file again"
        )
    return tuple(_read(tensors, number, one, channels) for number, one in enumerate(said))


def _read(tensors: Kept, number: int, said: Mapping[str, Any], channels: int) -> Exemplar:
    image = tensors.get(f"{PREFIX}{number}.image")
    target = tensors.get(f"{PREFIX}{number}.target")
    low, step = (tuple(float(v) for v in said[key]) for key in ("low", "step"))
    if image is None or target is None or not _fits(image, target, channels):
        raise ModelError(f"patch {number} of a model's memory must be whole; copy the file again")
    if not len(low) == len(step) == channels:
        raise ModelError(f"patch {number} of a model's memory must have {channels} channel(s)")
    return Exemplar(image, target, low, step, str(said["subject"]), bool(said["exam"]))


def _fits(image: torch.Tensor, target: torch.Tensor, channels: int) -> bool:
    kinds = image.dtype is torch.uint8 and target.dtype is torch.uint8
    return kinds and image.ndim == 4 and image.shape == (channels, *target.shape)
