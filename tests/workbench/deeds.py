"""Everything that a person can do to a mask, one after another; then the process is killed.

    python deeds.py FOLDER

After each deed the labels as they are in memory and a copy of what is on the disk at that moment
are put into FOLDER: the copy is what a kill would leave.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from napari_medseg.correction.edit import edit_of
from napari_medseg.volume import Geometry, Volume
from napari_medseg.workbench import Workbench
from napari_medseg.workbench.editor import Editor

SHAPE = (6, 24, 20)


def scan() -> Volume:
    image = np.random.default_rng(0).normal(0, 100, SHAPE).astype(np.int16)
    return Volume(image, Geometry.from_spacing(SHAPE))


def stroke(bench: Workbench, editor: Editor) -> None:
    box = slice(2, 3), slice(3, 9), slice(4, 12)
    editor.scene().labels[box][0, 1:5, ::2] = 3
    bench.commit(box, "brush")


def erase(bench: Workbench, editor: Editor) -> None:
    box = slice(2, 3), slice(3, 6), slice(4, 12)
    editor.scene().labels[box] = 0
    bench.commit(box, "eraser")


def fill(bench: Workbench, editor: Editor) -> None:
    plane = editor.scene().labels[4]
    plane[plane == 0] = 2
    bench.commit((slice(4, 5), slice(0, SHAPE[1]), slice(0, SHAPE[2])), "fill")


def polygon(bench: Workbench, editor: Editor) -> None:
    where = np.tri(SHAPE[1], SHAPE[2], dtype=bool)
    editor.scene().labels[1][where] = 1
    bench.commit((slice(1, 2), slice(0, SHAPE[1]), slice(0, SHAPE[2])), "polygon")


def tool(bench: Workbench, editor: Editor) -> None:
    box = slice(0, 6), slice(5, 15), slice(5, 15)
    where = editor.scene().image[box] > 50
    editor.apply(edit_of(editor.scene(), box, where, 4), "threshold", 4)


def undo(bench: Workbench, editor: Editor) -> None:
    assert editor.undo()
    assert editor.undo()


def redo(bench: Workbench, editor: Editor) -> None:
    assert editor.redo()


def whole_array(bench: Workbench, editor: Editor) -> None:
    other = np.random.default_rng(1).integers(0, 5, SHAPE).astype(np.uint8)
    np.copyto(editor.scene().labels, other)
    bench.commit()


def another_plugin(bench: Workbench, editor: Editor) -> None:
    editor.scene().labels[3:5, 2:4] += 1
    bench.commit(name="another plugin")


def confirm(bench: Workbench, editor: Editor) -> None:
    bench.confirm_slice(0, 2)
    bench.confirm_slice(2, 7)
    bench.unconfirm_slice(0, 2)


def vouch(bench: Workbench, editor: Editor) -> None:
    labels = editor.scene().labels
    z, y, x = (int(n) for n in np.argwhere(labels == 3)[0])
    editor.voucher.toggle_piece((z, y, x))
    editor.voucher.toggle_structure(4)
    editor.voucher.toggle_structure(3)
    editor.voucher.toggle_structure(3)
    assert editor.voucher.voxels > 0


DEEDS: tuple[Callable[[Workbench, Editor], None], ...] = (
    stroke, erase, fill, polygon, tool, undo, redo, whole_array, another_plugin, vouch,
    confirm,
)  # fmt: skip


def main(folder: Path) -> None:
    """Do it all; ends by a kill."""
    bench = Workbench(folder / "live")
    case = bench.open_case(scan())
    assert bench.editor is not None
    for deed in DEEDS:
        deed(bench, bench.editor)
        assert bench.flush(30)
        shutil.copytree(
            folder / "live", folder / deed.__name__, ignore=shutil.ignore_patterns(".*")
        )
        np.save(folder / f"{deed.__name__}.npy", np.stack([case.labels, case.source]))
        steps = bench.editor.history
        names = [f"{step.name} {step.voxels}" for step in steps.steps]
        (folder / f"{deed.__name__}.txt").write_text("\n".join([str(steps.at), *names]))
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
