"""When memory runs out, when a network fails, when a model is called again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from echo import CONFIG, RECIPE, Echo, MakeSegmenter, random_scan
from torch import nn

from napari_medseg.errors import InputError, ModelError
from napari_medseg.inference import device as devices
from napari_medseg.inference import engine
from napari_medseg.inference.config import EngineName, PredictConfig
from napari_medseg.inference.engine import TorchEngine
from napari_medseg.inference.predict import predict, predict_with
from napari_medseg.jobs import Child, Notice, finish
from napari_medseg.models import checkpoint
from napari_medseg.models.build import build, weights_of
from napari_medseg.models.segmenter import Segmenter

CPU, GPU = torch.device("cpu"), torch.device("cuda")
CONFIG_CPU = PredictConfig(device="cpu")


class Greedy(Echo):
    """Runs out of memory in tiles of more than `most` voxels."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if batch[0, 0].numel() > self.most:
            raise torch.OutOfMemoryError("out of memory. Tried to allocate 20.00 GiB")
        return super().forward(batch)


def test_a_lack_of_memory_leads_to_smaller_tiles_and_says_so(segmenter_of: MakeSegmenter) -> None:
    scan, notices = random_scan((20, 20, 20)), []
    segmenter = segmenter_of(Greedy(4**3), patch=(16, 16, 16))
    prediction = finish(predict(scan, segmenter, CONFIG_CPU), notices.append)
    assert [event.text for event in notices if isinstance(event, Notice)] == [
        "Not enough memory on cpu; going on with cpu in tiles of 8 × 8 × 8",
        "Not enough memory on cpu; going on with cpu in tiles of 4 × 4 × 4",
    ]
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)


def test_a_lack_of_memory_to_the_end_is_refused_with_what_to_do(
    segmenter_of: MakeSegmenter,
) -> None:
    with pytest.raises(InputError, match=r"GB are free; close other programs"):
        finish(predict(random_scan((8, 8, 8)), segmenter_of(Greedy(0)), CONFIG_CPU))


def test_probabilities_too_large_for_the_memory_are_refused_at_once(
    echo: Echo, segmenter_of: MakeSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda _: 6000)  # needed: 3 x 1024 x 2 bytes
    job = predict(random_scan((4, 16, 16)), segmenter_of(echo), PredictConfig(keep_softmax=True))
    with pytest.raises(InputError, match="segment without them"):
        finish(job)
    assert not echo.seen


@pytest.fixture
def failing_gpu(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """A GPU that raises the first of these errors at each tile."""
    errors: list[Exception] = []

    class Failing(TorchEngine):
        def __call__(self, tile: torch.Tensor) -> torch.Tensor:
            if self._device != CPU:
                raise errors[0]
            return super().__call__(tile)

    monkeypatch.setattr(engine, "TorchEngine", Failing)
    monkeypatch.setattr(engine, "half_type", lambda _: None)  # torch has never seen this GPU
    monkeypatch.setattr(devices, "choose", lambda _: GPU)
    monkeypatch.setattr(devices, "free_bytes", lambda device: 8e9 if device == CPU else 0)
    return errors


def notices_of(segmenter: Segmenter) -> list[str]:
    """What a prediction of a scan says; it must be right in the end."""
    scan, events = random_scan((12, 12, 12)), []
    prediction = finish(predict(scan, segmenter), events.append)
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)
    assert prediction.device == "cpu"
    return [event.text for event in events if isinstance(event, Notice)]


def test_a_full_gpu_leads_to_smaller_tiles_and_then_to_the_cpu(
    failing_gpu: list[Exception], echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    failing_gpu.append(torch.OutOfMemoryError("CUDA out of memory"))
    assert notices_of(segmenter_of(echo)) == [
        "Not enough memory on cuda; going on with cuda in tiles of 4 × 4 × 4",
        "Not enough memory on cuda; going on with cuda in tiles of 2 × 2 × 2",
        "Not enough memory on cuda; going on with cpu in tiles of 8 × 8 × 8",
    ]


def test_a_broken_gpu_leads_to_the_cpu_at_once(
    failing_gpu: list[Exception], echo: Echo, segmenter_of: MakeSegmenter
) -> None:
    failing_gpu.append(RuntimeError("CUDA error: no kernel image is available\nCompile with …"))
    assert notices_of(segmenter_of(echo)) == [
        "cuda failed (CUDA error: no kernel image is available); "
        "going on with cpu in tiles of 8 × 8 × 8"
    ]


class Broken(nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shape mismatch")


def test_a_bug_is_not_mistaken_for_a_lack_of_memory(segmenter_of: MakeSegmenter) -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"):
        finish(predict(random_scan((8, 8, 8)), segmenter_of(Broken()), CONFIG_CPU))


class Overflowing(Echo):
    """Gives NaN in 16 bits, as float16 does above 65504."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        logits = super().forward(batch)
        return logits * torch.nan if torch.is_autocast_enabled("cpu") else logits


def test_what_overflows_in_16_bits_is_computed_in_32(
    segmenter_of: MakeSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "half_type", lambda _: torch.bfloat16)
    scan, network = random_scan((8, 8, 20)), Overflowing()
    config = replace(CONFIG_CPU, engine=EngineName.TORCH_HALF)
    prediction = finish(predict(scan, segmenter_of(network), config))
    np.testing.assert_array_equal(prediction.mask.labels, scan.array)
    assert len(network.seen) == 4 + 1  # only the first tile twice


class NotANumber(Echo):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return super().forward(batch) * torch.nan


def test_a_network_that_gives_nan_is_refused(segmenter_of: MakeSegmenter) -> None:
    with pytest.raises(ModelError, match="finite"):
        finish(predict(random_scan((8, 8, 8)), segmenter_of(NotANumber()), CONFIG_CPU))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint with random weights."""
    network = build(CONFIG, 1, RECIPE.n_outputs)
    path = tmp_path / "model.safetensors"
    checkpoint.save(Segmenter("random", CONFIG, weights_of(network), RECIPE), path)
    return path


def test_a_checkpoint_stays_loaded_until_its_file_changes(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, load = [], checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda path: loaded.append(path) or load(path))
    scan = random_scan((8, 8, 9))
    for changed_ns in (1, 1, 2):
        os.utime(model, ns=(changed_ns, changed_ns))
        finish(predict_with(scan, model, CONFIG_CPU))
    assert len(loaded) == 2


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        finish(predict_with(random_scan((8, 8, 8)), tmp_path / "no.safetensors", CONFIG_CPU))


def test_a_child_process_gives_the_same_mask(model: Path) -> None:
    scan = random_scan((10, 9, 8))
    here = finish(predict(scan, checkpoint.load(model), CONFIG_CPU))
    with Child() as child:
        name = "napari_medseg.inference.predict:predict_with"
        there = finish(child.run(name, scan, model, CONFIG_CPU))
    np.testing.assert_array_equal(there.mask.labels, here.mask.labels)
