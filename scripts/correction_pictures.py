"""Pictures of the correction bench, to be judged: the views, each smart tool's preview, the panels.

Opens a scan with its mask, makes the mask wrong in a known way for each tool, points at it with a
real mouse, and saves a picture of what is proposed; tools.md says how good that is with the knobs
as they are. Without a scan the sample CT is taken; without a mask Otsu's threshold gives one.

xvfb-run -a -s "-screen 0 1440x900x24" python scripts/correction_pictures.py FOLDER [SCAN]
    [--mask FILE] [--structure N] [--other N] [--part tools|panels] [--only WORD] [--docs]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtWidgets import QApplication, QDialog, QToolButton, QWidget
from robot import Robot, StepError
from scipy import ndimage as ndi
from screenshots import IMAGES, SIZES
from staged_masks import CASES, ONE, OTHER, Case, Labels, Truth, islands, rough

if TYPE_CHECKING:
    from napari_medseg.correction.tools.tool import Tool
    from napari_medseg.volume import Volume

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "sample_data" / "chest_ct.nii.gz"
LONGEST_S = 30.0  # for one tool's answer
STEPS, TAKEN_BACK = 10, 3
DOCS = {"views_1440x900": "views-1440x900.png", "active_contour": "preview-1440x900.png"}
HEAD = "| tool | s | it says | Dice before | after |\n|---|---|---|---|---|\n"


class Bench:
    """One window with one scan, and what is right for it."""

    def __init__(self, volume: Volume, truth: Truth, folder: Path) -> None:
        from napari_medseg.widgets.attach import desk_of, new_viewer, open_all_docks, show_dock

        self.truth, self.folder = truth, folder
        self.viewer = new_viewer(title="napari-medseg", show=True)
        self.robot = Robot(self.viewer, folder)
        open_all_docks(self.viewer)
        self.dock: Any = show_dock(self.viewer, "Correct")
        self.desk = desk_of(self.viewer)
        self.desk.open_volume(volume)
        names = {label.value for label in self.desk.case.names}
        for value, name in ((ONE, "structure"), (OTHER, "other")):
            if value in names:
                self.desk.rename(value, name)
            else:
                self.desk.add_label(name)
        self.resize(SIZES[0])

    def resize(self, size: tuple[int, int]) -> None:
        """Another size of the window, with all of the scan in each view."""
        self.viewer.window.resize(*size)
        self.robot.rest(0.8)
        self.desk.views.fit()

    def stage(self, labels: Labels, looked_at: tuple[int, int, int]) -> None:
        """Put a mask in place of the one that is there, and go to a voxel."""
        self.desk.toolbox.smart.put_away()
        self.desk.labels.data = labels.astype(self.desk.labels.data.dtype)
        self.desk.select_labels()
        self.desk.labels.selected_label = ONE
        self.desk.look_at(looked_at)
        self.robot.rest(0.3)

    def picture(self, name: str, widget: QWidget | None = None) -> None:
        """The window, or a part of it, in all its colours."""
        path = self.robot.picture(name)
        if widget is not None:
            widget.grab().save(str(path))

    def close(self) -> None:
        self.desk.close()
        self.viewer.close()
        self.robot.rest(0.1)

    # -- pictures -----------------------------------------------------------------------------

    def views(self) -> None:
        """All four views in both sizes, then the axial one alone."""
        self.stage(self.truth.labels, self.truth.middle)
        self.desk.views.show_four(True)
        self.robot.rest(2.0)
        for size in reversed(SIZES):
            self.resize(size)
            self.picture(f"views_{size[0]}x{size[1]}")
        self.desk.views.set_outline(True)
        self.picture("views_outline")
        self.desk.views.set_outline(False)

    def panels(self) -> None:
        """All that is no tool of the catalogue."""
        for part in (self.brushes, self.compare, self.next_error, self.history, self.sheets):
            part()

    def brushes(self) -> None:
        """The panel of each brush."""
        from napari_medseg.widgets.brush_panel import TOOLS

        self.stage(self.truth.labels, self.truth.middle)
        for kind, button in self.dock.panel.buttons.items():
            self.robot.click(button)
            self.picture(f"brush_{TOOLS[kind][0].lower()}", self.dock)
        self.desk.brush.state.set(tool=next(kind for kind in TOOLS if kind == "pan"))

    def tool(self, number: int, tool: Tool, case: Case) -> str:
        """The preview of a tool, and one line of the table."""
        self.stage(case.mask(self.truth), self.truth.middle)
        before = self.desk.labels.data.copy()
        smart, start = self.desk.toolbox.smart, time.monotonic()
        smart.choose(tool)
        self.robot.rest(0.1)
        strokes = case.strokes(self.truth)
        for label, voxels in strokes:
            self.desk.labels.selected_label = label
            self.robot.drag(self.desk.labels, voxels)
            self.robot.rest(0.2)
        self.desk.labels.selected_label = ONE
        if not strokes:
            self.robot.click(self.dock.smart.preview)
        said = self.answer()
        took = time.monotonic() - start
        if tool.name.startswith("Copy"):
            step = 1 if "next" in tool.name else -1
            self.desk.look_at(tuple(np.add(self.truth.middle, (step, 0, 0))))
        self.picture(f"tool_{number:02d}_{plain(tool.name)}")
        after = before
        if smart.proposal is not None:
            smart.apply()
            after = self.desk.labels.data.copy()
        flat = not np.delete(before != after, self.truth.index, axis=0).any()
        index = self.truth.index if flat else slice(None)
        scores = [dice(mask[index] == ONE, self.truth.one[index]) for mask in (before, after)]
        told = " | ".join(f"{one:.3f}" for one in scores) if case.goal else "– | –"
        return f"| {tool.name} | {took:.1f} | {said} | {told} |"

    def answer(self) -> str:
        """What the tool in hand says in the end."""
        smart = self.desk.toolbox.smart
        try:
            self.robot.until("an answer", lambda: smart.said != "" and not smart.busy, LONGEST_S)
        except StepError as error:
            return str(error)
        return str(smart.said)

    def tools(self, word: str) -> None:
        """Each tool of the catalogue."""
        from napari_medseg.correction.tools.catalogue import catalogue

        rows = []
        for number, tool in enumerate(catalogue(), 1):
            if word in tool.name:
                case = CASES.get(tool.name)
                if case is None:
                    raise StepError(f"each tool must have a case, '{tool.name}' has none; add it")
                rows.append(self.tool(number, tool, case))
        table = HEAD + "\n".join(rows) + "\n"
        (self.folder / "tools.md").write_text(table)
        sys.stdout.write(table)

    def history(self) -> None:
        """Ten strokes, some of them taken back."""
        from napari_medseg.widgets.brush_state import Tool as Hold

        self.stage(self.truth.labels, self.truth.middle)
        fold = self.dock.history.parentWidget().findChild(QToolButton)
        fold.setChecked(True)
        self.desk.brush.state.set(tool=Hold.BRUSH, size_mm=max(2.0, self.truth.radius_mm / 4))
        z, y, x = self.truth.middle
        for number in range(STEPS):
            row = y + (number - STEPS // 2) * 3
            self.robot.drag(self.desk.labels, [(z, row, x - 8), (z, row, x), (z, row, x + 8)])
        for _ in range(TAKEN_BACK):
            self.desk.workbench.editor.undo()
        self.robot.rest(0.5)
        self.picture("history")
        self.picture("history_panel", self.dock)
        fold.setChecked(False)
        self.desk.brush.state.set(tool=Hold.PAN)

    def sheets(self) -> None:
        """Keys and effort."""
        for name, button in (("keys", self.dock.keys), ("effort", self.dock.effort)):
            self.robot.click(button)
            self.robot.rest(0.5)
            tops = [w for w in QApplication.topLevelWidgets() if w.isVisible()]
            sheet = next(w for w in tops if isinstance(w, QDialog))
            self.picture(f"sheet_{name}", sheet)
            sheet.close()
            self.robot.rest(0.2)

    def compare(self) -> None:
        """The mask beside the same one in a file, which has specks at its edge."""
        self.stage(rough(self.truth), self.truth.middle)
        path = self.folder / "other_mask.nii.gz"
        self.desk.workbench.save_mask(path)
        self.stage(self.truth.labels, self.truth.middle)
        row = self.desk.views.bar.compare
        row.open_file(path)  # before the row is shown: that one would ask for a file
        self.desk.views.bar.comparing.setChecked(True)
        row.show()
        self.robot.rest(0.5)
        self.picture("compare")
        self.desk.views.bar.comparing.setChecked(False)
        row.set_on(False)

    def next_error(self) -> None:
        """Where it goes first, and what it proposes."""
        self.stage(islands(self.truth), self.truth.middle)
        errors = self.desk.toolbox.errors
        self.robot.click(self.dock.smart.next)
        self.robot.until("next error", lambda: errors.said != "" and not errors.busy, LONGEST_S)
        self.robot.until("its fix", lambda: not self.desk.toolbox.smart.busy, LONGEST_S)
        self.picture("next_error")


def dice(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Overlap of two masks; 1 where both are empty."""
    both = int(a.sum() + b.sum())
    return 1.0 if both == 0 else 2 * float((a & b).sum()) / both


