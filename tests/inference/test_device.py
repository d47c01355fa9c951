"""Choosing where to compute."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from napari_medseg.errors import InputError
from napari_medseg.inference.device import (
    attempts,
    available,
    choose,
    free_bytes,
    is_out_of_memory,
    trim_memory,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_the_cpu_is_always_there_and_last() -> None:
    assert available()[-1] == "cpu"
    assert choose("cpu") == CPU
    assert choose("auto").type in available()
    assert free_bytes(CPU) > 0


@pytest.mark.parametrize("name", ["cuda:99", "tpu", "", "CPU "])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(InputError, match="cpu or auto"):
        choose(name)


def test_memory_is_saved_by_smaller_tiles_then_by_the_cpu() -> None:
    ways = list(attempts(GPU, (64, 64, 64), (16, 16, 16)))
    assert [str(way) for way in ways] == [
        "cuda in tiles of 64 × 64 × 64",
        "cuda in tiles of 32 × 32 × 32",
        "cuda in tiles of 16 × 16 × 16",
        "cpu in tiles of 64 × 64 × 64",
        "cpu in tiles of 32 × 32 × 32",
        "cpu in tiles of 16 × 16 × 16",
    ]


def test_a_tile_that_cannot_shrink_is_tried_once_on_each_device() -> None:
    assert len(list(attempts(GPU, (1, 16, 16), (1, 16, 16)))) == 2
    assert len(list(attempts(CPU, (1, 16, 16), (1, 16, 16)))) == 1


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.1 GB)"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        MemoryError(),
    ],
)
def test_every_way_to_run_out_of_memory_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("expected 5-D input"))


def test_large_blocks_are_kept_on_linux_and_nothing_breaks_elsewhere() -> None:
    code = "from napari_medseg.inference.device import *; print(keep_freed_memory())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() in {"True", "False"}
    trim_memory()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_large_blocks_are_kept_for_a_thread_as_well() -> None:
    code = """
import resource, threading, torch
from napari_medseg.inference.device import keep_freed_memory
kept, faults = keep_freed_memory(), []
def fill():
    for _ in range(20):  # the first ones make room
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(16 << 20)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=fill)
thread.start(); thread.join()
assert not kept or faults[-1] < faults[0] / 10, faults
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_naming_the_room_does_not_import_torch() -> None:
    code = (
        "import sys, napari_medseg.inference.device, napari_medseg.inference.config, "
        "napari_medseg.inference.events, napari_medseg.inference.clean; "
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
