"""No model file runs code, fills the memory or is believed without being whole."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import pytest
from foreign_models import small_segmenter
from hostile_models import Case, cases

from napari_medseg.errors import ModelError, one_line
from napari_medseg.models import checkpoint, foreign
from napari_medseg.models.card import read_card

pytest.importorskip("onnx")
ALL = cases(bomb_bytes=16 << 20)
MOST_CPU_SECONDS = 2.0
WATCHED = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "pty.spawn",
           "ctypes.dlopen", "socket.connect")  # fmt: skip
seen: list[str] = []
watching = False


def watch(event: str, _: object) -> None:
    if watching and event.startswith(WATCHED):
        seen.append(event)


sys.addaudithook(watch)  # stays until the end; silent unless `watching`


def read(case: Case, path: Path) -> None:
    """As `medseg models` and the window's list do."""
    if case.reader == "own":
        read_card(path)
        checkpoint.load(path)
    else:
        foreign.import_model(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_a_hostile_file_is_refused_in_one_line_and_runs_nothing(case: Case, tmp_path: Path) -> None:
    global watching
    canaries, place = tmp_path / "canaries", tmp_path / "model"
    canaries.mkdir()
    place.mkdir()
    path = case.make(place, canaries)
    started, watching = time.process_time(), True
    seen.clear()
    try:
        with pytest.raises(ModelError) as refusal:
            read(case, path)
    finally:
        watching = False
    assert list(canaries.iterdir()) == []
    assert seen == []
    assert time.process_time() - started < MOST_CPU_SECONDS
    line = one_line(refusal.value)
    assert refusal.value.name
    assert len(line) <= 200
    assert "weights_only" not in line


def test_there_are_more_than_sixty_of_them() -> None:
    assert len({case.name for case in ALL}) == len(ALL) > 200


def test_flipped_bits_of_our_own_checkpoint_are_noticed(tmp_path: Path) -> None:
    path, chance = tmp_path / "own.safetensors", random.Random(1)
    checkpoint.save(small_segmenter(), path)
    whole = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(bytes(damaged))
        with pytest.raises(ModelError):
            checkpoint.load(path)
