"""Yes or no for each voxel, packed."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.correction.bits import Bits

SHAPE = (4, 5, 21)


@pytest.mark.parametrize("x", [slice(0, 21), slice(3, 6), slice(8, 16), slice(13, 21)])
def test_what_is_put_into_a_box_is_there_and_nothing_else(x: slice) -> None:
    bits, truth = Bits(SHAPE), np.zeros(SHAPE, bool)
    box = slice(1, 3), slice(2, 5), x
    where = np.random.default_rng(0).random(truth[box].shape) > 0.5
    for on, chosen in ((True, where), (True, where[::-1]), (False, where)):
        bits.put(box, chosen, on)
        truth[box][chosen] = on
        everything = tuple(slice(0, n) for n in SHAPE)
        np.testing.assert_array_equal(bits[everything], truth)  # type: ignore[index]
        np.testing.assert_array_equal(bits[box], truth[box])
        assert bits.count == truth.sum()


def test_it_takes_an_eighth_of_a_byte_a_voxel_and_nothing_while_empty() -> None:
    bits = Bits((600, 512, 512))
    bits.put((slice(0, 600), slice(0, 512), slice(0, 512)), np.ones((600, 512, 512), bool), False)
    assert bits.packed is None
    assert not bits
    bits.put((slice(5, 6), slice(0, 1), slice(0, 1)), np.ones((1, 1, 1), bool), True)
    assert bits.packed is not None
    assert bits.packed.nbytes == 600 * 512 * 512 // 8


def test_a_copy_goes_its_own_way() -> None:
    bits, box = Bits(SHAPE), (slice(0, 1), slice(0, 1), slice(0, 9))
    bits.put(box, np.ones((1, 1, 9), bool), True)
    copy = bits.copy()
    bits.put(box, np.ones((1, 1, 9), bool), False)
    assert (copy.count, bits.count) == (9, 0)
    assert copy[box].all()
