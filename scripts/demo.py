"""`make demo`: the loop on a real chest CT.

With a display it opens the window with the scan and the model ready; you segment, correct and
fine-tune. Without one (or with --headless) the same session runs by itself in a virtual screen:
real mouse strokes, pictures and scores in demo_output/.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "demo_output"
SIZE = (1440, 900)
TAUGHT = 5  # slices of the tumour that the demo's person draws before teaching
# A tumour that the model never saw must be learnt from four slices in a minute, for a lung that may
# be a little worse.
LEARN = {"steps": 120, "worst_drop": 0.04}
BRUSH_MM = 9.0
RIGHT = (range(1, 5), range(41, 46))  # where the person finds a slice that is right
LUNG, TUMOUR = 1, 2

WELCOME = """A chest CT and a lung model are ready.
1. Segment: press Segment; the tumour at the base of the left lung is missed.
2. Correct: choose "tumour", paint it on some slices, say "This slice is right" on each.
3. Fine-tune: start it and go on painting; then "Use it" and segment again.
"""

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from robot import Robot


def has_display() -> bool:
    """Whether a window can be seen here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def in_virtual_screen() -> int:
    """The same session by itself, in a screen that nobody sees."""
    if shutil.which("xvfb-run") is None:
        sys.stderr.write("error: demo: no display and no xvfb-run; install xvfb or use a desktop\n")
        return 3
    sys.stdout.write("No display: the session runs by itself; pictures go to demo_output/\n")
    sys.stdout.flush()
    settings = {
        "QT_QPA_PLATFORM": "xcb",
        "NAPARI_CONFIG": str(OUT / "session" / "napari.yaml"),
        "PYTHONWARNINGS": "ignore:System theme detection",  # napari on PyQt5, twice at each start
        "QT_LOGGING_RULES": "*.warning=false",
        "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin would starve the window on few cores
    }
    screen = ["xvfb-run", "-a", "-s", f"-screen 0 {SIZE[0]}x{SIZE[1]}x24"]
    script = [sys.executable, str(Path(__file__).resolve()), "--alone"]
    done = subprocess.run([*screen, *script], env={**os.environ, **settings}, check=False)
    return done.returncode


def opened(size: tuple[int, int] = SIZE) -> tuple[Any, dict[str, Any]]:
    """The window with its docks, the lung model in use and the chest CT in it."""
    from napari_medseg.widgets.attach import PLUGIN, new_viewer, open_all_docks, workbench_of

    viewer = new_viewer(title="napari-medseg: demo", show=True)
    viewer.window.resize(*size)
    docks = open_all_docks(viewer)
    bench = workbench_of(viewer)
    bench.adopt(next(card for card in bench.models if card.path.stem == "lung_ct"))
    viewer.open_sample(PLUGIN, "chest-ct")
    return viewer, docks


def by_a_person() -> int:
    """Open the window and leave it to you."""
    import napari

    os.environ.setdefault("MEDSEG_DATA_DIR", str(OUT / "session"))
    _keep = opened()
    sys.stdout.write(WELCOME)
    napari.run()
    return 0


