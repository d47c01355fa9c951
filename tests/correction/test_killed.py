"""A killed process loses no acknowledged stroke."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from painting import KEY, SHAPE

from napari_medseg.correction.state import State
from napari_medseg.correction.store import Store

ROOT = Path(__file__).parents[2]
PAINTER = """
import json
import sys
from pathlib import Path
import numpy as np
from napari_medseg.correction import journal
from napari_medseg.correction.state import State
from napari_medseg.correction.store import Store

journal.STATE_EVERY = 9
folder, key, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
shape = tuple(json.loads(sys.argv[4]))
store = Store(folder)
blank = State(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))
found = store.recover(key, blank)
tracker = (found.state or blank).tracker()
pen = journal.Journal(
    store.files(key), found.seq, lambda: State(*tracker.copies(), tracker.marks), print
)
for stroke in range(first, 100_000):
    place = np.unravel_index(stroke % tracker.labels.size, shape)
    tracker.labels[place] = 1 + stroke % 7
    pen.append(tracker.commit())
    assert pen.flush(30)
    print(stroke, flush=True)
"""


def test_killed_at_random_moments_every_acknowledged_stroke_is_there(tmp_path: Path) -> None:
    moments, expected, stroke = random.Random(0), np.zeros(SHAPE, np.uint8), 0
    for _ in range(5):
        acknowledged = _paint_and_kill(tmp_path, stroke, 0.02 + 0.3 * moments.random())
        _paint(expected, stroke, acknowledged)
        found = Store(tmp_path).recover(KEY, State(expected * 0, expected * 0))
        assert not found.warning
        assert found.state is not None
        following = np.unravel_index(acknowledged + 1, SHAPE)  # may be there, or not
        expected[following] = found.state.labels[following]
        np.testing.assert_array_equal(found.state.labels, expected)
        stroke = acknowledged + 2


def _paint_and_kill(folder: Path, first: int, after_s: float) -> int:
    """Let a process paint, kill it; the last stroke that it had acknowledged."""
    args = [sys.executable, "-c", PAINTER, str(folder), KEY, str(first), str(list(SHAPE))]
    with subprocess.Popen(args, stdout=subprocess.PIPE, text=True, cwd=ROOT) as painter:
        assert painter.stdout is not None
        lines = [painter.stdout.readline()]
        time.sleep(after_s)
        painter.kill()
        lines += painter.stdout.readlines()
    return int(next(line for line in reversed(lines) if line.endswith("\n")))


def _paint(labels: np.ndarray, first: int, last: int) -> None:
    for stroke in range(first, last + 1):
        labels[np.unravel_index(stroke, SHAPE)] = 1 + stroke % 7
