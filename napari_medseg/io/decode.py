"""Compressed DICOM pixels, decoded in a process of their own.

One changed byte in a JPEG-LS file crashes its decoder, another makes one take 6 GB and 22 s. Run
this by `jobs.apart`: what dies or hangs then is a child, and the file is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.config import disable_value_validation

from napari_medseg.errors import ReadError
from napari_medseg.io import guard
from napari_medseg.io.dicom_header import DAMAGE, dataset_of
from napari_medseg.jobs import Job, Progress

SECONDS_A_FILE = 20
EXTRA_BYTES = 4 << 30  # what the decoders may take beside the pictures


def decode(files: list[str], want: int) -> Job[npt.NDArray[Any]]:
    """The frames (N, Y, X) of all files, in their order.

    Parameters
    ----------
    want
        Bytes that the pictures together take.
    """
    _limit_memory(want)
    pictures = []
    for done, file in enumerate(files):
        with _alarm():
            pictures.append(frames_of(Path(file)))
        yield Progress(done + 1, len(files), "decoding")
    return np.concatenate(pictures)


def frames_of(path: Path) -> npt.NDArray[Any]:
    """The stored numbers (N, Y, X) of one file; any compression that pydicom finds a decoder for.

    Raises
    ------
    ReadError
        They cannot be decoded.
    """
    with guard.refusing(path, *DAMAGE), disable_value_validation():
        dataset = dataset_of(path, pixels=True)
        if "TransferSyntaxUID" not in dataset.file_meta:  # files from before 1993 have none
            implicit, little = dataset.original_encoding
            endian = "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
            dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if implicit else endian
        syntax = dataset.file_meta.TransferSyntaxUID
        try:
            array = np.asarray(dataset.pixel_array)
        except (NotImplementedError, RuntimeError) as error:
            raise ReadError(
                f"its compression ({syntax.name}) must be decodable, it is not; "
                "export it uncompressed",
                path.name,
            ) from error
    if array.ndim not in (2, 3):
        raise ReadError("must have one number per pixel, got a colour picture", path.name)
    return array.reshape(-1, *array.shape[-2:])


def _limit_memory(want: int) -> None:
    if sys.platform == "linux":
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        limit = used + 4 * want + EXTRA_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextmanager
def _alarm() -> Iterator[None]:
    """End this process if a decoder hangs; it holds no Python handler that could do it softly."""
    if sys.platform == "win32":
        yield
        return
    import signal

    signal.alarm(SECONDS_A_FILE)
    try:
        yield
    finally:
        signal.alarm(0)
