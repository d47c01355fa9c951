"""Tiles blended into planes; planes that are done with are forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.inference.tiles import Box, Extent, Tiling


@dataclass(eq=False)
class _Slab:
    """Planes [start, stop) that the same tiles cover; `missing` tiles are still to come."""

    start: int
    stop: int
    missing: int
    logits: torch.Tensor | None = None


class Canvas:
    """Blended logits, or feature maps, of one box of the network's grid.

    Holds float32 (L, z, y, x) of the planes along `axis` that tiles have touched and that are not
    forgotten yet: with tiles taken outward from a plane, about two tiles' depth.
    """

    def __init__(
        self, tiling: Tiling, box: Box, axis: int, n_maps: int, device: torch.device
    ) -> None:
        self.box, self.axis = box, axis
        self._tiling = tiling
        self._n_maps = n_maps
        self._device = device
        self._added: list[Extent] = []
        self._shares = [
            {start: torch.from_numpy(share).to(device) for start, share in tiling.shares(a).items()}
            for a in range(3)
        ]
        self._slabs = [
            _Slab(start, stop, len(tiling.touching(self._within(start, stop))))
            for start, stop in tiling.cuts(axis, box[axis])
        ]

    @property
    def done(self) -> npt.NDArray[np.bool_]:
        """Whether all tiles of a plane are in, bool, for each plane of the grid along the axis."""
        done = np.zeros(self._tiling.shape[self.axis], dtype=np.bool_)
        for slab in self._slabs:
            done[slab.start : slab.stop] = slab.missing == 0
        return done

    def add(self, origin: Extent, logits: torch.Tensor) -> None:
        """Blend one tile's logits, float32 (L, *tile), in."""
        z, y, x = (self._shares[axis][origin[axis]] for axis in range(3))
        weight = z[:, None, None] * y[:, None] * x
        self._added.append(origin)
        for slab in self._slabs:
            self._add_to(slab, origin, logits.to(self._device), weight)

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Logits (L, z, y, x) of the box's planes [start, stop) along the axis; all are done."""
        parts = []
        for slab in self._slabs:
            first, last = max(start, slab.start), min(stop, slab.stop)
            if first < last:
                assert slab.logits is not None, "planes must be done and not forgotten"
                parts.append(slab.logits.narrow(self.axis + 1, first - slab.start, last - first))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=self.axis + 1)

    def peek(self, box: Box) -> torch.Tensor:
        """Logits (L, z, y, x) of a part of the box from the tiles that are in; 0 where none is.

        Planes that are forgotten are 0 too.
        """
        out = torch.zeros(
            [self._n_maps, *(part.stop - part.start for part in box)], device=self._device
        )
        for slab in self._slabs:
            own = self._within(slab.start, slab.stop)
            both = [
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(box, own, strict=True)
            ]
            if slab.logits is not None and all(part.stop > part.start for part in both):
                onto = _shifted(both, [part.start for part in box])
                inside = _shifted(both, [part.start for part in own])
                out[(slice(None), *onto)] = slab.logits[(slice(None), *inside)]
        return out.div_(self._share_in(box))

    def _share_in(self, box: Box) -> torch.Tensor:
        """The share (z, y, x) of each voxel of a box that tiles have brought; 1 where none has."""
        total = torch.zeros([part.stop - part.start for part in box], device=self._device)
        for origin in self._added:
            both = [
                slice(max(part.start, o), min(part.stop, o + t))
                for part, o, t in zip(box, origin, self._tiling.tile, strict=True)
            ]
            if all(part.stop > part.start for part in both):
                z, y, x = (
                    self._shares[axis][origin[axis]][inside]
                    for axis, inside in enumerate(_shifted(both, origin))
                )
                onto = total[_shifted(both, [part.start for part in box])]
                onto.add_(z[:, None, None] * y[:, None] * x)
        return total.masked_fill_(total == 0, 1)

    def forget(self, keep: npt.NDArray[np.bool_]) -> None:
        """Drop the done planes that `keep`, bool (planes,), does not need."""
        for slab in self._slabs:
            if slab.missing == 0 and not keep[slab.start : slab.stop].any():
                slab.logits = None

    def _within(self, start: int, stop: int) -> Box:
        box = list(self.box)
        box[self.axis] = slice(start, stop)
        return box[0], box[1], box[2]

    def _add_to(
        self, slab: _Slab, origin: Extent, logits: torch.Tensor, weight: torch.Tensor
    ) -> None:
        box = self._within(slab.start, slab.stop)
        both = [
            slice(max(part.start, o), min(part.stop, o + t))
            for part, o, t in zip(box, origin, self._tiling.tile, strict=True)
        ]
        if any(part.stop <= part.start for part in both):
            return
        if slab.logits is None:
            shape = [self._n_maps, *(part.stop - part.start for part in box)]
            slab.logits = torch.zeros(shape, device=self._device)
        inside = _shifted(both, origin)
        onto = _shifted(both, [part.start for part in box])
        onto_logits = slab.logits[:, onto[0], onto[1], onto[2]]
        onto_logits.addcmul_(logits[:, inside[0], inside[1], inside[2]], weight[inside])
        slab.missing -= 1


def _shifted(box: Sequence[slice], start: Sequence[int]) -> Box:
    z, y, x = (slice(b.start - s, b.stop - s) for b, s in zip(box, start, strict=True))
    return z, y, x