def plain(name: str) -> str:
    """A tool's name as a file's."""
    return "".join(c if c.isalnum() else "_" for c in name.lower().replace("–", "_"))


def thresholded(array: npt.NDArray[Any], spacing_mm: tuple[float, ...]) -> Labels:
    """The largest bright thing of a scan, uint8."""
    from skimage.filters import threshold_otsu

    calm = ndi.gaussian_filter(array.astype(np.float32), [2 / mm for mm in spacing_mm])
    parts, _ = ndi.label(calm > threshold_otsu(calm))
    return np.asarray(parts == np.bincount(parts.ravel())[1:].argmax() + 1, np.uint8)


def truth_of(volume: Volume, mask: Path | None, structure: int, other: int) -> Truth:
    """The mask of a file on the axes of the window, with two of its structures."""
    from napari_medseg import io
    from napari_medseg.volume import mask_to_canonical, to_canonical
    from napari_medseg.volume.resample import mask_on

    shown = to_canonical(volume)[0]
    if mask is None:
        labels = thresholded(shown.channel(0).array, shown.geometry.spacing_mm)
        return Truth(labels, shown.geometry.spacing_mm)
    found = mask_to_canonical(mask_on(io.read_mask(mask), volume.geometry))[0].labels
    kept = np.where(found == structure, ONE, np.where(found == other, OTHER, 0))
    return Truth(kept.astype(np.uint8), shown.geometry.spacing_mm)


