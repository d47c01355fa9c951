"""Which piece of which case is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_medseg.preprocess.pad import mirror_indices
from napari_medseg.training.augment import seeded
from napari_medseg.training.config import IGNORE
from napari_medseg.training.sampling import Lesson, Sampler, cut, lesson, mirrored, with_places


def rare(name: str = "rare", side: int = 32) -> Lesson:
    """One voxel of label 1 in a corner, 500 of label 2, nothing else."""
    target = torch.zeros(side, side, side, dtype=torch.uint8)
    target[2, 3, 4] = 1
    target[20:25, 20:30, 20:30] = 2
    image = torch.arange(side**3, dtype=torch.float32).reshape(1, side, side, side)
    return lesson(name, image, target)


def sampler(**changes: object) -> Sampler:
    return replace(Sampler([rare()], (8, 8, 8), 4, strength=0.0), **changes)  # type: ignore[arg-type]


def test_half_of_the_patches_hold_foreground_and_each_label_as_often() -> None:
    targets = torch.cat([sampler()(step)[1] for step in range(50)])
    ones = (targets == 1).flatten(1).any(1).float().mean()
    twos = (targets == 2).flatten(1).any(1).float().mean()
    assert 0.15 < float(ones) < 0.4
    assert 0.2 < float(twos) < 0.6


def test_all_patches_can_be_centred_on_foreground() -> None:
    targets = torch.cat([sampler(foreground=1.0)(step)[1] for step in range(10)])
    assert bool(((targets > 0) & (targets != IGNORE)).flatten(1).any(1).all())


def test_a_patch_inside_a_large_scan_has_no_padding() -> None:
    targets = torch.cat([sampler()(step)[1] for step in range(20)])
    assert not bool((targets == IGNORE).any())


def test_a_batch_depends_on_its_step_alone() -> None:
    one, other = sampler(strength=1.0), sampler(strength=1.0)
    one(0)
    for a, b in zip(one(7), other(7), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one(7)[0], one(8)[0])


def test_each_case_is_seen_once_in_an_epoch() -> None:
    lessons = [replace(rare(str(n)), image=torch.full((1, 32, 32, 32), float(n))) for n in range(6)]
    some = sampler(lessons=lessons, batch=3)
    seen = torch.cat([some(step)[0][:, 0, 0, 0, 0] for step in (0, 1)])
    assert sorted(seen.tolist()) == [0, 1, 2, 3, 4, 5]


def test_image_and_target_are_turned_together() -> None:
    whole = rare()
    both = replace(whole, image=(whole.target == 2).float()[None] * 10)
    some = sampler(lessons=[both], patch=(16, 16, 16), strength=3.0, foreground=1.0)
    images, targets = some(3)
    inside, outside = images[:, 0][targets == 2], images[:, 0][targets == 0]
    assert float(inside.mean()) > float(outside.mean()) + 2


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_beyond_the_scan_it_is_mirrored_as_a_prediction_does(size: int) -> None:
    first = (9 - size) // 2
    assert np.array_equal(mirrored(np.arange(9) - first, size), mirror_indices(size, 9))


def test_beyond_the_scan_nothing_is_taught() -> None:
    small = lesson("small", torch.rand(1, 4, 4, 4), torch.ones(4, 4, 4, dtype=torch.uint8))
    image, target = cut(small, (2, 2, 2), (8, 8, 8))
    assert int((target == 1).sum()) == 64
    assert int((target == IGNORE).sum()) == 512 - 64
    assert torch.equal(image[:, 2:6, 2:6, 2:6], small.image)


def test_a_cut_is_a_copy() -> None:
    one = rare()
    image, target = cut(one, (16, 16, 16), (4, 4, 4))
    image.zero_()
    target.zero_()
    assert float(one.image.max()) == 32**3 - 1
    assert int((one.target == 1).sum()) == 1


def test_slices_for_a_flat_network_have_no_depth() -> None:
    images, targets = sampler(patch=(1, 16, 16), flat=True, strength=1.0)(0)
    assert images.shape == (4, 1, 16, 16)
    assert targets.shape == (4, 16, 16)


def test_only_allowed_axes_are_mirrored() -> None:
    ramp = torch.arange(8.0).reshape(1, 1, 1, 8).expand(1, 8, 8, 8).contiguous()
    one = lesson("ramp", ramp, torch.zeros(8, 8, 8, dtype=torch.uint8))
    some = sampler(lessons=[one], strength=1e-9, mirror_axes=(2,), batch=16)
    first = some(0)[0][:, 0, 0, 0, 0]
    assert set(first.tolist()) == {0.0, 7.0}
    never = sampler(lessons=[one], strength=1e-9, mirror_axes=(0, 1), batch=16)
    assert set(never(0)[0][:, 0, 0, 0, 0].tolist()) == {0.0}


def test_places_can_be_chosen_and_empty_ones_are_left_out() -> None:
    one = rare()
    chosen = with_places(one, [one.target == 1, one.target == 9])
    assert [place.tolist() for place in chosen.places] == [[[2, 3, 4]]]


def test_unknown_voxels_are_no_places() -> None:
    target = torch.full((4, 4, 4), IGNORE, dtype=torch.uint8)
    target[0, 0, 0] = 1
    assert [len(at) for at in lesson("x", torch.rand(1, 4, 4, 4), target).places] == [1]


def test_chance_goes_on_as_before_after_a_seeded_piece() -> None:
    np.random.seed(5)
    torch.manual_seed(5)
    expected = (np.random.rand(2).tolist(), torch.rand(2).tolist())
    np.random.seed(5)
    torch.manual_seed(5)
    with seeded(3):
        np.random.rand()
        torch.rand(1)
    assert (np.random.rand(2).tolist(), torch.rand(2).tolist()) == expected
