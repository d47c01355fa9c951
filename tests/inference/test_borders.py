"""Where a coarse look is sure it is the answer; the network computes what lies along borders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from echo import LABELS, RECIPE, Echo, MakeSegmenter
from torch import nn

from napari_medseg.inference.config import EngineName, Mode, PredictConfig
from napari_medseg.inference.events import BoxDone, LookAt
from napari_medseg.inference.predict import predict
from napari_medseg.inference.scout import scout_tiles
from napari_medseg.inference.tiles import Extent
from napari_medseg.jobs import Notice, Progress, finish
from napari_medseg.volume import Geometry, Volume

FULL = PredictConfig(device="cpu", engine=EngineName.TORCH, mode=Mode.FULL)
BORDERS = replace(FULL, mode=Mode.BORDERS)
TILE = (16, 16, 16)
EARNED = {"patch": TILE, "scout": 2.0, "borders": True}


class Sure(Echo):
    """Has no doubt, and remembers whether it saw a border."""

    def __init__(self) -> None:
        super().__init__()
        self.borders: list[bool] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.borders.append(bool(batch.min() < batch.max()))
        return super().forward(batch) * 10


def ball(shape: Extent, radius: float = 26, core: float = 0) -> Volume:
    """A ball of level 1 in the middle, and one of level 2 in that."""
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    squared = sum((at - (n - 1) / 2) ** 2 for at, n in zip((z, y, x), shape, strict=True))
    levels = (squared < radius**2).astype(np.int16) + (squared < core**2)
    levels[0, 0, 0] = 2  # so that the grey levels are known; too small for a coarse look
    return Volume(levels.astype(np.int16), Geometry.from_spacing(shape))


@pytest.mark.parametrize("mm", [None, (1.25, 0.8, 1.0)])
@pytest.mark.parametrize("shape", [(64, 68, 70), (9, 72, 60)])
def test_only_tiles_along_borders_are_computed_and_the_mask_stays_the_same(
    shape: Extent, mm: tuple[float, float, float] | None, segmenter_of: MakeSegmenter
) -> None:
    network, scan = Sure(), ball(shape)
    segmenter = segmenter_of(network, spacing_mm=mm, **EARNED)
    whole = finish(predict(scan, segmenter, FULL))
    n_whole = len(network.borders)
    network.borders.clear()
    found = finish(predict(scan, segmenter, BORDERS))
    np.testing.assert_array_equal(found.mask.labels[2:], whole.mask.labels[2:])
    assert found.how == f"torch-float32, borders, {len(network.borders)} tiles"
    assert len(network.borders) < 0.8 * n_whole


def test_the_inside_of_an_organ_is_never_computed(segmenter_of: MakeSegmenter) -> None:
    network, scan = Sure(), ball((80, 80, 80), radius=37)
    finish(predict(scan, segmenter_of(network, **EARNED), BORDERS))
    coarse = scout_tiles((80, 80, 80), replace(RECIPE, patch=TILE, scout=2.0), TILE)
    computed = network.borders[coarse:]
    assert np.mean(computed) > 0.85  # the others end a voxel or two before one


def test_progress_counts_the_tiles_that_the_network_computes(segmenter_of: MakeSegmenter) -> None:
    network, said = Sure(), []
    finish(predict(ball((64, 64, 64)), segmenter_of(network, **EARNED), BORDERS), said.append)
    counted = [one for one in said if isinstance(one, Progress) and one.text == "Segmenting"]
    assert counted[-1].done == counted[-1].total == len(network.borders)
    assert [one.done for one in counted] == sorted(one.done for one in counted)


def test_the_user_may_look_elsewhere_meanwhile(segmenter_of: MakeSegmenter) -> None:
    segmenter, scan = segmenter_of(Sure(), **EARNED), ball((64, 64, 64))
    job = predict(scan, segmenter, replace(BORDERS, slice_zyx=(0, 5)))
    shown, sent = np.zeros_like(scan.array), False
    event = next(job)
    try:
        while True:
            if isinstance(event, BoxDone):
                shown[event.slices] = event.labels
            look = None if sent else LookAt(1, 40)
            sent = sent or isinstance(event, BoxDone)
            event = job.send(look if sent else None)
    except StopIteration as done:
        np.testing.assert_array_equal(shown, done.value.mask.labels)
    np.testing.assert_array_equal(shown[2:], scan.array[2:])


@pytest.mark.parametrize(
    ("radius", "mode"), [(46, "borders"), (6, "regions")], ids=["large", "small"]
)
def test_auto_takes_borders_where_that_saves_tiles(
    radius: float, mode: str, segmenter_of: MakeSegmenter
) -> None:
    segmenter = segmenter_of(Sure(), **EARNED)
    found = finish(predict(ball((96, 96, 96), radius), segmenter, replace(FULL, mode=Mode.AUTO)))
    assert mode in found.how


@pytest.mark.parametrize("earned", [{"scout": 2.0}, {"borders": True}])
def test_a_model_that_has_not_earned_it_computes_all_and_says_so(
    earned: dict[str, object], segmenter_of: MakeSegmenter
) -> None:
    said: list[object] = []
    segmenter = segmenter_of(Sure(), patch=TILE, **earned)
    found = finish(predict(ball((32, 32, 32), 10), segmenter, BORDERS), said.append)
    assert "full" in found.how
    assert any(isinstance(one, Notice) and "all of the scan" in one.text for one in said)


@pytest.mark.parametrize(("memory_gb", "kept"), [(0.01, False), (0.1, True)])
def test_what_a_coarse_look_saw_is_kept_only_if_the_memory_allows_it(
    memory_gb: float, kept: bool, segmenter_of: MakeSegmenter
) -> None:
    segmenter = segmenter_of(Sure(), **{**EARNED, "patch": (32, 32, 32)})
    scan = ball((136, 136, 136), radius=66)
    found = finish(predict(scan, segmenter, replace(BORDERS, overlap=0.0, memory_gb=memory_gb)))
    assert ("borders" in found.how) == kept


def test_a_scan_of_nothing_takes_no_more_than_the_coarse_look(segmenter_of: MakeSegmenter) -> None:
    network, scan = Sure(), ball((64, 64, 64), radius=0)
    segmenter = segmenter_of(network, **{**EARNED, "scout": 4.0})
    found = finish(predict(scan, segmenter, BORDERS))
    assert found.mask.labels.sum() == 0
    assert len(network.borders) == 1


class Nested(nn.Module):
    """Two regions, one in the other: above grey levels 1/4 and 3/4."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.cat([60 * (batch - 0.25), 60 * (batch - 0.75)], 1)


