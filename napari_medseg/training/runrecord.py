"""What it takes to run a training again: the data by their hashes, the versions, the seed."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

PACKAGES = ("napari-medseg", "torch", "numpy", "batchgeneratorsv2", "dynamic-network-architectures")
DIGITS = 16


def record(arrays: Iterable[str]) -> dict[str, Any]:
    """Plain JSON values: hashes of the cases, sorted, and what computed.

    The hashes are of voxels and labels, so that they name nobody and do not depend on the files.
    """
    return {
        "data": sorted(arrays),
        "versions": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


def case_hash(*arrays: npt.NDArray[Any]) -> str:
    """SHA-256 over types, shapes and values, shortened."""
    digest = hashlib.sha256()
    for one in arrays:
        plain = np.ascontiguousarray(one)
        digest.update(f"{plain.dtype.str} {plain.shape}\n".encode())
        digest.update(plain.view(np.uint8).data)
    return digest.hexdigest()[:DIGITS]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
