"""The largest logit of each voxel, in groups of labels, so that the second is soon found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

GROUP = 8  # labels; about the root of their number makes both steps short
IN_CACHE = 1 << 13  # points whose largest logit is found in one go


@dataclass(frozen=True, eq=False)
class Largest:
    """The largest of the logits (L, z, y, x).

    Attributes
    ----------
    number
        int16 (z, y, x): of which label it is; the first of equals.
    of_group
        (K, V): the largest of each GROUP of labels, for each voxel.
    """

    number: torch.Tensor
    of_group: torch.Tensor

    @classmethod
    def of(cls, logits: torch.Tensor) -> Largest:
        """Of logits (L, ...)."""
        if logits.device.type != "cpu":
            groups = torch.stack([some.amax(0) for some in torch.split(logits, GROUP)])
            return cls(logits.argmax(0).to(torch.int16), groups.flatten(1))
        shape = (math.ceil(len(logits) / GROUP), *logits.shape[1:])
        of_group = torch.empty(shape, dtype=logits.dtype)
        return cls(_numbers(logits, of_group), of_group.flatten(1))

    def first_two(self, flat: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
        """float32 (2, V): the largest of these voxels' logits, and the largest but that one.

        `flat` are all logits (L, V); other voxels' values are arbitrary.
        """
        number = self.number.reshape(-1)
        two = torch.empty(2, flat.shape[1], device=flat.device)
        for some in torch.split(voxels, at_once(flat.device)):
            label = number[some].long()[None]
            tops = columns(self.of_group, some)
            two[0, some] = tops.gather(0, label // GROUP)[0]
            others = tops.scatter_(0, label // GROUP, -torch.inf).amax(0)
            beside = torch.arange(GROUP, device=flat.device)[:, None] + label // GROUP * GROUP
            beside.clamp_(max=len(flat) - 1)
            values = pick(flat, beside, some).masked_fill_(beside == label, -torch.inf)
            two[1, some] = torch.maximum(others, values.amax(0))
        return two


def winners(logits: torch.Tensor) -> torch.Tensor:
    """Number of the largest logit, int16 (...), of (L, ...); the first of equals."""
    if logits.device.type != "cpu":
        return logits.argmax(0).to(torch.int16)
    return _numbers(logits)


def at_once(device: torch.device) -> int:
    """Points that are worked on together: as many as stay in a processor's cache, or fill a GPU."""
    return 1 << 15 if device.type == "cpu" else 1 << 18


def columns(flat: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """(L, N) of (L, V), whose rows may lie apart: index_select would copy them all first."""
    return flat.gather(1, index[None].expand(len(flat), -1))


def pick(flat: torch.Tensor, label: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """The logit (...) of one label at one voxel each, int64 (...), of (L, V)."""
    row, column = flat.stride()
    length = (len(flat) - 1) * row + (flat.shape[1] - 1) * column + 1
    values = flat.as_strided((length,), (1,))  # never a copy
    where = torch.add(index * column if column != 1 else index, label, alpha=row)
    return values.index_select(0, where.reshape(-1)).reshape(where.shape)


def _numbers(logits: torch.Tensor, of_group: torch.Tensor | None = None) -> torch.Tensor:
    """Number of the largest logit, int16 (...), of (L, ...); fills `of_group` (K, ...)."""
    number = torch.empty(logits.shape[1:], dtype=torch.int16)
    if logits.ndim == 2:
        _find(logits, number, of_group)
    else:
        for z in range(len(number)):  # plane by plane: no copy of all of them
            _find(logits[:, z], number[z], None if of_group is None else of_group[:, z])
    return number


def _find(logits: torch.Tensor, number: torch.Tensor, of_group: torch.Tensor | None) -> None:
    """Fill `number` (...) and `of_group` (K, ...) from the logits (L, ...).

    In pieces that stay in the processor's cache, and among the groups that have a largest one
    there: ten times faster than argmax over a strided axis.
    """
    values, into = logits.reshape(len(logits), -1).numpy(), number.view(-1).numpy()
    groups = None if of_group is None else of_group.flatten(1).numpy()
    room = np.empty((math.ceil(len(values) / GROUP), IN_CACHE), values.dtype)
    for start in range(0, len(into), IN_CACHE):
        span = slice(start, start + IN_CACHE)
        part = values[:, span]
        tops = room[:, : part.shape[1]] if groups is None else groups[:, span]
        for group, top in enumerate(tops):
            part[group * GROUP : (group + 1) * GROUP].max(axis=0, out=top)
        best = tops.max(axis=0)
        reached = (tops == best).any(axis=1).repeat(GROUP)[: len(part)]
        labels = reached.nonzero()[0]
        into[span] = np.append(labels, 0).astype(np.int16)[_before(part, labels, best)]


def _before(
    values: npt.NDArray[np.float32], labels: npt.NDArray[np.intp], best: npt.NDArray[np.float32]
) -> npt.NDArray[Any]:
    """How many of the labels' values (L, N) come before the first that is `best` (N,)."""
    seen, equal = np.zeros((2, len(best)), dtype=np.bool_)
    count = np.full(len(best), len(labels), np.uint8 if len(labels) < 256 else np.uint16)
    for label in labels:
        np.equal(values[label], best, out=equal)
        np.logical_or(seen, equal, out=seen)
        np.subtract(count, seen.view(np.uint8), out=count)
    return count
