"""Files in and out of napari: the readers and writers that napari.yaml names.

Whatever the scan's own axes, a layer shows it on canonical ones; a mask is saved on its scan's own
grid. A refusal reaches the user as one sentence, not as a traceback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_medseg import io
from napari_medseg.errors import MedsegError
from napari_medseg.volume import Mask, Volume
from napari_medseg.widgets.layers import (
    LayerTuple,
    mask_layer,
    mask_of,
    volume_layers,
    volume_of,
)
from napari_medseg.widgets.notices import tell_error, warn

NOTHING: list[Any] = [(None,)]  # napari's sign for "read, and there is no layer to add"
MASK_WORD = re.compile(  # "case_seg", "labels", "tumour-mask", "gt.v2"; not "segovia" or "unmasked"
    r"(?<![a-z])(labels?|seg(s|mentations?|mented)?|masks?|gt|ground_?truth|truth|rois?|annotations?)(?![a-z])"
)
MOST_LABELS = 256  # with such a word in the name; CT body atlases have 118
FEW_VALUES = 8  # without: a phantom or a thresholded picture has more grey values
MOSTLY_BACKGROUND = 0.5


def reader(path: str | Sequence[str]) -> Callable[[Any], list[Any]] | None:
    """What napari calls for a path; None if it is none of ours."""
    paths = [path] if isinstance(path, str) else list(path)
    if all(Path(one).is_dir() or one.lower().endswith(io.READABLE) for one in paths):
        return read
    return None


def read(path: str | Sequence[str]) -> list[Any]:
    """Layers of one file or folder, or of several one after another.

    What cannot be read is told in a notification; the rest is shown.
    """
    made: list[Any] = []
    for one in [path] if isinstance(path, str) else path:
        try:
            made += layers_of(Path(one))
        except MedsegError as error:
            tell_error(error)
    return made or NOTHING


def layers_of(path: Path) -> list[LayerTuple]:
    """Every series in a file or folder as image layers, or a mask as a labels layer.

    Of several series the largest is visible; what is wrong with one does not keep the others
    from being shown.

    Raises
    ------
    MedsegError
        Nothing in it can be read.
    """
    names = _series_of(path)
    if len(names) < 2:
        return _shown(path, io.read(path))
    return _several(path, names)


def _series_of(path: Path) -> list[str]:
    """Names of the series of a folder; a file is read as it is."""
    return [series.name for series in io.list_series(path)] if path.is_dir() else []


def _several(path: Path, names: Sequence[str]) -> list[LayerTuple]:
    """All series that can be read; the largest on top and visible."""
    volumes, refused = [], []
    for name in names:
        try:
            volumes.append(io.read(path, series=name))
        except MedsegError as error:
            refused.append(error)
    if not volumes:
        raise refused[0]
    for refusal in refused:
        tell_error(refusal)
    volumes.sort(key=lambda volume: volume.array.size)
    made = [layer for volume in volumes for layer in _shown(path, volume)]
    first = len(made) - volumes[-1].n_channels
    return [
        (data, {**look, "visible": number == first}, kind)
        for number, (data, look, kind) in enumerate(made)
    ]


def _shown(path: Path, volume: Volume) -> list[LayerTuple]:
    """A scan's layers, or those of a mask; says what the user should know about the file."""
    if is_mask(volume, io.stem(path)):
        masks = io.read_masks(path)
        _tell(path, masks[0].warnings)
        return _mask_layers(masks, io.stem(path))
    _tell(path, volume.warnings)
    name = volume.name or io.stem(path)
    return volume_layers(replace(volume, name=name))


def _mask_layers(masks: Sequence[Mask], name: str) -> list[LayerTuple]:
    """One layer, or one for each frame of a series, the first of them visible."""
    if len(masks) == 1:
        return [mask_layer(masks[0], name)]
    made = (mask_layer(mask, f"{name} · channel {k}") for k, mask in enumerate(masks))
    return [(data, {**look, "visible": k == 0}, kind) for k, (data, look, kind) in enumerate(made)]


def _tell(path: Path, warnings: Sequence[str]) -> None:
    if warnings:
        warn(f"{path.name}: {'; '.join(warnings)}")


def is_mask(volume: Volume, name: str) -> bool:
    """Whether a file holds label numbers: whole and few, and its name or its look says so."""
    array = volume.array
    if array.ndim != 3 or array.dtype.kind not in "iufb" or not array.any():
        return bool(MASK_WORD.search(name.lower())) and _is_whole(array)
    named = bool(MASK_WORD.search(name.lower()))
    if not named and array.dtype.kind == "f":
        return False
    if not _is_whole(array) or array.min() < -1:
        return False
    values = np.unique(array)
    if named:
        return len(values) <= MOST_LABELS
    background = float(np.mean(array == 0))
    return len(values) <= FEW_VALUES and background > MOSTLY_BACKGROUND


def _is_whole(array: npt.NDArray[Any]) -> bool:
    if array.dtype.kind in "iub":
        return True
    return bool(array.dtype.kind == "f" and np.isfinite(array).all() and (array % 1 == 0).all())


def write_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Save a labels layer on its scan's own grid; the ending picks the format."""
    from napari.layers import Labels

    io.write_mask(mask_of(Labels.create(data, meta, "labels")), Path(path))
    return [path]


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Save an image layer on the grid it was read on; the ending picks the format."""
    from napari.layers import Image

    io.write_volume(volume_of(Image.create(data, meta, "image")), Path(path))
    return [path]
