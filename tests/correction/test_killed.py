"""A killed process loses no acknowledged stroke."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLING = Path(__file__).with_name("killing.py")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forks, here are none")


def kills(*arguments: str) -> dict[str, int]:
    """What came of a series of kills."""
    args = [sys.executable, str(KILLING), *arguments]
    done = subprocess.run(
        args, stdout=subprocess.PIPE, text=True, check=True, cwd=KILLING.parents[2], timeout=120
    )
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_killed_at_random_moments_every_acknowledged_stroke_is_there(tmp_path: Path) -> None:
    found = kills(str(tmp_path), "random", "20")
    assert found["acknowledged"] > 0
    assert (found["kills"], found["lost"], found["unreadable"]) == (20, 0, 0)
    assert found["unvouched"] == 0


def test_killed_at_every_named_point_every_acknowledged_stroke_is_there(tmp_path: Path) -> None:
    found = kills(str(tmp_path), "points")
    assert found["kills"] > 35
    assert (found["lost"], found["unvouched"], found["unreadable"]) == (0, 0, 0)


def test_without_renaming_a_kill_would_leave_half_a_state(tmp_path: Path) -> None:
    assert kills(str(tmp_path), "careless")["unreadable"] > 0
