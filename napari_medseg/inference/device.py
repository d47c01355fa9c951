"""Which processor computes, in which precision, and what to do when its memory runs out."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from napari_medseg.errors import InputError
from napari_medseg.inference.tiles import Extent, smaller

if TYPE_CHECKING:
    import torch

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8  # glibc's malloc.h
HALVINGS = 2  # of a tile, before another device is tried


def available() -> tuple[str, ...]:
    """Devices that this machine has, the fastest first; "cpu" is always the last."""
    import torch

    cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    names = ["cuda", *cuda[1:]] if cuda else []
    if torch.backends.mps.is_available():
        names.append("mps")
    return (*names, "cpu")


def choose(name: str = "auto") -> torch.device:
    """The device of that name; "auto" takes the fastest.

    Raises
    ------
    InputError
        This machine has no such device.
    """
    import torch

    here = available()
    if name == "auto":
        return torch.device(here[0])
    if name not in {*here, "cuda:0" if "cuda" in here else "cpu"}:
        raise InputError(f"a device must be one of {', '.join(here)} or auto, got {name!r}")
    return torch.device(name)


@cache
def half_type(device: torch.device) -> torch.dtype | None:
    """The 16-bit type that this device is faster at than at float32; None if there is none.

    bfloat16 has float32's range and loses no Dice; float16 serves GPUs before Ampere.
    """
    import torch

    if device.type == "cuda":
        new = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if new else torch.float16
    if device.type == "cpu":
        can: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # newer than 2.10
        return torch.bfloat16 if can.get("avx512_bf16") or can.get("amx_bf16") else None
    return None


@dataclass(frozen=True)
class Attempt:
    """One way to compute: where, and in tiles of which size."""

    device: torch.device
    tile: Extent

    def __str__(self) -> str:
        return f"{self.device.type} in tiles of {' × '.join(map(str, self.tile))}"


def attempts(device: torch.device, tile: Extent, multiple: Extent) -> Iterator[Attempt]:
    """What to try in turn while memory runs out: smaller tiles, then the same on the CPU."""
    import torch

    for where in dict.fromkeys((device, torch.device("cpu"))):
        sizes = [tile]
        for _ in range(HALVINGS):
            sizes.append(smaller(sizes[-1], multiple))
        yield from (Attempt(where, size) for size in dict.fromkeys(sizes))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of torch or numpy says that memory ran out, on whatever device."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    said = ("out of memory", "alloc_failed", "can't allocate", "not enough memory")
    return any(words in text for words in said)


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device now."""
    import psutil
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def empty_cache(device: torch.device) -> None:
    """Give back what torch keeps of a device's memory."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@cache
def keep_freed_memory() -> bool:
    """Have glibc reuse large blocks instead of returning each to the system; once a process.

    A network's activations are freed and asked for again at every layer: without the page faults a
    forward pass takes two thirds of the time, for 40 % more memory. All threads share one arena:
    those that glibc makes for a thread cannot hold large blocks. Whether it was done: Linux with
    glibc only.
    """
    libc = _glibc()
    if libc is None:
        return False
    wanted = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_ARENA_MAX: 1}
    done = [bool(libc.mallopt(option, value)) for option, value in wanted.items()]
    return all(done)


def trim_memory() -> None:
    """Return to the system what `keep_freed_memory` kept."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version") else None
