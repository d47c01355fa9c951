"""Files to volumes and back; what the rest of the program sees is (Z, Y, X) and LPS mm."""

from napari_medseg.io.files import MASK_WRITABLE, READABLE, WRITABLE, stem
from napari_medseg.io.read import SeriesInfo, check_label, list_series, read, read_mask, read_masks
from napari_medseg.io.write import write_mask, write_masks, write_volume

__all__ = [
    "MASK_WRITABLE",
    "READABLE",
    "WRITABLE",
    "SeriesInfo",
    "check_label",
    "list_series",
    "read",
    "read_mask",
    "read_masks",
    "stem",
    "write_mask",
    "write_masks",
    "write_volume",
]
