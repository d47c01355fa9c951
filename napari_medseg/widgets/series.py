"""Files with several volumes, one layer each: which of them a model of one channel is meant for."""

from __future__ import annotations

from dataclasses import replace

from napari import Viewer
from napari.layers import Image

from napari_medseg.volume import Volume
from napari_medseg.volume.volume import COLOURS
from napari_medseg.widgets import layers


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


def to_open(viewer: Viewer, image: Image, wanted: int) -> tuple[Image, int | None]:
    """The layer to open for a model of so many channels, and which frame it is.

    None for what is no series, or where the model reads all its volumes at once. Else the frame on
    the screen: the selected layer, or the topmost that is visible.
    """
    origin = layers.origin_of(image)
    volume = None if origin is None else origin.volume
    if volume is None or wanted != 1 or volume.n_channels == 1 or volume.channels == COLOURS:
        return image, None
    frames = [one for one in viewer.layers if isinstance(one, Image) and of_one_file(image, one)]
    shown = [one for one in frames if one.visible]
    active = viewer.layers.selection.active
    chosen = active if active in shown else next(reversed(shown), image)
    of_chosen = layers.origin_of(chosen)
    return chosen, 0 if of_chosen is None else of_chosen.channel


def opened(image: Image, frame: int | None) -> Volume:
    """The scan of a layer, or one frame of it under a name of its own."""
    volume = layers.volume_of(image)
    if frame is None or volume.n_channels == 1:
        return volume
    one = volume.channel(frame)
    return replace(one, name=" · ".join((volume.name or "scan", *one.channels)))
