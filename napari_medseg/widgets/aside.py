"""Masks of scans that are not open now; they wait in the window until their scan is open again."""

from __future__ import annotations

import weakref

from napari import Viewer
from napari.layers import Image, Labels

from napari_medseg.volume import Mask
from napari_medseg.widgets import layers


class Aside:
    """Mask layers by the image layer of their scan."""

    def __init__(self) -> None:
        self._masks: weakref.WeakKeyDictionary[Image, Labels] = weakref.WeakKeyDictionary()

    def put(self, image: Image | None, mask: Labels | None) -> None:
        """Nobody shall paint on the mask of a closed case: it would not be recorded."""
        if image is not None and mask is not None:
            mask.editable = mask.visible = False
            self._masks[image] = mask

    def take(self, viewer: Viewer, image: Image | None) -> Mask | None:
        """The mask that was put aside for a scan; its layer goes."""
        layer = None if image is None else self._masks.pop(image, None)
        if layer is None or layer not in viewer.layers:
            return None
        mask = layers.mask_of(layer)
        viewer.layers.remove(layer)
        return mask

    def show(self, image: Image) -> None:
        """Let the mask of this scan be seen, if it has one, and no other."""
        for one, mask in self._masks.items():
            mask.visible = one is image
