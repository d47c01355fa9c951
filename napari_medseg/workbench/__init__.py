"""What is open now, and what can be done with it; no Qt, no torch, one per viewer."""

from napari_medseg.workbench.bench import Workbench
from napari_medseg.workbench.case import Case
from napari_medseg.workbench.shelf import Shelf, bundled_models, version_name

__all__ = ["Case", "Shelf", "Workbench", "bundled_models", "version_name"]
