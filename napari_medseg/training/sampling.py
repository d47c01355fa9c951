"""Which piece of which case the network sees next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from napari_medseg.training.augment import augmentation, margin_of, seeded
from napari_medseg.training.config import IGNORE

COARSE_SHARE = 0.2  # of the patches, where the network also learns to look at the whole
DOUBTED = 128  # + n in a target: nobody vouches for n, the model that is to learn says it
MOST_PLACES = 20_000  # voxels kept of each label: more find nothing new


@dataclass(frozen=True, eq=False)
class Lesson:
    """A case in memory, on the network's grid.

    Attributes
    ----------
    image
        float (C, Z, Y, X).
    target
        uint8 (Z, Y, X): output numbers, 255 where nobody knows.
    places
        Voxel indices (N, 3) of each label, those that patches are centred on.
    start
        Where (Z, Y, X) of the whole scan's grid this begins, if it is a part.
    left
        As the target, of the whole mask as the person left it; None if nobody did.
    planes
        Of each slice, the corrected slices of the scan that it is made of; empty where each is one
        of its own.
    reach
        How far apart two slices of the scan may be that are in one of the network's, if those are
        the thicker ones.
    """

    name: str
    image: torch.Tensor
    target: torch.Tensor
    subject: str = ""
    places: tuple[npt.NDArray[np.int32], ...] = field(default=(), repr=False)
    start: tuple[int, int, int] = (0, 0, 0)
    left: torch.Tensor | None = None
    planes: tuple[tuple[int, ...], ...] = ()
    reach: int = 0

    def corrected(self) -> dict[int, tuple[int, ...]]:
        """The slices in which something is known, each with the numbers of what was corrected.

        A scan's slice that is five of the network's is one correction: all of them tell the same.
        """
        rows = (self.target != IGNORE).flatten(1).any(1).nonzero().flatten().tolist()
        return {row: self.planes[row] if self.planes else (row + self.start[0],) for row in rows}


def doubted_from(n_outputs: int) -> int:
    """The first target that is in doubt; with too many outputs for that it is 255, so none is."""
    return DOUBTED if n_outputs <= DOUBTED - 1 else IGNORE


def lesson(name: str, image: torch.Tensor, target: torch.Tensor, subject: str = "") -> Lesson:
    """The case with the places of its labels, background left out."""
    labels = target.numpy()
    found = (np.argwhere(labels == n) for n in np.unique(labels) if n not in (0, IGNORE))
    return Lesson(name, image, target, subject or name, tuple(_thinned(at) for at in found))


def with_places(one: Lesson, where: Sequence[torch.Tensor]) -> Lesson:
    """The lesson with patches centred on these voxels, bool (Z, Y, X) each; empty ones left out."""
    found = (np.argwhere(part.numpy()) for part in where)
    return replace(one, places=tuple(_thinned(at) for at in found if len(at)))


@dataclass(frozen=True, eq=False)
class Sampler:
    """Batches of augmented patches: a pure function of the step, so that a run can be resumed.

    Attributes
    ----------
    patch
        (Z, Y, X); Z is 1 for a 2-D network.
    foreground
        Share of the patches that are centred on a labelled voxel, each label as often.
    coarse
        The same cases in larger voxels; a fifth of the patches is cut from them.
    """

    lessons: Sequence[Lesson]
    patch: tuple[int, int, int]
    batch: int
    mirror_axes: tuple[int, ...] = ()
    strength: float = 1.0
    foreground: float = 0.5
    seed: int = 0
    flat: bool = False
    coarse: Sequence[Lesson] = ()

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, C, Z, Y, X) and targets (B, Z, Y, X); without Z for a 2-D network."""
        first = step * self.batch
        pairs = [self._patch(number) for number in range(first, first + self.batch)]
        return torch.stack([image for image, _ in pairs]), torch.stack([seg for _, seg in pairs])

    def _patch(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The n-th patch of the run."""
        rng = np.random.default_rng((self.seed, number))
        due = int((number + 1) * COARSE_SHARE) > int(number * COARSE_SHARE)
        chosen = _in_turn(self.coarse if due and self.coarse else self.lessons, number, self.seed)
        centre = self._centre(chosen, number, rng)
        image, target = cut(chosen, centre, margin_of(self.patch, self.strength))
        patch: tuple[int, ...] = self.patch
        if self.flat:
            image, target, patch = image[:, 0], target[0], patch[1:]
        change = augmentation(patch, self.mirror_axes, self.strength)
        with seeded(int(rng.integers(2**31))):
            changed = change(image=image, segmentation=target[None].to(torch.int16))
        return changed["image"], changed["segmentation"][0].to(torch.uint8)

    def _centre(self, chosen: Lesson, number: int, rng: np.random.Generator) -> tuple[int, ...]:
        """A labelled voxel or any, such that the patch stays inside the scan where it fits."""
        due = int((number + 1) * self.foreground) > int(number * self.foreground)
        shape = chosen.target.shape
        if due and chosen.places:
            places = chosen.places[rng.integers(len(chosen.places))]
            wanted = places[rng.integers(len(places))]
        else:
            wanted = np.array([rng.integers(n) for n in shape])
        return tuple(
            int(np.clip(at, size // 2, n - size + size // 2)) if n > size else n // 2
            for at, n, size in zip(wanted, shape, self.patch, strict=True)
        )


def _in_turn(lessons: Sequence[Lesson], number: int, seed: int) -> Lesson:
    """Each case once in an epoch, in a new order."""
    epoch, place = divmod(number, len(lessons))
    order = np.random.default_rng((seed, 1, epoch)).permutation(len(lessons))
    return lessons[int(order[place])]


def cut(
    chosen: Lesson, centre: Sequence[int], shape: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """A copy of the box around a voxel: image (C, *shape) and target.

    Beyond the scan the image is mirrored, as a prediction pads it, and the target says nothing.
    """
    image, target, inside = chosen.image, chosen.target, torch.ones(())
    for axis, (at, size) in enumerate(zip(centre, shape, strict=True)):
        n = target.shape[axis]
        index = np.arange(at - size // 2, at - size // 2 + size)
        near = torch.from_numpy(mirrored(index, n))
        image, target = image.index_select(axis + 1, near), target.index_select(axis, near)
        inside = inside[..., None] * torch.from_numpy((index >= 0) & (index < n))
    return image.float(), torch.where(inside > 0, target, IGNORE)


def mirrored(index: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Indices beyond an axis folded back into it, its last voxel not repeated."""
    period = max(1, 2 * size - 2)
    wave = np.abs(index) % period
    return np.asarray(np.minimum(wave, period - wave) if size > 1 else wave * 0)


def _thinned(places: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    step = max(1, len(places) // MOST_PLACES)
    return places[::step].astype(np.int32)
