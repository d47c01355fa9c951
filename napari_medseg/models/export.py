"""A segmenter in a format of other programs; the ending says which."""

from __future__ import annotations

from pathlib import Path

from napari_medseg.errors import ModelError, WriteError
from napari_medseg.models.segmenter import Segmenter
from napari_medseg.models.whole_file import write_whole

ONNX_ENDINGS = (".onnx",)
TORCHSCRIPT_ENDINGS = (".pt", ".ts")
ENDINGS = (*ONNX_ENDINGS, *TORCHSCRIPT_ENDINGS)


def export_model(segmenter: Segmenter, target: Path) -> str:
    """Write the segmenter and say as what: "ONNX", "TorchScript" or "nnU-Net".

    Raises
    ------
    ModelError
        The model cannot be had in this format.
    WriteError
        The folder does not take it.
    """
    from napari_medseg.models import nnunet_write
    from napari_medseg.models.export_graph import onnx_bytes, torchscript_bytes

    ending = target.suffix.lower()
    if ending in ONNX_ENDINGS:
        write_whole(target, onnx_bytes(segmenter))
        return "ONNX"
    if ending in TORCHSCRIPT_ENDINGS:
        write_whole(target, torchscript_bytes(segmenter))
        return "TorchScript"
    if ending:
        raise ModelError(
            f"an export must end in {' '.join(ENDINGS)} or be a folder (nnU-Net), got {ending}",
            target.name,
        )
    if target.is_file():
        raise WriteError("an nnU-Net export must be a folder, this is a file", target.name)
    nnunet_write.write(segmenter, target)
    return "nnU-Net"
