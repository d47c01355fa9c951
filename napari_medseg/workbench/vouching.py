"""A person vouches for more than a slice: for a piece of a structure, or for all of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from napari_medseg.correction.edit import Scene
from napari_medseg.correction.record import Deed
from napari_medseg.correction.vouching import (
    Shape,
    Voxel,
    is_vouched,
    piece,
    structure,
    to_take_back,
    with_border,
)
from napari_medseg.workbench.case import Case
from napari_medseg.workbench.corrector import Corrector


@dataclass(frozen=True)
class Vouch:
    """What was done: a shape of so many voxels of a structure is right, or is not any more."""

    label: int
    voxels: int
    on: bool


class Voucher:
    """Takes a person's word on one case; the same word again takes it back.

    Later predictions leave what is vouched for as it is, and it teaches the next model, with the
    background beside it (`correction.vouching` says why).
    """

    def __init__(self, case: Case, corrector: Corrector, scene: Callable[[], Scene]) -> None:
        self._case, self._corrector, self._scene = case, corrector, scene

    @property
    def voxels(self) -> int:
        """How many are vouched for so far, with the background beside them."""
        return self._case.tracker.vouched.count

    def toggle_piece(self, voxel: Voxel) -> Vouch:
        """The connected piece of a structure at a voxel (z, y, x) is right in all its slices.

        Raises
        ------
        InputError
            There is no structure, it still shows a quick look, or the case is only shown.
        """
        self._ready()
        return self._toggle(piece(self._scene(), voxel), "piece")

    def toggle_structure(self, label: int) -> Vouch:
        """All of a structure is right as it is now.

        Raises
        ------
        InputError
            It has no voxels, still shows a quick look, or the case is only shown.
        """
        self._ready()
        return self._toggle(structure(self._scene(), label), "structure")

    def _ready(self) -> None:
        self._case.check_writable()
        self._corrector.commit(None, Deed("stroke", time.time()))

    def _toggle(self, shape: Shape, what: str) -> Vouch:
        vouched = self._case.tracker.vouched
        on = not is_vouched(shape, vouched)
        if on:
            area = with_border(self._scene(), shape)
        else:
            area = to_take_back(self._scene(), shape, vouched)
        deed = Deed(f"{'confirm' if on else 'unconfirm'} {what}", time.time())
        self._corrector.vouch(area.box, area.where, on, deed)
        return Vouch(shape.label, shape.voxels, on)
