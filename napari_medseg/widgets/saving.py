"""Asks where to, and saves the mask on the scan's own grid."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QPushButton, QWidget

from napari_medseg.errors import MedsegError
from napari_medseg.widgets.desk import Desk
from napari_medseg.widgets.notices import tell, tell_error

TIP = "Write the mask on the scan's own grid"
PARTLY = "The prediction still runs: what is only a quick look is left out."
ENDINGS = "NIfTI (*.nii.gz);;NRRD (*.nrrd);;MetaImage (*.mha)"


def save_mask(parent: QWidget, desk: Desk) -> None:
    """As Save… in any program."""
    case = desk.case
    if case is None:
        return
    proposal = f"{case.volume.name or 'scan'}_mask.nii.gz"
    chosen, kind = QFileDialog.getSaveFileName(parent, "Save the mask", proposal, ENDINGS)
    if chosen:
        save_mask_as(desk, with_ending(Path(chosen), kind))


def with_ending(path: Path, kind: str) -> Path:
    """The path with the chosen kind's ending, if the user gave none."""
    known = (".nii", ".nii.gz", ".nrrd", ".mha", ".mhd")
    if path.name.lower().endswith(known):
        return path
    return path.with_name(path.name + kind.split("*")[1].rstrip(")"))


def save_mask_as(desk: Desk, path: Path) -> None:
    """The labels on the scan's own grid, without what is only a quick look."""
    try:
        desk.workbench.save_mask(path)
    except MedsegError as error:
        tell_error(error)
    else:
        partly = f" {PARTLY}" if desk.prediction.running else ""
        tell(f"Mask saved as {path.name}, on the scan's own grid.{partly}")


def show_saving(button: QPushButton, desk: Desk) -> None:
    """Let a button say what it would save now."""
    button.setEnabled(desk.labels is not None)
    button.setToolTip(f"{TIP}. {PARTLY}" if desk.prediction.running else TIP)
