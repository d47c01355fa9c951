"""Where tiles lie and how much each counts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.inference.tiles import Tiling, gaussian, origins, runs, shares, smaller

SIZES = [(5, 8, 0.5), (8, 8, 0.5), (9, 8, 0.5), (100, 32, 0.5), (77, 16, 0.25), (50, 7, 0.9)]


@pytest.mark.parametrize(("size", "tile", "overlap"), SIZES)
def test_tiles_reach_both_ends_and_overlap_enough(size: int, tile: int, overlap: float) -> None:
    starts = origins(size, tile, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, size - tile)
    assert all(0 < step <= max(1, tile * (1 - overlap)) + 1 for step in np.diff(starts))


def test_origins_are_those_of_nnunet() -> None:
    assert origins(200, 128, 0.5) == (0, 36, 72)
    assert origins(256, 128, 0.5) == (0, 64, 128)


def test_no_overlap_gives_the_fewest_tiles() -> None:
    assert origins(64, 16, 0.0) == (0, 16, 32, 48)


def test_the_gaussian_has_a_sigma_of_an_eighth() -> None:
    bell = gaussian(65)
    assert bell[32] == 1.0
    assert bell[32 + 8] == pytest.approx(np.exp(-0.5 * (8 / (65 / 8)) ** 2))
    np.testing.assert_allclose(bell, bell[::-1])


@pytest.mark.parametrize(("size", "tile", "overlap"), SIZES[1:])
def test_shares_of_all_tiles_sum_to_one_everywhere(size: int, tile: int, overlap: float) -> None:
    total = np.zeros(size)
    for start, share in shares(size, tile, origins(size, tile, overlap)).items():
        total[start : start + tile] += share
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_a_voxel_under_one_tile_belongs_to_it_alone() -> None:
    assert shares(8, 8, (0,))[0].tolist() == [1.0] * 8


def test_tiles_go_outward_from_the_plane() -> None:
    tiling = Tiling.over((64, 8, 8), (8, 8, 8), 0.5)
    everything = (slice(0, 64), slice(0, 8), slice(0, 8))
    tiles = tiling.touching(everything)
    order = [origin[0] for origin in tiling.outward(tiles, 0, slice(30, 32))]
    gaps = [max(start - 31, 30 - (start + 7), 0) for start in order]
    assert gaps == sorted(gaps)
    assert sorted(order) == sorted(tiling.starts[0])
    assert gaps[1] == 0


def test_only_tiles_that_touch_a_box_are_taken() -> None:
    tiling = Tiling.over((32, 32, 32), (16, 16, 16), 0.0)
    assert tiling.touching((slice(0, 16), slice(15, 17), slice(31, 32))) == [
        (0, 0, 16),
        (0, 16, 16),
    ]


def test_cuts_divide_the_planes_where_tiles_begin_and_end() -> None:
    tiling = Tiling.over((24, 8, 8), (16, 8, 8), 0.5)
    assert tiling.cuts(0, slice(0, 24)) == [(0, 8), (8, 16), (16, 24)]
    assert tiling.cuts(0, slice(3, 12)) == [(3, 8), (8, 12)]


def test_a_smaller_tile_still_fits_the_stride() -> None:
    assert smaller((64, 48, 40), (16, 16, 16)) == (32, 32, 32)
    assert smaller((1, 32, 16), (1, 16, 16)) == (1, 16, 16)


def test_runs_are_cut_and_sorted_by_distance_from_an_index() -> None:
    ready = np.array([1, 1, 0, 1, 1, 1, 1, 1, 0, 1], bool)
    assert list(runs(ready, first=6, longest=3)) == [(6, 8), (3, 6), (9, 10), (0, 2)]
    assert list(runs(np.zeros(4, bool), 0, 3)) == []
