"""From a dataset on disk to lessons in memory, its plan and its frozen split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import psutil
import torch

from napari_medseg.errors import DatasetError
from napari_medseg.inference.device import free_bytes
from napari_medseg.jobs import Job, Notice, Progress
from napari_medseg.preprocess.prepare import prepare, prepare_mask
from napari_medseg.preprocess.recipe import Recipe
from napari_medseg.training.config import TrainConfig
from napari_medseg.training.dataset import Case, Cases, Split, labels_of, read_case, split
from napari_medseg.training.plan import (
    Extent,
    Fingerprint,
    Plan,
    Spacing,
    orientation_of,
    plan,
)
from napari_medseg.training.sampling import Lesson, lesson
from napari_medseg.training.scouting import coarse_lesson
from napari_medseg.volume import Reorientation
from napari_medseg.volume.volume import COLOURS

HALF_ABOVE = 0.3  # of the free memory: larger datasets are kept in 16 bits
MOST_MEMORY = 0.7


@dataclass(frozen=True)
class Curriculum:
    """All that a training needs of its dataset."""

    plan: Plan
    train: tuple[Lesson, ...]
    validation: tuple[Lesson, ...]
    coarse: tuple[Lesson, ...] = ()


def prepare_cases(cases: Cases, config: TrainConfig, device: torch.device) -> Job[Curriculum]:
    """Look at every case, plan, and bring them into memory.

    Raises
    ------
    DatasetError
        A case cannot be read or does not fit the others, or memory does not hold them.
    """
    for text in cases.warnings:
        yield Notice(text)
    parts = split(cases, config)
    for text in parts.warnings:
        yield Notice(text)
    found = yield from _fingerprint(cases, parts, orientation_of(config))
    chosen = plan(found, config, free_bytes(device), device.type != "cpu")
    dtype = _storage(found, chosen.recipe, cases.name)
    every = (*parts.train, *parts.validation)
    lessons = []
    for number, case in enumerate(every):
        yield Progress(number, len(every), f"Preparing {case.name}")
        lessons.append(_lesson(case, chosen.recipe, dtype))
    n, factor = len(parts.train), chosen.recipe.scout
    coarse = [coarse_lesson(one, factor) for one in lessons[:n]] if factor > 1 else []
    return Curriculum(chosen, tuple(lessons[:n]), tuple(lessons[n:]), tuple(coarse))


def _fingerprint(cases: Cases, parts: Split, orientation: str) -> Job[Fingerprint]:
    """Read each case once: any refusal comes before the first step."""
    shapes: list[Extent] = []
    spacings: list[Spacing] = []
    values: set[int] = set()
    modalities, channels = set(), dict[int, tuple[str, ...]]()
    every = (*parts.train, *parts.validation)
    for number, case in enumerate(every):
        yield Progress(number, len(every), f"Reading {case.name}")
        volume, mask = read_case(case)
        upright = Reorientation.to(volume.geometry, orientation).target
        shapes.append(upright.shape)
        spacings.append(upright.spacing_mm)
        values |= set(mask.values())
        modalities.add(volume.modality)
        channels[volume.n_channels] = volume.channels
        if not _fit(channels):
            raise DatasetError(
                f"cases must have equal channels, got {sorted(channels)}; leave it out", case.name
            )
    names = _channel_names(cases, max(channels), COLOURS in channels.values())
    ct = modalities == {"CT"} or names == ("CT",)
    return Fingerprint(tuple(shapes), tuple(spacings), names, labels_of(cases, sorted(values)), ct)


def _fit(channels: Mapping[int, tuple[str, ...]]) -> bool:
    """Whether all have as many; among colour pictures a grey one has three equal channels."""
    return len(channels) == 1 or (set(channels) == {1, 3} and channels[3] == COLOURS)


def _channel_names(cases: Cases, number: int, colour: bool) -> tuple[str, ...]:
    if not cases.channels:
        if colour:
            return COLOURS
        return ("image",) if number == 1 else tuple(f"channel {n}" for n in range(number))
    if len(cases.channels) != number:
        raise DatasetError(
            f"scans must have the {len(cases.channels)} channels that dataset.json names, "
            f"got {number}",
            cases.name,
        )
    return cases.channels


def _storage(found: Fingerprint, recipe: Recipe, name: str) -> torch.dtype:
    """float32, or float16 where that would take too much of the memory."""
    voxels = sum(_voxels(shape, mm, recipe) for shape, mm in _both(found))
    free = psutil.virtual_memory().available
    for dtype, share in ((torch.float32, HALF_ABOVE), (torch.float16, MOST_MEMORY)):
        if voxels * (recipe.n_inputs * dtype.itemsize + 1) <= share * free:
            return dtype
    raise DatasetError(
        f"{voxels / 1e9:.1f} billion voxels do not fit in {free / 1e9:.0f} GB of free memory; "
        "give a coarser spacing_mm or fewer cases",
        name,
    )


def _both(found: Fingerprint) -> list[tuple[Extent, Spacing]]:
    return list(zip(found.shapes, found.spacings_mm, strict=True))


def _voxels(shape: Sequence[int], mm: Sequence[float], recipe: Recipe) -> float:
    """Of a case on the network's grid."""
    total = 1.0
    for n, here, there in zip(shape, mm, recipe.spacing_mm or mm, strict=True):
        total *= n * here / there
    return total


def _lesson(case: Case, recipe: Recipe, dtype: torch.dtype) -> Lesson:
    volume, mask = read_case(case)
    prepared = prepare(volume, recipe)
    target = prepare_mask(mask, prepared, recipe)
    whole = lesson(case.name, prepared.tensor, target, case.subject)
    return replace(whole, image=prepared.tensor.to(dtype))
