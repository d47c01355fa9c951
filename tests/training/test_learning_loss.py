"""How wrong an answer is, known by construction."""

from __future__ import annotations

import math

import pytest
import torch

from napari_medseg.training.config import IGNORE
from napari_medseg.training.loss import ce_and_dice, dice_loss, memory_loss, segmentation_loss


def truth(n_outputs: int = 3) -> torch.Tensor:
    return torch.randint(0, n_outputs, (2, 8, 8, 8), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )


def sure_of(target: torch.Tensor, n_outputs: int = 3) -> torch.Tensor:
    """Logits (B, L, ...) of one who is certain."""
    known = torch.where(target == IGNORE, 0, target).long()
    return 40.0 * torch.nn.functional.one_hot(known, n_outputs).movedim(-1, 1).float()


def test_a_perfect_answer_costs_nothing() -> None:
    assert float(segmentation_loss(sure_of(truth()), truth())) < 1e-4


def test_a_perfect_answer_costs_nothing_where_one_voxel_in_a_hundred_is_known() -> None:
    target = truth()
    logits = sure_of(1 - target.clamp(max=1))  # wrong everywhere …
    known = torch.rand(target.shape, generator=torch.Generator().manual_seed(1)) < 0.01
    logits = torch.where(known[:, None], sure_of(target), logits)  # … but where it is known
    sparse = torch.where(known, target, IGNORE)
    assert float(segmentation_loss(logits, sparse)) < 1e-4
    assert float(segmentation_loss(logits, target)) > 1


def test_unknown_voxels_give_no_gradient() -> None:
    target = truth()
    target[:, 4:] = IGNORE
    logits = torch.randn(2, 3, 8, 8, 8, requires_grad=True)
    segmentation_loss(logits, target).backward()
    assert logits.grad is not None
    assert float(logits.grad[:, :, 4:].abs().max()) == 0
    assert float(logits.grad[:, :, :4].abs().max()) > 0


def test_nothing_known_costs_nothing() -> None:
    logits = torch.randn(1, 3, 4, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 4, 4, 4), IGNORE, dtype=torch.uint8))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_cross_entropy_of_not_knowing_is_the_logarithm_of_the_choices() -> None:
    target = torch.zeros(1, 4, 4, 4, dtype=torch.uint8)
    loss = ce_and_dice(torch.zeros(1, 3, 4, 4, 4), target)  # no label there: no Dice part
    assert float(loss) == pytest.approx(math.log(3))


def test_dice_of_half_the_overlap_is_one_half() -> None:
    target = torch.zeros(1, 1, 1, 4, dtype=torch.uint8)
    target[..., :2] = 1
    said = torch.zeros(1, 1, 1, 4, dtype=torch.uint8)
    said[..., 1:3] = 1
    loss = dice_loss(sure_of(said, 2), target.long(), torch.ones(target.shape, dtype=torch.bool))
    assert float(loss) == pytest.approx(0.5, abs=1e-4)


def test_what_is_believed_by_half_counts_half_in_dice() -> None:
    target = torch.ones(1, 1, 1, 4, dtype=torch.uint8)
    said = torch.tensor([[[[1, 1, 0, 0]]]], dtype=torch.uint8)
    weight = torch.tensor([[[[1.0, 1.0, 0.5, 0.5]]]])
    loss = dice_loss(sure_of(said, 2), target.long(), weight)
    assert float(loss) == pytest.approx(1 - 2 * 2 / (2 + 3), abs=1e-4)


def test_an_absent_label_does_not_count_in_dice() -> None:
    target = torch.zeros(1, 2, 2, 2, dtype=torch.uint8)
    target[0, 0] = 1
    valid = torch.ones(target.shape, dtype=torch.bool)
    assert float(dice_loss(sure_of(target, 5), target.long(), valid)) < 1e-4


def test_deep_outputs_count_half_of_the_finer_one_and_the_coarsest_nothing() -> None:
    target = torch.ones(1, 8, 8, 8, dtype=torch.uint8)
    right = [sure_of(torch.ones(1, n, n, n, dtype=torch.uint8)) for n in (8, 4, 2)]
    assert float(segmentation_loss(right, target)) < 1e-4
    coarse_wrong = [*right[:2], -right[2]]
    assert float(segmentation_loss(coarse_wrong, target)) < 1e-4
    fine, middle = ([-right[0], *right[1:]], [right[0], -right[1], right[2]])
    ratio = segmentation_loss(fine, target) / segmentation_loss(middle, target)
    assert float(ratio) == pytest.approx(2, rel=1e-3)


def test_the_coarse_target_keeps_unknown_voxels_unknown() -> None:
    target = torch.full((1, 8, 8, 8), IGNORE, dtype=torch.uint8)
    logits = [torch.randn(1, 3, n, n, n) for n in (8, 4)]
    assert float(segmentation_loss(logits, target)) == 0


def test_remembering_costs_nothing_if_nothing_changed() -> None:
    logits = torch.randn(1, 3, 4, 4, 4)
    assert float(memory_loss(logits, logits)) == pytest.approx(0, abs=1e-6)


def test_memory_is_kept_only_where_asked() -> None:
    parent, student = torch.zeros(1, 2, 1, 1, 2), torch.zeros(1, 2, 1, 1, 2)
    student[..., 1] = torch.tensor([5.0, -5.0])[:, None, None]
    where = torch.tensor([[[[True, False]]]])
    assert float(memory_loss(student, parent, where)) == pytest.approx(0, abs=1e-6)
    assert float(memory_loss(student, parent, ~where)) > 1
    assert float(memory_loss(student, parent, where & ~where)) == 0
