"""One tile is computed while another is blended."""

from __future__ import annotations

import threading

import pytest
import torch

from napari_medseg.inference.forward import ahead


def test_items_come_in_order_with_their_results() -> None:
    found = list(ahead(lambda n: torch.tensor(n * n), iter(range(5))))
    assert [(n, int(square)) for n, square in found] == [(n, n * n) for n in range(5)]


def test_the_next_one_is_computed_while_one_is_looked_at() -> None:
    begun = [threading.Event() for _ in range(3)]

    def compute(n: int) -> torch.Tensor:
        begun[n].set()
        return torch.tensor(n)

    results = ahead(compute, iter(range(3)))
    next(results)
    assert begun[1].wait(5)
    assert not begun[2].is_set()
    results.close()


def test_closing_begins_no_other() -> None:
    computed: list[int] = []
    results = ahead(lambda n: computed.append(n) or torch.tensor(n), iter(range(100)))
    next(results)
    results.close()
    assert computed in ([0], [0, 1])


def test_an_error_reaches_who_waits_for_it() -> None:
    def fail(n: int) -> torch.Tensor:
        raise MemoryError("no room")

    with pytest.raises(MemoryError, match="no room"):
        list(ahead(fail, iter(range(3))))
