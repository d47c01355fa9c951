"""How wrong the network is, counted only where someone said what is right."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from napari_medseg.training.config import IGNORE

SMOOTH = 1e-5  # nnU-Net's; keeps an absent label from dividing by zero


def segmentation_loss(
    logits: torch.Tensor | Sequence[torch.Tensor],
    target: torch.Tensor,
    regions: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy plus (1 - Dice) over the valid voxels, each output of the decoder weighted.

    Parameters
    ----------
    logits
        (B, L, ...), or a list of them from fine to coarse; then each counts half of the finer one
        and the coarsest nothing, as in nnU-Net.
    target
        (B, ...) uint8: output numbers, 255 where nobody knows.
    regions
        bool (N, L): whether the voxels of number n belong to an output, where outputs overlap.
    weight
        Of each voxel, (B, ...), for one output only; in the Dice none counts more than once.

    Returns
    -------
    A scalar in float32; 0 if no voxel is valid.
    """
    if isinstance(logits, torch.Tensor):
        return ce_and_dice(logits, target, regions, weight)
    weights = [0.5**depth for depth in range(max(1, len(logits) - 1))]
    losses = [
        weight * ce_and_dice(output, _shrunk(target, output.shape[2:]), regions)
        for weight, output in zip(weights, logits, strict=False)
    ]
    return torch.stack(losses).sum() / sum(weights)


def ce_and_dice(
    logits: torch.Tensor,
    target: torch.Tensor,
    regions: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy plus (1 - batch Dice) of logits (B, L, ...) over voxels that are not 255."""
    logits = logits.float()
    valid = target != IGNORE
    counted = valid.float() if weight is None else valid * weight
    total = counted.sum().clamp(min=1)
    known = torch.where(valid, target, 0).long()
    if regions is not None:
        truth = regions.to(logits)[known].movedim(-1, 1)
        bce = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(1)
        mean_bce = (bce * counted).sum() / total
        return mean_bce + _one_minus_dice(logits.sigmoid(), truth, counted.clamp(max=1)[:, None])
    ce = F.cross_entropy(logits, known, reduction="none")
    mean_ce = (ce * counted).sum() / total
    return mean_ce + dice_loss(logits, known, counted.clamp(max=1))


def dice_loss(logits: torch.Tensor, known: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """1 - mean soft Dice of the labels that the batch holds, background left out.

    `weight` (B, ...) is the share to which a voxel counts: whole, in part or, for 0, not at all.

    A label that occurs nowhere among the valid voxels is left to the cross-entropy: its Dice is 0
    for any false voxel however faint, and says nothing more.
    """
    truth = F.one_hot(known, logits.shape[1]).movedim(-1, 1)
    return _one_minus_dice(logits.softmax(1)[:, 1:], truth[:, 1:], weight[:, None])


def _one_minus_dice(
    probability: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """1 - mean soft Dice of the outputs (B, L, ...) that occur in `truth`."""
    axes = [0, *range(2, truth.ndim)]
    counted = truth * weight
    overlap = (probability * counted).sum(axes)
    sizes = (probability * weight).sum(axes) + counted.sum(axes)
    dice = (2 * overlap + SMOOTH) / (sizes + SMOOTH)
    present = (counted.sum(axes) > 0).float()
    return (present * (1 - dice)).sum() / present.sum().clamp(min=1)


def memory_loss(
    logits: torch.Tensor,
    parent: torch.Tensor,
    where: torch.Tensor | None = None,
    overlapping: bool = False,
) -> torch.Tensor:
    """KL divergence to the parent's own output (B, L, ...), mean over voxels of `where`.

    Of outputs that overlap, each one's own against its being absent, added up.
    """
    if overlapping:
        divergence = _apart(logits.float(), parent.float()) + _apart(
            -logits.float(), -parent.float()
        )
    else:
        log_p = F.log_softmax(logits.float(), 1)
        target = F.log_softmax(parent.float(), 1)
        divergence = (target.exp() * (target - log_p)).sum(1)
    if where is None:
        return divergence.mean()
    return (divergence * where).sum() / where.sum().clamp(min=1)


def _apart(logits: torch.Tensor, parent: torch.Tensor) -> torch.Tensor:
    """What each region's being there adds to the divergence, (B, ...)."""
    return (parent.sigmoid() * (F.logsigmoid(parent) - F.logsigmoid(logits))).sum(1)


def _shrunk(target: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The nearest label at a coarser output's voxels."""
    if target.shape[1:] == shape:
        return target
    coarse = F.interpolate(target[:, None].float(), size=list(shape), mode="nearest-exact")
    return coarse[:, 0].to(target.dtype)
