"""Weights that other programs saved with `torch.save`: read as numbers, never run.

A PyTorch file is a ZIP archive of raw numbers and a pickle that names them. The archive is checked
before the pickle is looked at; the pickle may only use PyTorch's own closed list and two names of
numpy, for which stand-ins of ours answer.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from napari_medseg.errors import ModelError

MOST_BYTES = 8 << 30  # of a file; the largest nnU-Net preset with its optimiser has 1.7 GB
MOST_PICKLE_BYTES = 64 << 20  # of names and training curves
MOST_ENTRIES = 20_000
MOST_NAMES_OF_ONE = 8  # nnU-Net names a weight of a residual network up to 4 times
DEEPEST = 8  # containers in containers; nnU-Net's have 6
DAMAGE = (  # what the loader raised on mutated files
    pickle.UnpicklingError, zipfile.BadZipFile, struct.error, OSError, EOFError, RuntimeError,
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError,
    MemoryError, NotImplementedError,
)  # fmt: skip


def read_state(path: Path | str) -> dict[str, Any]:
    """What a file of `torch.save` holds: tensors, numbers, texts and containers of these.

    Anything else in it is left out. Tensors are on the CPU and no larger than their bytes in the
    file; they may hold NaN (`checked_weights` refuses that).

    Raises
    ------
    ModelError
        The file is not a whole archive of `torch.save`, holds more than numbers, or is no mapping.
    """
    path = Path(path)
    try:
        _check_archive(path)
        with torch.serialization.safe_globals(_STAND_INS):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError as error:
        raise ModelError(error.message, path.name) from error
    except DAMAGE as error:
        raise ModelError(_reason(error), path.name) from error
    if not isinstance(found, Mapping):
        raise ModelError(
            f"weights must be a dictionary, got a {type(found).__name__[:30]}; save the state_dict",
            path.name,
        )
    return {name: _plain(value, 1) for name, value in found.items() if isinstance(name, str)}


def checked_weights(found: object, name: str = "") -> dict[str, torch.Tensor]:
    """The tensors of a mapping by name, float32 and contiguous; what is no tensor is left out.

    Raises
    ------
    ModelError
        There are none, they unpack to more than the file holds, or one holds NaN or infinity.
    """
    items = found.items() if isinstance(found, Mapping) else ()
    tensors = {str(key): value for key, value in items if isinstance(value, torch.Tensor)}
    if not tensors:
        raise ModelError("a model must hold weights, this one has none; choose another file", name)
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage() for t in tensors.values()}
    most = MOST_NAMES_OF_ONE * sum(storage.nbytes() for storage in storages.values())
    if sum(t.numel() * t.element_size() for t in tensors.values()) > most:
        raise ModelError("a weight must have few names, this one has many; save it anew", name)
    weights = {key: tensor.float().contiguous() for key, tensor in tensors.items()}
    for key, value in weights.items():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"weights must be finite, {key[:60]} holds NaN or infinity", name)
    return weights


class _Kind:
    """Stands in for `numpy.dtype`: remembers its code, allocates nothing."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = str(code)[:8]

    def __setstate__(self, state: object) -> None:
        """Byte order: always little-endian, as PyTorch writes."""


def _scalar(kind: _Kind, data: bytes | str) -> float:
    """Stands in for numpy's scalar; nan for what is neither a float nor an integer."""
    raw = data.encode("latin-1") if isinstance(data, str) else data
    code = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "b1": "<?"}.get(kind.code)
    return float(struct.unpack(code, raw)[0]) if code else math.nan


# nnU-Net saves its curves as numpy scalars; the names are those of numpy 1 and 2
_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_scalar, "numpy._core.multiarray.scalar"),
    (_scalar, "numpy.core.multiarray.scalar"),
    (_Kind, "numpy.dtype"),
]


def _check_archive(path: Path) -> None:
    """Refuse what `torch.save` never writes, before anything of it is unpacked."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ModelError(f"weights must take at most {MOST_BYTES >> 30} GB, got {size >> 30} GB")
    if not zipfile.is_zipfile(path):
        raise ModelError(
            "weights must be a whole file of torch.save, got something else; "
            "export them as safetensors"
        )
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        _check_entries(entries, size)
        if (damaged := archive.testzip()) is not None:
            raise ModelError(f"weights must be undamaged, {damaged[:60]} is not; copy them again")


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    names = [entry.filename for entry in entries]
    inner = {PurePosixPath(name).parts[1:] for name in names}
    if ("constants.pkl",) in inner or any(part[:1] == ("code",) for part in inner):
        raise ModelError("weights must come without code, got TorchScript; save the state_dict")
    if ("data.pkl",) not in inner or len(names) > MOST_ENTRIES or len(set(names)) != len(names):
        raise ModelError("weights must be a file of torch.save, got another ZIP archive")
    if any(name.startswith(("/", "\\")) or ".." in PurePosixPath(name).parts for name in names):
        raise ModelError("an archive's names must stay inside it, these do not; do not trust it")
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > size:
        raise ModelError("weights must be stored as they are, these unpack to more; save them anew")
    names_bytes = max(e.file_size for e in entries if e.filename.endswith("data.pkl"))
    if names_bytes > MOST_PICKLE_BYTES:
        raise ModelError(f"a pickle must have at most {MOST_PICKLE_BYTES >> 20} MB; save it anew")


def _plain(value: Any, depth: int) -> Any:
    """The value without what is neither number, text nor tensor."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, torch.Tensor):
        return value.detach() if _is_dense(value) else None
    if depth >= DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {k: _plain(v, depth + 1) for k, v in value.items() if isinstance(k, (str, int))}
    if isinstance(value, (list, tuple)):
        return [_plain(one, depth + 1) for one in value]
    return None


def _is_dense(tensor: torch.Tensor) -> bool:
    """Whether each element has its own bytes: a stride of 0 makes terabytes of one number."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def _reason(error: Exception) -> str:
    """In our words: the loader's advice is to switch its protection off."""
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
        return f"weights must be a readable file, {error.strerror}; choose another"
    if isinstance(error, MemoryError):
        return "weights must fit into memory, got more; close other programs"
    if isinstance(error, pickle.UnpicklingError):
        return (
            "weights must hold numbers only, this file names code or is damaged; "
            "export them as safetensors"
        )
    return "weights must be a whole file of torch.save, got a damaged one; copy it again"