def test_regions_that_overlap_are_computed_along_each_border(segmenter_of: MakeSegmenter) -> None:
    scan = ball((72, 72, 72), radius=34, core=30)
    segmenter = segmenter_of(Nested(), labels=LABELS, regions=((1, 2), (2,)), **EARNED)
    whole = finish(predict(scan, segmenter, FULL))
    found = finish(predict(scan, segmenter, BORDERS))
    assert "borders" in found.how
    np.testing.assert_array_equal(found.mask.labels, whole.mask.labels)
    assert set(np.unique(found.mask.labels)) == {0, 1, 2}


class Smoothing(nn.Module):
    """What is bright in the mean over 3 x 3 x 3 voxels."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Conv3d(1, 2, 3, padding=1, padding_mode="replicate")
        with torch.no_grad():
            self.mean.weight[0], self.mean.weight[1] = -1.0, 1.0
            self.mean.bias.copy_(torch.tensor([13.5, -13.5]))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.mean(batch)
        return logits


@pytest.mark.parametrize("engine", [EngineName.TORCH, EngineName.OPENVINO])
def test_a_network_that_reads_through_noise_gives_the_same_mask(
    engine: EngineName, segmenter_of: MakeSegmenter
) -> None:
    if engine is EngineName.OPENVINO:
        pytest.importorskip("openvino", reason="the engine is an optional dependency")
    clean = ball((80, 80, 80), radius=34).array.astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.15, clean.shape)
    scan = Volume((clean + noise).astype(np.float32), Geometry.from_spacing(clean.shape))
    segmenter = segmenter_of(Smoothing(), labels=LABELS[:1], **EARNED)
    whole = finish(predict(scan, segmenter, replace(FULL, engine=engine)))
    found = finish(predict(scan, segmenter, replace(BORDERS, engine=engine)))
    assert "borders" in found.how
    assert (found.mask.labels == whole.mask.labels).mean() >= 0.999
    assert 0 < found.mask.labels.mean() < 0.5
