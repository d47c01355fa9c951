"""Engines give the reference's labels; the fastest that does is chosen, once."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from napari_medseg.inference.config import EngineName
from napari_medseg.inference.engine import Engine, build_engine, candidates
from napari_medseg.inference.measure import agreement, pick
from napari_medseg.inference.regrid import painted, winners
from napari_medseg.models.build import build
from napari_medseg.models.config import Family, NetworkConfig

CPU = torch.device("cpu")
REFERENCE = EngineName.TORCH
CONFIGS = {
    "3-D": NetworkConfig(features=(8, 16), strides=((1, 1, 1), (2, 2, 2))),
    "2-D": NetworkConfig(dims=2, features=(8, 16), strides=((1, 1), (2, 2))),
    "residual": NetworkConfig(Family.RESIDUAL, features=(8, 16), strides=((1,) * 3, (2,) * 3)),
    "light": NetworkConfig(Family.LIGHT, features=(8, 16), strides=((1,) * 3, (1, 2, 2))),
    "fcn": NetworkConfig(Family.FCN, features=(8, 16), strides=((1,) * 3, (2,) * 3)),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is remembered from elsewhere."""
    monkeypatch.setenv("MEDSEG_CACHE_DIR", str(tmp_path))
    return tmp_path / "napari-medseg" / "engines.json"


def tile_of(config: NetworkConfig) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, 1 if config.dims == 2 else 8, 16, 24)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("engine", candidates(CPU))
def test_every_engine_gives_the_reference_s_labels(engine: EngineName, name: str) -> None:
    config = CONFIGS[name]
    torch.manual_seed(1)
    network, tile = build(config, 2, 3).eval(), tile_of(config)
    flat = config.dims == 2
    wanted = build_engine(REFERENCE, network, CPU, tuple(tile.shape), flat)(tile)
    logits = build_engine(engine, network, CPU, tuple(tile.shape), flat)(tile)
    assert logits.dtype == torch.float32
    assert logits.shape == wanted.shape == (3, *tile.shape[1:])
    sure = (wanted.topk(2, dim=0).values.diff(dim=0).abs()[0]) > 0.1
    assert agreement(winners(logits)[sure], winners(wanted)[sure]) > 0.999


@pytest.mark.parametrize("engine", candidates(CPU))
def test_an_answer_is_still_there_while_the_next_one_is_computed(engine: EngineName) -> None:
    network = build(CONFIGS["3-D"], 2, 3).eval()
    tile = tile_of(CONFIGS["3-D"])
    compute = build_engine(engine, network, CPU, tuple(tile.shape), False)
    first = compute(tile)
    kept = first.clone()
    compute(-tile)
    assert torch.equal(first, kept)


def test_compiling_for_openvino_reports_to_nobody() -> None:
    """Its converter tells the vendor that it was used; ours does not load it."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    tile = tile_of(CONFIGS["3-D"])
    before = "openvino_telemetry" in sys.modules
    build_engine(
        EngineName.OPENVINO, build(CONFIGS["3-D"], 2, 3).eval(), CPU, tuple(tile.shape), False
    )
    assert ("openvino_telemetry.main" in sys.modules) == before


class Timed:
    """Takes its time and gives what it is told to."""

    def __init__(self, seconds: float, logits: torch.Tensor) -> None:
        self.seconds, self.logits = seconds, logits

    def __call__(self, tile: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return self.logits


RIGHT = torch.stack([torch.zeros(16, 16, 16), torch.ones(16, 16, 16)])
WRONG = RIGHT.flip(0)
NAMES = (EngineName.OPENVINO_HALF, EngineName.TORCH_HALF, REFERENCE)


def picked(answers: dict[EngineName, Timed], model: str = "m", pays: bool = True) -> EngineName:
    def make(name: EngineName, shape: Sequence[int]) -> Engine:
        return answers[name]

    return pick(NAMES, make, winners, torch.zeros(1, 16, 16, 16), (2, 2, 2), model, pays)


def test_the_fastest_engine_that_agrees_is_taken() -> None:
    answers = {NAMES[0]: Timed(0.02, RIGHT), NAMES[1]: Timed(0, RIGHT), NAMES[2]: Timed(0.1, RIGHT)}
    assert picked(answers) is NAMES[1]


def test_a_faster_engine_with_other_labels_is_not_taken() -> None:
    answers = {NAMES[0]: Timed(0, WRONG), NAMES[1]: Timed(0, RIGHT), NAMES[2]: Timed(0.1, RIGHT)}
    assert picked(answers) is NAMES[1]


def test_an_engine_that_gives_nan_is_not_taken() -> None:
    nan = torch.full_like(RIGHT, torch.nan)
    answers = {NAMES[0]: Timed(0, nan), NAMES[1]: Timed(0, nan), NAMES[2]: Timed(0.05, RIGHT)}
    assert picked(answers) is REFERENCE


def test_an_engine_that_loses_a_small_label_is_not_taken() -> None:
    """99.9 % of the voxels are background's."""
    wanted = torch.stack([torch.zeros(64, 64, 64), torch.full((64, 64, 64), -1.0)])
    wanted[1, :6, :6, :6] = 1
    lost = torch.stack([torch.zeros(64, 64, 64), torch.full((64, 64, 64), -1.0)])
    answers = {NAMES[0]: Timed(0, lost), NAMES[1]: Timed(0, wanted), NAMES[2]: Timed(0.1, wanted)}
    assert agreement(winners(lost), winners(wanted)) > 0.999
    assert picked(answers) is NAMES[1]