class Session:
    """The session by itself, step after step; each leaves a picture."""

    def __init__(self, size: tuple[int, int] = SIZE, out: Path = OUT) -> None:
        from robot import Robot

        from napari_medseg import io
        from napari_medseg.volume import mask_to_canonical
        from napari_medseg.widgets import sample
        from napari_medseg.widgets.attach import desk_of

        self.out = out
        self.viewer, self.docks = opened(size)
        self.desk = desk_of(self.viewer)
        self.robot: Robot = Robot(self.viewer, out)
        self.truth = mask_to_canonical(io.read_mask(sample.truth(sample.CHEST)))[0].labels
        areas = (self.truth == TUMOUR).sum(axis=(1, 2))
        self.slices = [int(z) for z in areas.nonzero()[0]]
        self.taught = spread(self.slices, TAUGHT)
        self.found_right: list[int] = []
        self.seconds: dict[str, float] = {}
        self.scores: dict[str, dict[str, float]] = {}

    def run(self) -> None:
        """All steps; StepError where one does not do what it must."""
        steps: list[tuple[str, str, Callable[[], str]]] = [
            ("1_open", "opened the scan", self.open),
            ("2_segmented", "segmented it", self.segment),
            ("3_corrected", "corrected it", self.correct),
            ("4_learning", "fine-tunes", self.learn),
            ("5_used", "fine-tuned", self.wait_for_model),
            ("6_better", "segmented it again", self.segment_again),
            ("7_saved", "saved the mask", self.save),
        ]
        for name, words, step in steps:
            start = time.monotonic()
            said = step()
            self.seconds.setdefault(name, round(time.monotonic() - start, 1))
            self.robot.picture(name)
            sys.stdout.write(f"{name[0]}. {words}: {said} ({self.seconds[name]:.0f} s)\n")
            sys.stdout.flush()

    # -- the steps ----------------------------------------------------------------------------

    def open(self) -> str:
        self.robot.until("the scan opens", lambda: self.desk.labels is not None, 30)
        self.look_at(self.widest())
        shape = " x ".join(str(n) for n in self.desk.case.volume.geometry.shape)
        return f"chest CT, {shape} voxels; model '{self.desk.workbench.segmenter.name}'"

    def segment(self) -> str:
        self.predict()
        self.scores["before"] = self.measured(range(len(self.truth)))
        self.scores["before, slices nobody touched"] = self.measured(self.untouched())
        return f"Dice {words_of(self.scores['before'])}; the tumour is missed"

    def correct(self) -> str:
        dock = self.front("Correct")
        from napari_medseg.widgets.brush_state import Tool

        self.desk.labels.selected_label = TUMOUR
        self.robot.click(dock.panel.buttons[Tool.BRUSH])
        dock.panel.brush.setValue(BRUSH_MM)
        for index in self.taught:
            self.look_at(index)
            self.paint(index)
            self.robot.click(dock.mark)
        for index in self.right():
            self.look_at(index)
            self.robot.click(dock.mark)
        self.look_at(self.taught[len(self.taught) // 2])
        return f"painted the tumour on {len(self.taught)} of its {len(self.slices)} slices by mouse"

    def learn(self) -> str:
        dock = self.front("Fine-tune")
        for name, value in LEARN.items():
            dock.form.fields[name].value = value
        self.robot.click(dock.run)
        run = self.desk.learning
        self.robot.until("fine-tuning starts", lambda: len(run.steps) >= 3, 300)
        self.robot.handler_ms.clear()
        extra = next(z for z in self.slices if z not in self.taught)
        self.look_at(extra)
        self.paint(extra)
        self.robot.until("the curve is drawn", lambda: len(run.checks) >= 2, 300)
        ms = sorted(self.robot.handler_ms)
        self.seconds["paint_move_median_ms"] = round(ms[len(ms) // 2], 1)
        return f"in the background; painted on meanwhile, a move took {ms[len(ms) // 2]:.0f} ms"

    def wait_for_model(self) -> str:
        run = self.desk.learning
        self.robot.until("fine-tuning ends", lambda: run.result is not None, 400)
        outcome = run.result
        self.robot.rest(0.3)
        self.robot.picture("5_before_after")
        if not outcome.adopted:
            raise_step(f"the new model is not better: {outcome.why}")
        self.robot.click(self.docks["Fine-tune"].use)
        return outcome.why

    def segment_again(self) -> str:
        self.front("Segment")
        self.predict()
        self.look_at(next(z for z in self.untouched() if z in self.slices))
        self.scores["after"] = self.measured(range(len(self.truth)))
        self.scores["after, slices nobody touched"] = self.measured(self.untouched())
        if not self.scores["after"]["tumour"] > self.scores["before"]["tumour"] + 0.1:
            raise_step(f"the mask is not better: {self.scores}")
        return f"Dice {words_of(self.scores['after'])}"

    def save(self) -> str:
        from napari_medseg import io

        path = self.out / "chest_ct_mask.nii.gz"
        self.desk.workbench.save_mask(path)
        if io.read_mask(path).geometry != self.desk.case.scan.geometry:
            raise_step("the saved mask is not on the scan's grid")
        return f"{path.name}, on the scan's own grid"

    # -- parts of steps -----------------------------------------------------------------------

    def predict(self) -> None:
        run = self.desk.prediction
        self.robot.click(self.docks["Segment"].run)
        self.robot.until("segmenting starts", lambda: run.running or run.result is not None, 30)
        self.robot.until("segmenting ends", lambda: not run.running, 300)
        if run.result is None:
            raise_step("segmenting gave no mask")
        self.robot.rest(0.7)

    def paint(self, index: int) -> None:
        self.robot.fill_by_hand(self.desk.labels, index, self.truth[index] == TUMOUR, BRUSH_MM)

    def look_at(self, index: int) -> None:
        self.viewer.dims.set_current_step(0, index)
        self.robot.rest(0.2)

    def front(self, title: str) -> Any:
        from napari_medseg.widgets.attach import show_dock

        dock = show_dock(self.viewer, title)
        self.robot.rest(0.2)
        return dock

    def widest(self) -> int:
        return int((self.truth == TUMOUR).sum(axis=(1, 2)).argmax())

    def right(self) -> list[int]:
        """A slice below and one above the tumour on which the mask agrees best with the truth."""
        if not self.found_right:
            for part in RIGHT:
                free = [z for z in part if z not in self.slices]
                self.found_right.append(max(free, key=lambda z: self.measured([z])["lung"]))
        return self.found_right

    def untouched(self) -> list[int]:
        """Slices on which nobody painted or confirmed anything."""
        extra = next(z for z in self.slices if z not in self.taught)
        touched = {*self.taught, *self.right(), extra}
        return [z for z in range(len(self.truth)) if z not in touched]

    def measured(self, slices: Any) -> dict[str, float]:
        """Dice of the mask on the screen against the sample's truth, on some slices."""
        chosen = list(slices)
        mask, truth = self.desk.labels.data[chosen], self.truth[chosen]
        return {
            "lung": overlap(mask == LUNG, truth == LUNG),
            "tumour": overlap(mask == TUMOUR, truth == TUMOUR),
        }

    def end(self) -> None:
        """Close the window; what was corrected is on disk."""
        self.desk.close()
        self.viewer.close()
        self.robot.rest(0.1)

    def report(self) -> None:
        """scores.json and scores.md."""
        import napari
        import torch

        versions = {
            "python": platform.python_version(), "napari": napari.__version__,
            "torch": torch.__version__, "system": platform.platform(),
        }  # fmt: skip
        whole = {"dice": self.scores, "seconds": self.seconds, "versions": versions}
        (self.out / "scores.json").write_text(json.dumps(whole, indent=2) + "\n")
        rows = [f"| {n} | {d['lung']:.3f} | {d['tumour']:.3f} |" for n, d in self.scores.items()]
        (self.out / "scores.md").write_text(TABLE.format(
            rows="\n".join(rows), taught=len(self.taught) + 1, all=len(self.slices),
            seconds=", ".join(f"{k} {v}" for k, v in self.seconds.items()),
            versions=", ".join(f"{k} {v}" for k, v in versions.items()),
        ))  # fmt: skip


TABLE = """# The demo's session

Dice against the sample's truth: the tumour was drawn by a person, the lungs are machine-made.
The tumour was painted by mouse on {taught} of its {all} slices.

| | lung | tumour |
|---|---|---|
{rows}

Seconds: {seconds}.
With {versions}.
"""


def raise_step(why: str) -> None:
    """A step did not do what it must."""
    from robot import StepError

    raise StepError(why)


def spread(slices: list[int], count: int) -> list[int]:
    """Some of the slices, evenly, without the first and last."""
    return [slices[round((n + 1) * (len(slices) - 1) / (count + 1))] for n in range(count)]


def overlap(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Dice; 1 where both are empty."""
    both = int(a.sum() + b.sum())
    return 1.0 if both == 0 else round(2 * float((a & b).sum()) / both, 4)


def words_of(scores: dict[str, float]) -> str:
    """As the terminal shows them."""
    return ", ".join(f"{name} {value:.2f}" for name, value in scores.items())


def alone() -> int:
    """Run the session; 0 if every step did what it must."""
    from napari.utils.notifications import NotificationSeverity, notification_manager

    shutil.rmtree(OUT / "session", ignore_errors=True)
    os.environ["MEDSEG_DATA_DIR"] = str(OUT / "session")
    from robot import StepError

    session = Session()
    try:
        session.run()
        told = notification_manager.records
        if wrong := [one for one in told if one.severity >= NotificationSeverity.ERROR]:
            raise_step(str(wrong[0].message))
    except StepError as error:
        session.robot.picture("failed")
        sys.stderr.write(f"error: demo: {error}\n")
        return 1
    finally:
        session.end()
    session.report()
    sys.stdout.write(f"Pictures and scores: {OUT}\n")
    return 0


def main() -> int:
    """With a display the window, without one the session by itself."""
    parser = argparse.ArgumentParser(description="The loop on a real chest CT.")
    parser.add_argument("--headless", action="store_true", help="run by itself, unseen")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    if args.alone:
        return alone()
    return in_virtual_screen() if args.headless or not has_display() else by_a_person()


if __name__ == "__main__":
    sys.exit(main())
