"""Files with several volumes, one layer each: which of them a model of one channel is meant for."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import replace

from napari import Viewer
from napari.layers import Image

from napari_medseg.correction.store import content_key
from napari_medseg.volume import Volume
from napari_medseg.volume.volume import COLOURS
from napari_medseg.widgets import layers

_subjects: weakref.WeakKeyDictionary[Volume, str] = weakref.WeakKeyDictionary()


def scans(viewer: Viewer, opened: Image | None) -> list[Image]:
    """The image layers that are scans of their own: one for all channels of a file.

    It is the first one's, or the frame of a series that is open now.
    """
    images = [one for one in viewer.layers if isinstance(one, Image)]
    known = {one: layers.origin_of(one) for one in images}
    found = [one for one, origin in known.items() if origin is None or origin.is_scan]
    return [opened if opened in images and of_one_file(one, opened) else one for one in found]


def of_one_file(one: Image | None, other: Image | None) -> bool:
    """Whether two layers show volumes of the same file."""
    if one is None or other is None or one is other:
        return one is other
    mine, theirs = layers.origin_of(one), layers.origin_of(other)
    if mine is None or theirs is None or mine.derived or theirs.derived:
        return False
    return mine.volume is not None and mine.volume is theirs.volume


def frames(viewer: Viewer, image: Image | None, wanted: int) -> list[Image]:
    """The layers of a series in its order, for a model of so many channels; none where it is none.

    Files with several volumes are no series for a model that reads all of them, nor are pictures
    in colour.
    """
    volume = _series_of(image, wanted)
    if image is None or volume is None:
        return []
    found = [one for one in viewer.layers if isinstance(one, Image) and of_one_file(image, one)]
    return sorted(found, key=_number)


def show(frame: Image, all_frames: Iterable[Image]) -> None:
    """Let one frame be seen and no other."""
    for one in all_frames:
        one.visible = one is frame


def subject_of(image: Image, frame: int | None) -> str:
    """What all frames of a series share, so that none teaches while another one checks."""
    origin = layers.origin_of(image)
    volume = None if origin is None else origin.volume
    if frame is None or volume is None:
        return ""
    if volume not in _subjects:
        _subjects[volume] = f"series {content_key(volume.channel(0))}"
    return _subjects[volume]


def to_open(viewer: Viewer, image: Image, wanted: int) -> tuple[Image, int | None]:
    """The layer to open for a model of so many channels, and which frame it is.

    None for what is no series, or where the model reads all its volumes at once. Else the frame on
    the screen: the selected layer, or the topmost that is visible.
    """
    if _series_of(image, wanted) is None:
        return image, None
    in_order = [one for one in viewer.layers if one in frames(viewer, image, wanted)]
    shown = [one for one in in_order if one.visible]
    active = viewer.layers.selection.active
    chosen = active if active in shown else next(reversed(shown), image)
    return chosen, _number(chosen)


def _series_of(image: Image | None, wanted: int) -> Volume | None:
    origin = None if image is None else layers.origin_of(image)
    volume = None if origin is None or origin.derived else origin.volume
    if volume is None or wanted != 1 or volume.n_channels == 1 or volume.channels == COLOURS:
        return None
    return volume


def _number(image: Image) -> int:
    origin = layers.origin_of(image)
    return 0 if origin is None else origin.channel


def opened(image: Image, frame: int | None) -> Volume:
    """The scan of a layer, or one frame of it under a name of its own."""
    volume = layers.volume_of(image)
    if frame is None or volume.n_channels == 1:
        return volume
    one = volume.channel(frame)
    return replace(one, name=" · ".join((volume.name or "scan", *one.channels)))