def test_regions_are_compared_as_they_are_painted() -> None:
    here, nowhere = torch.ones(1, 8, 8, 8), -torch.ones(1, 8, 8, 8)
    answers = {NAMES[0]: Timed(0, nowhere), NAMES[1]: Timed(0, here), NAMES[2]: Timed(0.1, here)}

    def make(name: EngineName, shape: Sequence[int]) -> Engine:
        return answers[name]

    assert pick(NAMES, make, painted, torch.zeros(1, 8, 8, 8), (2, 2, 2), "m") is NAMES[1]


def test_a_piece_without_labels_proves_nothing(own_cache: Path) -> None:
    nothing = RIGHT.flip(0)
    answers = {name: Timed(0.1 * n, nothing) for n, name in enumerate(NAMES)}
    assert picked(answers) is REFERENCE
    assert not own_cache.exists()


def test_an_engine_that_cannot_be_built_is_left_out() -> None:
    def make(name: EngineName, shape: Sequence[int]) -> Engine:
        if name is NAMES[0]:
            raise RuntimeError("no such operation")
        return Timed(0 if name is NAMES[1] else 0.1, RIGHT)

    assert pick(NAMES, make, winners, torch.zeros(1, 8, 8, 8), (2, 2, 2), "m") is NAMES[1]


def test_what_was_measured_is_remembered_for_this_model_alone() -> None:
    fast = {NAMES[0]: Timed(0, RIGHT), NAMES[1]: Timed(0.1, RIGHT), NAMES[2]: Timed(0.1, RIGHT)}
    slow = {NAMES[0]: Timed(0.2, RIGHT), NAMES[1]: Timed(0.2, RIGHT), NAMES[2]: Timed(0, RIGHT)}
    assert picked(fast) is NAMES[0]
    assert picked(slow) is NAMES[0]
    assert picked(slow, "another model") is REFERENCE


def test_little_to_compute_is_measured_for_nothing_but_uses_what_is_known() -> None:
    fast = {NAMES[0]: Timed(0, RIGHT), NAMES[1]: Timed(0.1, RIGHT), NAMES[2]: Timed(0.1, RIGHT)}
    assert picked(fast, pays=False) is REFERENCE
    assert picked(fast) is NAMES[0]
    assert picked(fast, pays=False) is NAMES[0]


def test_a_damaged_memory_is_measured_anew(own_cache: Path) -> None:
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("{ not json")
    right = {NAMES[0]: Timed(0, RIGHT), NAMES[1]: Timed(0.1, RIGHT), NAMES[2]: Timed(0.1, RIGHT)}
    assert picked(right) is NAMES[0]


class Shifted(nn.Module):
    """Says how much brighter the next voxel along X is: turned around by a mirror."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.roll(-1, -1) - batch


@pytest.mark.parametrize(("axes", "passes"), [((), 1), ((2,), 2), ((0, 1, 2), 8)])
def test_mirroring_averages_over_all_mirrorings(axes: tuple[int, ...], passes: int) -> None:
    from napari_medseg.inference.forward import Forward

    tile = torch.randn(1, 4, 4, 6)
    seen: list[torch.Tensor] = []
    engine = build_engine(REFERENCE, Shifted(), CPU, tuple(tile.shape), False)
    forward = Forward([lambda one: seen.append(one) or engine(one)], mirror_axes=axes)
    mean = forward(tile)
    assert len(seen) == passes
    there, back = engine(tile), engine(tile.flip(3)).flip(3)
    torch.testing.assert_close(mean, (there + back) / 2 if 2 in axes else there)


def test_several_networks_are_averaged() -> None:
    from napari_medseg.inference.forward import Forward

    tile = torch.randn(1, 4, 4, 4)
    forward = Forward([lambda one: one * 2, lambda one: one * 4])
    torch.testing.assert_close(forward(tile), tile * 3)
