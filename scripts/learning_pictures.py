"""One picture of the loop on the sample CT, docs/images/: six screenshots of a session that learns.

The sample's lung model takes air beside the body for lung. A hand with a real mouse erases some of
that, learns along, corrects more slices and lets the model learn; what the window shows then is in
the picture, whatever it is. The scores go to the terminal.

xvfb-run -a -s "-screen 0 1440x900x24" python scripts/learning_pictures.py [FOLDER]
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import demo
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from robot import StepError
from scipy import ndimage as ndi
from screenshots import IMAGES, SIZES

TARGET = "learning-strip.png"
SHOWN = 42  # the slice of the first pictures
OTHERS = (46, 38, 34, 12, 9)  # corrected too: some teach, some examine
JUDGED = 44  # nobody touches it
BRUSH_MM, FINE_MM = 36.0, 9.0
STROKES = (  # (y, x) on SHOWN, through the air at the table: not all of it
    ((234.0, 6.0), (226.0, 10.0), (216.0, 12.0)),
    ((232.0, 30.0), (226.0, 26.0), (220.0, 24.0)),
)
WRONG = 100  # voxels in one piece that a person sees to be wrong
STEPS = 60
LONGEST_S, START_S = 120.0, 8.0
BOX = 8  # pixels from the left end of a tick box
PANEL, GAP, CAPTION = (512, 476), 12, 58
EDGE = 6  # pixels around a widget
FONT, BOLD = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf"
PAPER, INK, BADGE, DARK = "#ffffff", "#1d2129", "#2f7de1", "#23242c"


@dataclass(frozen=True)
class Shot:
    """What the window showed, cut into parts that stand one under the other, and what it is."""

    words: str
    parts: tuple[Image.Image, ...]


class Loop:
    """The session, and its pictures so far."""

    def __init__(self, folder: Path) -> None:
        self.session = demo.Session(SIZES[0], folder)
        self.desk, self.robot = self.session.desk, self.session.robot
        self.shots: list[Shot] = []

    def run(self) -> None:
        """All of it; StepError where a step gives nothing to be shown."""
        for step in (self.wrong, self.strokes, self.flash, self.candidate, self.beside, self.use):
            step()
            words = " ".join(self.shots[-1].words.split())
            sys.stdout.write(f"{len(self.shots)}. {words}: {self.score()}\n")
            sys.stdout.flush()

    # -- the six pictures -----------------------------------------------------------------------

    def wrong(self) -> None:
        """The model's own mask."""
        self.session.open()
        self.session.look_at(SHOWN)
        self.session.predict()
        self._tidy()
        self.add("The model is wrong: it takes air\noutside the body for lung", self.slice())

    def strokes(self) -> None:
        """Two strokes of an eraser, while the model learns along."""
        from napari_medseg.widgets.brush_state import Tool

        tune = self.session.front("Fine-tune")
        self.tick(tune.along)
        self.robot.until("it can learn along", lambda: tune.learn_along.run.running, LONGEST_S)
        self.robot.rest(START_S)  # a child starts, and reads the model
        self.correct = self.session.front("Correct")
        self.robot.click(self.correct.panel.buttons[Tool.ERASER])
        self.correct.panel.brush.setValue(BRUSH_MM)
        self.session.front("Fine-tune")
        for stroke in STROKES:
            self.robot.drag(self.desk.labels, [(SHOWN, y, x) for y, x in stroke])
        self.add("Two strokes of the eraser,\nwith “Learn as I paint” on", self.slice())

    def flash(self) -> None:
        """What the model has learned of them, lit for half a second."""
        tune = self.session.front("Fine-tune")
        lit = tune.learn_along.flash
        self.robot.until("a flash", lambda: lit.shown > 0, LONGEST_S)
        shot = self.window()
        said = self.part(tune.along, tune.along_state, shot=shot)
        self.add(
            "What the model learned of them flashes:\nyellow is what it sees otherwise now",
            said,
            self.slice(shot),
        )

    def candidate(self) -> None:
        """More slices are corrected, and a fine-tune gives a candidate."""
        self.robot.rest(3.0)
        for index in (SHOWN, *OTHERS):
            self.put_right(index)
        tune = self.session.front("Fine-tune")
        self.tick(tune.along)
        tune.form.fields["steps"].value = STEPS
        self.session.look_at(JUDGED)
        self._tidy()
        self.robot.click(tune.run)
        run = self.desk.learning
        self.robot.until("the fine-tune starts", lambda: run.running, LONGEST_S)
        self.robot.until("it ends", lambda: not run.running, 3 * LONGEST_S)
        if run.result is None:
            raise StepError("the fine-tune must give a candidate; see the window's notices")
        self.robot.rest(1.0)
        slices = 1 + len(OTHERS)
        self.add(
            f"{slices} slices corrected, {STEPS} steps: a candidate,\nand its examination",
            self.part(tune.corrected),
            self.part(tune.outcome),
        )

    def beside(self) -> None:
        """What the candidate would change on a slice that nobody touched."""
        tune = self.session.front("Fine-tune")
        self.robot.click(tune.beside.see)
        self.robot.until("its mask", lambda: tune.beside.layer is not None, LONGEST_S)
        self._tidy()
        words = "Before and after, on a slice nobody touched\n(orange: before only; green: both)"
        self.add(words, self.slice())

    def use(self) -> None:
        """The candidate is taken where it was found better, and segments the scan again."""
        tune = self.session.front("Fine-tune")
        adopted = self.desk.learning.result.adopted
        self.robot.click(tune.use if adopted else tune.keep)
        dock = self.session.front("Segment")
        self.session.predict()
        self._tidy()
        words = "Adopted; the scan is segmented again\n(nobody touched this slice)"
        kept = "Not better: kept aside, the old model stays"
        shot = self.window()
        model = self.part(dock.models, dock.load, dock.facts, shot=shot)
        self.add(words if adopted else kept, model, self.slice(shot))

    # -- parts of steps -------------------------------------------------------------------------

    def score(self) -> str:
        """How good the mask on the screen is."""
        every = range(len(self.session.truth))
        free = [z for z in every if z not in (SHOWN, *OTHERS)]
        whole, rest = (self.session.measured(some)["lung"] for some in (every, free))
        return f"Dice of the lung {whole:.3f}, on slices nobody touched {rest:.3f}"

    def tick(self, box: QWidget) -> None:
        """A click on the box itself: the widget is wider than its words."""
        at = QPoint(BOX, box.height() // 2)
        QTest.mouseClick(box, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
        self.robot.rest()

    def put_right(self, index: int) -> None:
        """Erase by mouse all large wrong pieces of a slice, and vouch for it."""
        self.session.front("Correct")
        self.session.look_at(index)
        self.correct.panel.brush.setValue(FINE_MM)
        wrong = large(
            (self.desk.labels.data[index] == demo.LUNG) & (self.session.truth[index] == 0)
        )
        self.robot.fill_by_hand(self.desk.labels, index, wrong, FINE_MM)
        self.robot.click(self.correct.mark)

    def _tidy(self) -> None:
        """The slice whole, and no brush over it."""
        self.desk.select_labels()
        self.desk.views.fit()
        self.robot.hover(0.0, 0.0)
        self.robot.rest(1.0)

    # -- pictures -------------------------------------------------------------------------------

    def add(self, words: str, *parts: Image.Image) -> None:
        self.shots.append(Shot(words, parts))
        strip_of(self.shots[-1:]).save(self.session.out / f"panel_{len(self.shots)}.png")

    def window(self) -> Image.Image:
        """The window at this moment: no rest, a flash is short."""
        QApplication.processEvents()
        path = self.session.out / f"window_{len(self.shots) + 1}.png"
        self.session.viewer.window._qt_window.grab().save(str(path))
        return Image.open(path).convert("RGB")

    def part(self, *widgets: QWidget, shot: Image.Image | None = None) -> Image.Image:
        """Widgets of the window, and what lies between them."""
        shot, window = shot or self.window(), self.session.viewer.window._qt_window
        places = [QRect(one.mapTo(window, QPoint(0, 0)), one.size()) for one in widgets]
        around = functools.reduce(QRect.united, places).adjusted(-EDGE, -EDGE, EDGE, EDGE)
        x, y = around.x(), around.y()
        return shot.crop((x, y, x + around.width(), y + around.height()))

    def slice(self, shot: Image.Image | None = None) -> Image.Image:
        """The scan's slice, with the letters at its sides."""
        shot = shot or self.window()
        canvas, layer = self.session.viewer.window._qt_viewer.canvas.native, self.desk.labels
        place = canvas.mapTo(self.session.viewer.window._qt_window, QPoint(0, 0))
        last = tuple(n - 1 for n in layer.data.shape)
        top, low = (int(self.robot._pixel(layer, end).y()) for end in ((0, 0, 0), last))
        x, y = place.x(), place.y()
        return shot.crop((x, y + max(0, top), x + canvas.width(), y + min(low, canvas.height())))


def large(wrong: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pieces (Y, X) that nobody overlooks."""
    pieces, _ = ndi.label(wrong)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(sizes[pieces] >= WRONG)


def fitted(picture: Image.Image, width: int) -> Image.Image:
    height = round(picture.height * width / picture.width)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def panel_of(number: int, shot: Shot) -> Image.Image:
    """A numbered picture with its caption above."""
    panel = Image.new("RGB", (PANEL[0], PANEL[1] + CAPTION), PAPER)
    draw = ImageDraw.Draw(panel)
    draw.ellipse((1, 5, 33, 37), fill=BADGE)
    draw.text((17, 21), str(number), PAPER, ImageFont.truetype(BOLD, 19), anchor="mm")
    draw.multiline_text((44, 2), shot.words, INK, ImageFont.truetype(FONT, 18), spacing=5)
    panel.paste(DARK, (0, CAPTION, *panel.size))
    y = CAPTION
    for part in shot.parts:
        one = fitted(part, PANEL[0])
        over = max(0, y + one.height - panel.height)  # the last gives way, above
        panel.paste(one.crop((0, over, *one.size)), (0, y))
        y += one.height
    return panel


def strip_of(shots: Sequence[Shot], columns: int = 3) -> Image.Image:
    """All panels, three in a row."""
    panels = [panel_of(n, shot) for n, shot in enumerate(shots, 1)]
    wide, high = panels[0].width + GAP, panels[0].height + GAP
    rows = -(-len(panels) // columns)
    strip = Image.new("RGB", (wide * min(columns, len(panels)) + GAP, high * rows + GAP), PAPER)
    for n, panel in enumerate(panels):
        strip.paste(panel, (GAP + n % columns * wide, GAP + n // columns * high))
    return strip


def main() -> int:
    """The picture; 0 when done."""
    parser = argparse.ArgumentParser(description="One picture of a session that learns.")
    parser.add_argument("folder", type=Path, nargs="?", help="keep the whole windows here")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        os.environ["MEDSEG_DATA_DIR"] = data
        loop = Loop(given.folder or Path(data) / "pictures")
        try:
            loop.run()
        finally:
            loop.session.end()
    strip_of(loop.shots).save(IMAGES / TARGET, optimize=True)  # a palette would grey its colours
    return 0


if __name__ == "__main__":
    sys.exit(main())
