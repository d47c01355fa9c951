"""The knobs of a prediction; read without torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from napari_medseg.errors import InputError


class EngineName(StrEnum):
    """What computes the tiles, and in which precision."""

    AUTO = "auto"  # the fastest that agrees with the reference, measured once
    TORCH = "torch-float32"  # the reference
    TORCH_HALF = "torch-16bit"
    OPENVINO = "openvino-float32"
    OPENVINO_HALF = "openvino-16bit"
    ONNX = "onnxruntime"  # for models that came as ONNX


class Mode(StrEnum):
    """Which parts of a scan the network computes."""

    AUTO = "auto"  # what takes least time
    FULL = "full"  # every tile
    REGIONS = "regions"  # coarse first; then in full resolution where labels were found
    BORDERS = "borders"  # and of these places only where the coarse look is not sure


@dataclass(frozen=True)
class PredictConfig:
    """How one prediction runs.

    Attributes
    ----------
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    overlap
        Share of a tile that its neighbour covers too; 0.5 is nnU-Net's.
    engine
        What computes the tiles. "auto" measures once, on a scan that is large enough for it to pay,
        and takes the fastest engine that agrees with float32; sums always stay in float32.
    mode
        Whether the whole scan is computed, or a coarse look decides where it is worth it.
    mirror
        Average over all mirrorings along the axes that the model was trained to be mirrored:
        2 to 8 times the work for a slightly better mask.
    keep_softmax
        Whether the result carries probabilities, float16 (L, Z, Y, X) on the scan's own grid.
    slice_zyx
        The slice that is looked at, (axis 0 Z, 1 Y or 2 X, index) on the scan's own grid; it is
        shown first, as a preview and then final. None: in the order that takes least memory.
    clean
        Whether the finished mask is cleaned by the rules that the model learned.
    scans
        How many scans of this size are to be predicted: whether measuring the engine pays.
    memory_gb
        What the blended tiles may take; None: half of what is free.
    """

    device: str = "auto"
    overlap: Annotated[float, {"min": 0.0, "max": 0.9}] = 0.5
    engine: EngineName = EngineName.AUTO
    mode: Mode = Mode.AUTO
    mirror: bool = False
    keep_softmax: bool = False
    slice_zyx: tuple[int, int] | None = None
    clean: bool = True
    scans: Annotated[int, {"min": 1}] = 1
    memory_gb: Annotated[float | None, {"min": 0.01}] = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.overlap <= 0.9:
            raise InputError(f"overlap must be 0 to 0.9, got {self.overlap}")
        if self.slice_zyx is not None and self.slice_zyx[0] not in (0, 1, 2):
            raise InputError(f"a slice's axis must be 0, 1 or 2, got {self.slice_zyx[0]}")
        if self.memory_gb is not None and self.memory_gb <= 0:
            raise InputError(f"memory_gb must be above 0, got {self.memory_gb}")