def asked() -> argparse.Namespace:
    """What the command line says; of the sample CT the tumour, beside the lung."""
    parser = argparse.ArgumentParser(description="Pictures of the correction bench.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("scan", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--structure", type=int, default=1)
    parser.add_argument("--other", type=int, default=0)
    parser.add_argument("--part", choices=("all", "tools", "panels"), default="all")
    parser.add_argument("--docs", action="store_true", help="put two into docs/images too")
    parser.add_argument("--only", default="", help="only tools with this in their name")
    given = parser.parse_args()
    if given.scan == SAMPLE and given.mask is None:
        given.mask, given.structure, given.other = SAMPLE.with_name("chest_ct_mask.nii.gz"), 2, 1
    return given


def main() -> int:
    """All pictures; 0 when done."""
    from napari_medseg import io

    given = asked()
    volume = io.read(given.scan)
    truth = truth_of(volume, given.mask, given.structure, given.other)
    with tempfile.TemporaryDirectory() as data:
        os.environ["MEDSEG_DATA_DIR"] = data
        bench = Bench(volume, truth, given.folder)
        try:
            bench.views()
            if given.part != "panels":
                bench.tools(given.only)
            if given.part != "tools":
                bench.panels()
        finally:
            bench.close()
    if given.docs:
        for word, name in DOCS.items():
            shutil.copyfile(next(given.folder.glob(f"*{word}.png")), IMAGES / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
