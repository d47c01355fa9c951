"""One tile through the network: by one engine or several, mirrored or not, finite in any case."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from napari_medseg.errors import ModelError
from napari_medseg.inference.engine import Engine
from napari_medseg.inference.head import Head
from napari_medseg.inference.tiles import Extent

T = TypeVar("T")


class Forward:
    """A tile in, float32 logits out: the mean over engines and mirrorings.

    Where a network has many labels they are feature maps instead, and `logits` makes logits of them
    once they are blended.

    Logits that are not finite, as 16 bits may give, are computed again by the engines of
    `fallback`, and so are all tiles after it.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        fallback: Callable[[], Sequence[Engine]] | None = None,
        mirror_axes: Sequence[int] = (),
        head: Head | None = None,
    ) -> None:
        self._engines = engines
        self._fallback = fallback
        self._head = head
        self._flips = [
            tuple(axis + 1 for axis in axes)
            for n in range(len(mirror_axes) + 1)
            for axes in itertools.combinations(mirror_axes, n)
        ]

    def __call__(self, tile: torch.Tensor) -> torch.Tensor:
        """Logits (L, Z, Y, X) of a tile (C, Z, Y, X); for a 2-D network Z is 1.

        They stay valid until the call after the next one.

        Raises
        ------
        ModelError
            The network gives NaN or infinity.
        """
        logits = self._mean(tile)
        if _finite(logits):
            return logits
        if self._fallback is not None:
            self._engines, self._fallback = self._fallback(), None
            logits = self._mean(tile)
        if not _finite(logits):
            raise ModelError("a network must give finite numbers, got NaN; use another model")
        return logits

    def n_maps(self, n_outputs: int) -> int:
        """How many maps a tile gives, for so many outputs."""
        return n_outputs if self._head is None else self._head.n_maps

    def logits(self, blended: torch.Tensor) -> torch.Tensor:
        """Logits (L, ...) of what tiles were blended to."""
        return blended if self._head is None else self._head(blended)

    def _mean(self, tile: torch.Tensor) -> torch.Tensor:
        if len(self._engines) == len(self._flips) == 1:
            return self._engines[0](tile)
        total: torch.Tensor | None = None
        for engine, flip in itertools.product(self._engines, self._flips):
            logits = engine(tile.flip(flip) if flip else tile)
            logits = logits.flip(flip) if flip else logits
            total = logits.clone() if total is None else total.add_(logits)
        assert total is not None
        return total.div_(len(self._engines) * len(self._flips))


def _finite(logits: torch.Tensor) -> bool:
    """Whether all of every fourth plane is: NaN spreads with every normalisation.

    Without a mask of the same size: a sum is finite if all its terms are.
    """
    return bool(torch.isfinite(logits[:, ::4].sum()))


def cut(tensor: torch.Tensor, origin: Extent, tile: Extent) -> torch.Tensor:
    """The tile (C, *tile) of a tensor (C, Z, Y, X), contiguous."""
    z, y, x = (slice(o, o + t) for o, t in zip(origin, tile, strict=True))
    return tensor[:, z, y, x].contiguous()


def ahead(
    function: Callable[[T], torch.Tensor], items: Iterator[T]
) -> Generator[tuple[T, torch.Tensor]]:
    """Each item with what the function makes of it, which computes the next one meanwhile.

    An item is taken from `items` only when its turn has come. Closing waits for the one that is
    being computed and begins no other.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="medseg-tile")
    try:
        waiting: list[tuple[T, Future[torch.Tensor]]] = []
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > 1:
                first, future = waiting.pop(0)
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
