"""What a scan is: an array on a grid in the patient's space."""

from napari_medseg.volume.geometry import Geometry
from napari_medseg.volume.orient import Reorientation, mask_to_canonical, to_canonical
from napari_medseg.volume.volume import Label, Mask, Volume

__all__ = [
    "Geometry",
    "Label",
    "Mask",
    "Reorientation",
    "Volume",
    "mask_to_canonical",
    "to_canonical",
]
